//! Terminal escapes in lines: colours must hide neither a date nor an address.

/// Is there one in `text`?
pub(super) fn is_in(text: &str) -> bool {
    text.as_bytes().contains(&ESC)
}

const ESC: u8 = 0x1b;

/// Writes `text` without its escape sequences (ECMA-48: `ESC [ … final`, and shorter
/// ones) to `out`. One that is cut short ends where it stops being one.
pub(super) fn strip(text: &str, out: &mut String) {
    out.clear();
    let mut rest = text;
    while let Some(start) = rest.find('\x1b') {
        out.push_str(&rest[..start]);
        rest = &rest[start + sequence(&rest.as_bytes()[start..])..];
    }
    out.push_str(rest);
}

/// The length of the sequence at the start of `bytes`; it is ASCII throughout.
fn sequence(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(b'[') => {
            let inner = bytes[2..].iter().take_while(|b| matches!(b, 0x20..=0x3f)).count();
            let last = bytes.get(2 + inner).is_some_and(|b| matches!(b, 0x40..=0x7e));
            2 + inner + usize::from(last)
        }
        _ => {
            let inner = bytes[1..].iter().take_while(|b| matches!(b, 0x20..=0x2f)).count();
            let last = bytes.get(1 + inner).is_some_and(|b| matches!(b, 0x30..=0x7e));
            1 + inner + usize::from(last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        let check = |text: &str, plain: &str| {
            let mut out = "old".to_owned();
            strip(text, &mut out);
            assert_eq!(out, plain, "{text:?}");
        };
        check("\x1b[32m2024-01-02\x1b[0m é", "2024-01-02 é");
        check("a\x1b[1;38;5;196mb\x1b[Kc\x1b[m", "abc");
        check("a\x1b(Bb\x1b", "ab");
        check("a\x1b[31é\x1b\x1b[", "aé");
        check("plain", "plain");
    }
}
