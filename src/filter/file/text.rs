//! Text of several lines, each of which knows where it came from.

use std::fmt;

/// A line of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The file, by its number.
    pub(super) file: usize,
    /// The line in it, from 1.
    pub(super) line: u32,
}

impl Origin {
    /// Of what no file says.
    pub(super) fn nowhere() -> Origin {
        Origin { file: usize::MAX, line: 0 }
    }
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

    /// The same, in files that are counted from `shift` on.
    pub(super) fn shifted(mut self, shift: usize) -> Text {
        for (_, origin) in &mut self.0 {
            origin.file = origin.file.saturating_add(shift);
        }
        self
    }

    /// How often `part` is in it.
    pub(super) fn count(&self, part: &str) -> usize {
        self.0.iter().map(|(line, _)| line.matches(part).count()).sum()
    }

    /// Puts `new` in the place of each `old`. What comes in is not looked through.
    pub(super) fn replace_all(&mut self, old: &str, new: &Text) {
        let mut out = Builder::default();
        for (line, origin) in &self.0 {
            let mut rest = line.as_str();
            while let Some((before, after)) = rest.split_once(old) {
                out.push(before, *origin);
                out.push_text(new, *origin);
                rest = after;
            }
            out.push(rest, *origin);
            out.end_line();
        }
        *self = out.built();
    }
}

/// Text that is put together from pieces. A line in which something was written by
/// itself comes from there; one that is another text alone, from where that came from.
#[derive(Debug, Default)]
pub(super) struct Builder {
    done: Vec<(String, Origin)>,
    line: String,
    origin: Option<Origin>,
}

impl Builder {
    /// Adds a piece of the line `origin`.
    pub(super) fn push(&mut self, piece: &str, origin: Origin) {
        self.line.push_str(piece);
        if self.origin.is_none() || !piece.trim().is_empty() {
            self.origin = Some(origin);
        }
    }

    /// Adds another text in the line `origin`.
    pub(super) fn push_text(&mut self, text: &Text, origin: Origin) {
        for (index, (line, from)) in text.0.iter().enumerate() {
            if index > 0 {
                self.end_line();
                self.origin = Some(*from);
            } else if self.line.trim().is_empty() {
                self.origin = Some(*from);
            }
            self.line.push_str(line);
        }
        self.origin = self.origin.or(Some(origin));
    }

    pub(super) fn end_line(&mut self) {
        let origin = self.origin.take().unwrap_or_default();
        self.done.push((std::mem::take(&mut self.line), origin));
    }

    /// The text; its last line must have been ended.
    pub(super) fn built(self) -> Text {
        Text(self.done)
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
        let check = |outer: &str, new: &str, expected: &str| {
            let mut outer = text(outer, 1);
            outer.replace_all("@", &text(new, 2));
            assert_eq!(shown(&outer).trim_end(), expected);
        };
        check("a@b\nc", "x", "1:axb 1:c");
        check("@", "x\ny", "2:x 2:y");
        check("@b", "x\ny", "2:x 1:yb");
        check("a@", "x\ny", "1:ax 2:y");
        check("a@b@", "", "1:ab");
        check("@@", "@", "2:@@");
    }
}
