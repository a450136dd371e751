//! Backslashes, as Python reads them.

/// What a backslash and what follows it mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// This character and nothing else.
    Literal(char),
    /// `\d`, `\w`, `\s` or its opposite: the same here.
    Category(char),
    /// An end of the text, in Rust's syntax.
    Anchor(&'static str),
    /// `\b` or `\B`, in Rust's syntax.
    Boundary(&'static str),
    /// A back-reference to the group with this number.
    Reference(u32),
}

/// Where the backslash stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Outside,
    Class,
}

/// What is wrong with the next `len` bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) len: usize,
    pub(super) what: String,
    pub(super) remedy: Option<String>,
}

/// `char`, written so that it means itself, in a class or outside.
pub(super) fn literal(char: char) -> String {
    if regex_syntax::is_meta_character(char) { format!("\\{char}") } else { char.to_string() }
}

/// Reads the escape at the start of `rest`, and how many bytes it takes.
pub(super) fn read(rest: &str, place: Place) -> Result<(Escape, usize), Bad> {
    let Some(char) = rest[1..].chars().next() else {
        let remedy = Some("write `\\\\` for a backslash".to_owned());
        return Err(Bad { len: 1, what: "a backslash with nothing after it".into(), remedy });
    };
    let simple = |char| Ok((Escape::Literal(char), 2));
    match char {
        'd' | 'D' | 'w' | 'W' | 's' | 'S' => Ok((Escape::Category(char), 2)),
        'b' if place == Place::Class => simple('\x08'),
        'A' if place == Place::Outside => Ok((Escape::Anchor(r"\A"), 2)),
        'Z' | 'z' if place == Place::Outside => Ok((Escape::Anchor(r"\z"), 2)),
        // In parentheses, because `\b{` begins something else here.
        'b' if place == Place::Outside => Ok((Escape::Boundary(r"(?:\b)"), 2)),
        'B' if place == Place::Outside => Ok((Escape::Boundary(r"(?:\B)"), 2)),
        'a' => simple('\x07'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        'x' => hex(rest, 2),
        'u' => hex(rest, 4),
        'U' => hex(rest, 8),
        '0'..='9' => digits(rest, place),
        letter if letter.is_ascii_alphabetic() => {
            let what = format!("`\\{letter}` means nothing in Python's regular expressions");
            let remedy = Some(format!("for the letter itself, write `{letter}`"));
            Err(Bad { len: 2, what, remedy })
        }
        other => Ok((Escape::Literal(other), 1 + other.len_utf8())),
    }
}

fn hex(rest: &str, digits: usize) -> Result<(Escape, usize), Bad> {
    let found = rest[2..].bytes().take(digits).take_while(u8::is_ascii_hexdigit).count();
    let char = u32::from_str_radix(&rest[2..2 + found], 16).ok().and_then(char::from_u32);
    match char {
        Some(char) if found == digits => Ok((Escape::Literal(char), 2 + digits)),
        _ => {
            let what = format!("`{}` needs {digits} hexadecimal digits of a character", &rest[..2]);
            Err(Bad { len: 2 + found, what, remedy: None })
        }
    }
}

/// `\0`, `\012`, `\123` are characters in octal; outside a class `\1` to `\99` are
/// back-references.
fn digits(rest: &str, place: Place) -> Result<(Escape, usize), Bad> {
    let octal = rest[1..].bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
    if octal == 3 || rest[1..].starts_with('0') || (place == Place::Class && octal > 0) {
        let char = u32::from_str_radix(&rest[1..1 + octal], 8).ok().filter(|code| *code <= 0o377);
        return match char.and_then(char::from_u32) {
            Some(char) => Ok((Escape::Literal(char), 1 + octal)),
            None => {
                let what = format!("`{}` is beyond `\\377`", &rest[..1 + octal]);
                Err(Bad { len: 1 + octal, what, remedy: None })
            }
        };
    }
    let len = 1 + rest[1..].bytes().take(2).take_while(u8::is_ascii_digit).count();
    if place == Place::Class {
        let what = format!("`{}` is no character", &rest[..len]);
        return Err(Bad { len, what, remedy: None });
    }
    // Two digits at the most, so it is a number.
    Ok((Escape::Reference(rest[1..len].parse().unwrap_or_default()), len))
}
