//! (pure) How the bytes of a log file are text.

use std::borrow::Cow;
use std::fmt;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How the bytes of a log file are text: fail2ban's `logencoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogEncoding {
    /// UTF-8, where bytes that are none become U+FFFD; UTF-16 if the file begins with
    /// its byte order mark.
    #[default]
    Auto,
    /// UTF-16 in the order that the file's mark says; little-endian without one.
    Utf16,
    /// This one, whatever the file begins with.
    Fixed(&'static Encoding),
}

/// No encoding that guard knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no encoding of this name is known")]
pub struct UnknownEncoding;

/// In which pieces a line end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A line end is one byte.
    Byte,
    /// It is two, the low one first.
    Little,
    /// It is two, the high one first.
    Big,
}

impl Unit {
    /// How many bytes.
    pub fn width(self) -> usize {
        match self {
            Unit::Byte => 1,
            Unit::Little | Unit::Big => 2,
        }
    }
}

impl LogEncoding {
    /// Reads a name as Python and the web have them, in upper or lower case.
    ///
    /// # Errors
    /// The name is unknown, or of an encoding in which a line end may be hidden.
    pub fn parse(name: &str) -> Result<LogEncoding, UnknownEncoding> {
        let name = name.trim().to_ascii_lowercase().replace('_', "-");
        if name == "auto" {
            return Ok(LogEncoding::Auto);
        }
        if name == "utf-16" || name == "utf16" {
            return Ok(LogEncoding::Utf16);
        }
        let label = match name.as_str() {
            "latin-1" | "l1" => "latin1",
            "utf-8-sig" => "utf-8",
            "utf-16-le" => "utf-16le",
            "utf-16-be" => "utf-16be",
            "sjis" | "shift-jis" => "shift_jis",
            name => name,
        };
        let label = match label.strip_prefix("cp").and_then(|page| page.parse::<u16>().ok()) {
            Some(page) if (1250..=1258).contains(&page) => Cow::from(format!("windows-{page}")),
            _ => Cow::from(label),
        };
        Encoding::for_label_no_replacement(label.as_bytes())
            // Its state goes on over line ends.
            .filter(|encoding| encoding.name() != "ISO-2022-JP")
            .map(LogEncoding::Fixed)
            .ok_or(UnknownEncoding)
    }

    /// The encoding of a file that begins with these bytes, and how many of them are
    /// its mark. Three bytes are enough.
    pub fn of(self, head: &[u8]) -> (&'static Encoding, usize) {
        let marked = Encoding::for_bom(head);
        match (self, marked) {
            (LogEncoding::Auto, None) => (UTF_8, 0),
            (LogEncoding::Utf16, Some((found, length))) if found != UTF_8 => (found, length),
            (LogEncoding::Utf16, _) => (UTF_16LE, 0),
            (LogEncoding::Auto, Some(marked)) => marked,
            (LogEncoding::Fixed(encoding), Some((found, length))) if found == encoding => {
                (encoding, length)
            }
            (LogEncoding::Fixed(encoding), _) => (encoding, 0),
        }
    }
}

/// In which pieces a line end is found in this encoding.
pub fn unit(encoding: &'static Encoding) -> Unit {
    if encoding == UTF_16LE {
        Unit::Little
    } else if encoding == UTF_16BE {
        Unit::Big
    } else {
        Unit::Byte
    }
}

impl fmt::Display for LogEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogEncoding::Auto => "auto",
            LogEncoding::Utf16 => "utf-16",
            // What the web calls windows-1252 is what people mean by latin-1.
            LogEncoding::Fixed(encoding) if *encoding == WINDOWS_1252 => "latin-1",
            LogEncoding::Fixed(encoding) => encoding.name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], expected: LogEncoding) {
        for name in names {
            assert_eq!(LogEncoding::parse(name), Ok(expected), "{name}");
        }
    }

    #[test]
    fn names_are_pythons_and_the_webs() {
        check(&["auto", " AUTO"], LogEncoding::Auto);
        check(&["utf-8", "UTF8", "utf_8", "utf-8-sig"], LogEncoding::Fixed(UTF_8));
        let latin = LogEncoding::Fixed(WINDOWS_1252);
        check(&["latin-1", "latin1", "ISO-8859-1", "iso8859-1", "cp1252", "ascii"], latin);
        check(&["utf-16", "UTF_16"], LogEncoding::Utf16);
        check(&["utf-16-le", "utf-16le", "UTF_16_LE"], LogEncoding::Fixed(UTF_16LE));
        check(&["utf-16-be"], LogEncoding::Fixed(UTF_16BE));
        check(&["cp1251"], LogEncoding::Fixed(encoding_rs::WINDOWS_1251));
        check(&["shift_jis"], LogEncoding::Fixed(encoding_rs::SHIFT_JIS));
        check(&["euc_jp"], LogEncoding::Fixed(encoding_rs::EUC_JP));
        for name in ["", "utf-32", "iso-2022-jp", "iso-2022-kr", "latin-99", "cp0"] {
            assert_eq!(LogEncoding::parse(name), Err(UnknownEncoding), "{name}");
        }
    }

    #[test]
    fn a_mark_says_what_auto_is() {
        assert_eq!(LogEncoding::Auto.of(b"plain"), (UTF_8, 0));
        assert_eq!(LogEncoding::Auto.of(b"\xef\xbb\xbfx"), (UTF_8, 3));
        assert_eq!(LogEncoding::Auto.of(b"\xff\xfex\0"), (UTF_16LE, 2));
        assert_eq!(LogEncoding::Utf16.of(b"\xfe\xff\0x"), (UTF_16BE, 2));
        assert_eq!(LogEncoding::Utf16.of(b"x\0"), (UTF_16LE, 0));
        let big = LogEncoding::Fixed(UTF_16BE);
        assert_eq!(big.of(b"\xfe\xff"), (UTF_16BE, 2));
        assert_eq!(big.of(b"\xff\xfe"), (UTF_16BE, 0));
    }
}
