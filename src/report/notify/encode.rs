//! (pure) Base64, for `Authorization`; percent-encoding, for URLs.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Base64 with padding (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// What is in Base64; `None`: that is none, or no text.
pub(super) fn unbase64(text: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()
}

/// What `%41` stands for; `None`: a bad escape, or no text.
pub(super) fn decode(text: &str) -> Option<String> {
    let text = String::from_utf8(unescape(text)?).ok()?;
    (!text.contains(char::is_control)).then_some(text)
}

/// What `%41` stands for, as it would be shown; `None`: a bad escape.
pub(super) fn decode_anything(text: &str) -> Option<String> {
    unescape(text).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648s() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn escapes() {
        assert_eq!(decode("a%40b%2Fc"), Some("a@b/c".into()));
        assert_eq!(decode("%c3%a4"), Some("ä".into()));
        for bad in ["%", "%4", "%zz", "%+1", "%ff", "a%0d%0ab"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
