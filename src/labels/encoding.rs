//! `logencoding`: what [`LogEncoding::parse`] reads.

use super::Flaw;
use super::values::{nothing, quoted, trimmed};
use crate::model::LogEncoding;

/// Reads `auto`, `utf-8`, `latin-1`, `utf-16-le`, and so on.
pub(super) fn read(value: &str) -> Result<LogEncoding, Flaw> {
    let (span, text) = trimmed(value);
    if text.is_empty() {
        return Err(nothing(value));
    }
    LogEncoding::parse(text)
        .map_err(|_| Flaw::new(span, format!("{} is no encoding that guard knows", quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        assert_eq!(read(" auto ").ok(), Some(LogEncoding::Auto));
        assert_eq!(read("UTF-16").ok(), Some(LogEncoding::Utf16));
        for bad in ["", " ", "utf-99"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
