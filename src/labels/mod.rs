//! (pure)
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Stand-in until the module is there: the table of labels.
pub fn markdown_table() -> String {
    "| label | default | meaning |\n|---|---|---|\n".into()
}

pub mod duration {
    //! Stand-in until the module is there: spans of time in fail2ban's words.

    use crate::model::BanTime;

    /// Whole seconds with an optional unit; -1 is for ever.
    pub fn parse(text: &str) -> Result<BanTime, String> {
        let wrong = || format!("`{text}` is no span of time such as 600, 10m, 1d or -1");
        if text == "-1" {
            return Ok(BanTime::Forever);
        }
        let (number, unit) =
            text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let unit = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number
            .checked_mul(unit)
            .filter(|seconds| *seconds > 0)
            .map(|seconds| BanTime::For(std::time::Duration::from_secs(seconds)))
            .ok_or_else(wrong)
    }
}
