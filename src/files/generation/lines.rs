//! (pure) Bytes of a file into its lines.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use encoding_rs::{Encoding, UTF_8};

use crate::model::{Line, LogEncoding, MAX_LINE, Unit, unit};

/// How many bytes say whether a file begins with a byte order mark.
const MARK: usize = 3;

/// What was cut off lines that were too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::files) struct Cut {
    pub(in crate::files) lines: u64,
    pub(in crate::files) bytes: u64,
}

/// A line, and how many of the bytes that were given lie before its end.
pub(super) struct Split {
    pub(super) text: String,
    pub(super) end: usize,
}

/// Cuts a file's bytes into lines; keeps the one that has no line end yet.
///
/// NUL bytes at the beginning of a line are no text: they are the hole that a writer
/// leaves who goes on where it was in a file that was emptied.
#[derive(Debug)]
pub(in crate::files) struct Splitter {
    asked: LogEncoding,
    /// What the file's first bytes said, and how many of them are its mark.
    found: Option<(&'static Encoding, usize)>,
    open: Vec<u8>,
    /// How many bytes of the open line there was no room for.
    over: u64,
    cut: Cut,
}

impl Splitter {
    pub(super) fn new(asked: LogEncoding) -> Splitter {
        Splitter { asked, found: None, open: Vec::new(), over: 0, cut: Cut::default() }
    }

    pub(super) fn asked(&self) -> LogEncoding {
        self.asked
    }

    /// The file begins with these bytes; they are not taken.
    pub(super) fn begins_with(&mut self, head: &[u8]) {
        self.found = Some(self.asked.of(head));
    }

    /// The file begins anew: what it began with, and its open line, are no more.
    pub(super) fn forget(&mut self) {
        self.found = None;
        self.open.clear();
        self.over = 0;
    }

    /// Takes of `bytes`, which begin at the place `at` of the file, until a line ends:
    /// how many, and the line if it did.
    pub(super) fn take(&mut self, bytes: &[u8], at: u64) -> (usize, Option<Split>) {
        let mut used = 0;
        if at == 0 {
            let unsure = bytes.len() < MARK && matches!(bytes.first(), Some(0xef | 0xfe | 0xff));
            if unsure {
                return (0, None);
            }
            let (_, mark) = *self.found.get_or_insert_with(|| self.asked.of(bytes));
            used = mark;
        }
        let unit = self.unit();
        let whole = bytes.len() - bytes.len() % unit.width();
        if self.open.is_empty() && self.over == 0 {
            let rest = bytes.get(used..whole).unwrap_or_default();
            let nulls = rest.iter().take_while(|&&byte| byte == 0).count();
            used += nulls - nulls % unit.width();
        }
        let rest = bytes.get(used..whole).unwrap_or_default();
        let end = line_end(rest, unit);
        let text = &rest[..end.unwrap_or(rest.len())];
        let room = (MAX_LINE - self.open.len()).min(text.len());
        self.open.extend_from_slice(&text[..room]);
        self.over += (text.len() - room) as u64;
        used += text.len();
        if end.is_none() {
            return (used, None);
        }
        used += unit.width();
        (used, Some(Split { text: self.text(), end: used }))
    }

    /// The line that has no line end, if there is one, and will get none.
    pub(super) fn finish(&mut self) -> Option<String> {
        (!self.open.is_empty()).then(|| self.text())
    }

    /// The open line goes over to the one who reads on in a copy.
    pub(super) fn hand_over(&mut self) -> Splitter {
        Splitter {
            asked: self.asked,
            found: self.found,
            open: std::mem::take(&mut self.open),
            over: std::mem::take(&mut self.over),
            cut: Cut::default(),
        }
    }

    /// What was cut since this was last asked.
    pub(super) fn take_cut(&mut self) -> Cut {
        std::mem::take(&mut self.cut)
    }

    pub(super) fn unit(&self) -> Unit {
        self.found.map_or(Unit::Byte, |(encoding, _)| unit(encoding))
    }

