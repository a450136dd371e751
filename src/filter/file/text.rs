//! Text of several lines, each of which knows where it came from.

use std::fmt;
use std::ops::Range;

/// A line of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The file, by its number.
    pub(super) file: usize,
    /// The line in it, from 1.
    pub(super) line: u32,
}

/// Lines, and where each came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(Vec<(String, Origin)>);

impl Text {
    /// Text that someone gave in place of a file's.
    pub(super) fn given(text: &str, origin: Origin) -> Text {
        Text(text.split('\n').map(|line| (line.to_owned(), origin)).collect())
    }

    pub(super) fn push_line(&mut self, line: &str, origin: Origin) {
        self.0.push((line.to_owned(), origin));
    }

    pub(super) fn lines(&self) -> &[(String, Origin)] {
        &self.0
    }

    /// Its size in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|(line, _)| line.len() + 1).sum()
    }

    /// Drops empty lines and blanks at the end.
    pub(super) fn trim_end(&mut self) {
        while let Some((line, _)) = self.0.last_mut() {
            line.truncate(line.trim_end().len());
            if !line.is_empty() || self.0.len() == 1 {
                break;
            }
            self.0.pop();
        }
    }

    /// Puts `new` in the place of `range` in line number `line`. A line that is `new`
    /// alone comes from where that came from. Where `new` ends: line and byte.
    pub(super) fn replace(&mut self, line: usize, range: Range<usize>, new: &Text) -> (usize, usize) {
        let Some((old, origin)) = self.0.get(line).cloned() else { return (line, range.end) };
        let (before, after) = (&old[..range.start], &old[range.end..]);
        let blank = |text: &str| text.trim().is_empty();
        let mut lines: Vec<(String, Origin)> = new.0.clone();
        if lines.is_empty() {
            lines.push((String::new(), origin));
        }
        let last = lines.len() - 1;
        if !blank(before) || (last == 0 && !blank(after)) {
            lines[0].1 = origin;
        }
        lines[0].0.insert_str(0, before);
        let end = (line + last, lines[last].0.len());
        lines[last].0.push_str(after);
        self.0.splice(line..=line, lines);
        end
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (line, _)) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, line: u32) -> Text {
        Text::given(text, Origin { file: 0, line })
    }

    fn shown(text: &Text) -> String {
        text.0.iter().map(|(line, origin)| format!("{}:{line} ", origin.line)).collect()
    }

    #[test]
    fn lines_keep_their_origin() {
        let check = |outer: &str, new: &str, expected: &str, end: (usize, usize)| {
            let mut outer = text(outer, 1);
            let at = outer.0[0].0.find('@').unwrap();
            assert_eq!(outer.replace(0, at..at + 1, &text(new, 2)), end);
            assert_eq!(shown(&outer).trim_end(), expected);
        };
        check("a@b\nc", "x", "1:axb 1:c", (0, 2));
        check("@", "x\ny", "2:x 2:y", (1, 1));
        check("@b", "x\ny", "2:x 2:yb", (1, 1));
        check("a@", "x\ny", "1:ax 2:y", (1, 1));
        check("a@b", "", "1:ab", (0, 1));
    }
}
