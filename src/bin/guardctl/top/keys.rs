//! From a terminal's bytes to keys. (pure)

/// A key that means something to `top`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    Escape,
    /// Draw all anew (Ctrl-L).
    Redraw,
    /// Ctrl-C, Ctrl-D, Ctrl-\: an end without a question.
    Quit,
    Char(char),
}

/// The keys in what was typed. A key that a terminal tells in several bytes comes in one
/// piece, or what is left of it is none.
pub(super) fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        match first {
            0x1b => {
                let (key, rest) = escape(rest);
                keys.extend(key);
                bytes = rest;
            }
            3 | 4 | 0x1c => keys.push(Key::Quit),
            0x0c => keys.push(Key::Redraw),
            b'\t' => keys.push(Key::Tab),
            b' '..=b'~' => keys.push(Key::Char(char::from(*first))),
            _ => {}
        }
    }
    keys
}

/// After the escape character: one alone is the key of that name.
fn escape(bytes: &[u8]) -> (Option<Key>, &[u8]) {
    let ([b'[' | b'O', rest @ ..], first) = (bytes, bytes.first()) else {
        return (Some(Key::Escape), bytes);
    };
    debug_assert!(first.is_some());
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        return (None, &[]);
    };
    let key = match (&rest[..end], rest[end]) {
        (_, b'A') => Some(Key::Up),
        (_, b'B') => Some(Key::Down),
        (_, b'H') | (b"1" | b"7", b'~') => Some(Key::Home),
        (_, b'F') | (b"4" | b"8", b'~') => Some(Key::End),
        (b"5", b'~') => Some(Key::PageUp),
        (b"6", b'~') => Some(Key::PageDown),
        (_, b'Z') => Some(Key::Tab),
        _ => None,
    };
    (key, &rest[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_tell_keys() {
        let check = |bytes: &[u8], expected: &[Key]| assert_eq!(keys(bytes), expected, "{bytes:?}");
        check(b"jq", &[Key::Char('j'), Key::Char('q')]);
        check(
            b"\x1b[A\x1bOB\x1b[5~\x1b[1;5Hx",
            &[Key::Up, Key::Down, Key::PageUp, Key::Home, Key::Char('x')],
        );
        check(b"\x1b", &[Key::Escape]);
        check(b"\x1bq", &[Key::Escape, Key::Char('q')]);
        check(b"\x03\x0c\t\r\xff\x00", &[Key::Quit, Key::Redraw, Key::Tab]);
        check(b"\x1b[<35;20;1M\x1b[", &[]);
        check(b"", &[]);
    }
}