    fn text(&mut self) -> String {
        let encoding = self.found.map_or(UTF_8, |(encoding, _)| encoding);
        let text = if encoding == UTF_8 {
            Line::text_of(&self.open)
        } else {
            // Its characters may take more bytes in UTF-8.
            let text = encoding.decode_without_bom_handling(&self.open).0;
            let within = &text[..text.floor_char_boundary(MAX_LINE)];
            self.over += (text.len() - within.len()) as u64;
            within.trim_end_matches('\r').to_owned()
        };
        self.open.clear();
        if self.over > 0 {
            self.cut.lines += 1;
            self.cut.bytes += std::mem::take(&mut self.over);
        }
        text
    }
}

/// Where the first line end begins.
pub(in crate::files) fn line_end(bytes: &[u8], unit: Unit) -> Option<usize> {
    let pair = match unit {
        Unit::Byte => return memchr::memchr(b'\n', bytes),
        Unit::Little => [b'\n', 0],
        Unit::Big => [0, b'\n'],
    };
    bytes.chunks_exact(2).position(|two| two == pair).map(|at| at * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the pieces in which it comes, it is the same lines.
    fn check(asked: &str, bytes: &[u8], expected: &[&str]) {
        for piece in [1, 2, 3, 7, bytes.len()] {
            let mut splitter = Splitter::new(LogEncoding::parse(asked).unwrap());
            let (mut at, mut read, mut lines) = (0, 0, Vec::new());
            while at < bytes.len() {
                let (used, line) =
                    splitter.take(&bytes[at..(at + piece + read).min(bytes.len())], at as u64);
                // A reader asks again for what was left, and gets more.
                read = if used == 0 { read + 1 } else { 0 };
                assert!(read < 4, "{asked}: stuck at {at}");
                at += used;
                lines.extend(line.map(|split| split.text));
            }
            lines.extend(splitter.finish());
            assert_eq!(lines, expected, "{asked}, pieces of {piece}");
        }
    }

    fn utf16(text: &str, order: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    }

    #[test]
    fn lines_of_every_encoding() {
        check("auto", b"one\r\ntwo\n\nlast", &["one", "two", "", "last"]);
        check("auto", b"\xef\xbb\xbfmarked\nx\xffy\n", &["marked", "x\u{fffd}y"]);
        check("latin-1", b"\xe9t\xe9\n\x80\n", &["été", "€"]);
        // ਊ and ഊ have a byte of a line end in them, Ċ has both of them the wrong way round.
        let text = "\u{feff}één\r\nਊഊĊx\nlast";
        let expected = ["één", "ਊഊĊx", "last"];
        check("auto", &utf16(text, u16::to_le_bytes), &expected);
        check("auto", &utf16(text, u16::to_be_bytes), &expected);
        check("utf-16", &utf16(text, u16::to_be_bytes), &expected);
        check("utf-16-le", &utf16("a\nb\n", u16::to_le_bytes), &["a", "b"]);
        check("utf-16-be", &utf16("a\nb\n\nc\n", u16::to_be_bytes), &["a", "b", "", "c"]);
    }

    #[test]
    fn a_hole_is_no_text() {
        let holed = [&[0; 5000][..], b"after\nx\0y\n\0\0z\n"].concat();
        check("auto", &holed, &["after", "x\0y", "z"]);
        let holed = [vec![0; 5000], utf16("after\n", u16::to_be_bytes)].concat();
        check("utf-16-be", &holed, &["after"]);
        let holed = [vec![0; 5000], utf16("after\n", u16::to_le_bytes)].concat();
        check("utf-16-le", &holed, &["after"]);
    }

    #[test]
    fn what_is_cut_is_counted() {
        let mut splitter = Splitter::new(LogEncoding::Auto);
        let long = [vec![b'x'; MAX_LINE + 10], b"\n".to_vec()].concat();
        let (used, line) = splitter.take(&long, 0);
        assert_eq!((used, line.unwrap().text.len()), (long.len(), MAX_LINE));
        assert_eq!(splitter.take_cut(), Cut { lines: 1, bytes: 10 });
        assert_eq!(splitter.take_cut(), Cut::default());
        let mut splitter = Splitter::new(LogEncoding::parse("latin-1").unwrap());
        let long = [vec![0xe9; MAX_LINE], b"\n".to_vec()].concat();
        assert_eq!(splitter.take(&long, 0).1.unwrap().text.len(), MAX_LINE);
        assert_eq!(splitter.take_cut(), Cut { lines: 1, bytes: MAX_LINE as u64 });
    }
}
