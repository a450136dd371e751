//! Other people's text, cut to what fits and fit for a terminal.

use guard::control::print::escape;

/// The first `most` characters of `text`, escaped.
pub(crate) fn head(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", escape(&text[..end])),
        None => escape(text).into_owned(),
    }
}

/// The last `most` characters of `text`, escaped.
pub(crate) fn tail(text: &str, most: usize) -> String {
    match text.char_indices().rev().nth(most.saturating_sub(1)) {
        Some((start, _)) if start > 0 => format!("…{}", escape(&text[start..])),
        _ => escape(text).into_owned(),
    }
}

/// Rows as columns, each as wide as its widest cell but the last; two blanks between.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]], right: [bool; N]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(widths).zip(right) {
            line.push_str("  ");
            let cell = if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            line.push_str(&cell);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_escaped() {
        assert_eq!((head("añb\n", 4), head("añb\n", 2)), ("añb\\n".into(), "añ…".into()));
        assert_eq!((tail("añb\n", 4), tail("añb\n", 2)), ("añb\\n".into(), "…b\\n".into()));
        assert_eq!((head("", 3), tail("", 3)), (String::new(), String::new()));
    }

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["1", "é", "x"]), row(["22", "long", ""])];
        assert_eq!(columns(&rows, [true, false, false]), "   1  é     x\n  22  long\n");
    }
}
