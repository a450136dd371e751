//! Labels and volumes of services → a compose file, to be put over one's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A compose file with nothing but labels and volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComposeFile {
    /// The project that it belongs to; none: nobody could say.
    pub project: Option<String>,
    /// Is it no file for Compose, but labels of containers that Compose has not made?
    pub outside: bool,
    /// Its text.
    pub text: String,
}

/// What a service gets.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// A word on the service.
    pub(super) note: Option<String>,
    /// Jails, each with a line that says which, and its labels.
    pub(super) jails: Vec<(String, Vec<(String, String)>)>,
    /// Lines of `volumes`, without the dash.
    pub(super) volumes: Vec<(String, String)>,
}

/// The text of a compose file for these services.
pub(super) fn write(title: &str, services: &BTreeMap<String, Added>) -> String {
    let mut out = String::new();
    let mut line = |indent: usize, text: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:indent$}{text}", "");
    };
    line(0, &comment(title));
    line(0, "services:");
    for (name, added) in services {
        line(2, &format!("{}:", scalar(name)));
        if let Some(note) = &added.note {
            line(4, &comment(note));
        }
        if !added.volumes.is_empty() {
            line(4, "volumes:");
        }
        let mut before = None;
        for (why, volume) in &added.volumes {
            if before != Some(why) {
                line(6, &comment(why));
            }
            before = Some(why);
            line(6, &format!("- {}", scalar(&dollars(volume))));
        }
        if !added.jails.is_empty() {
            line(4, "labels:");
        }
        for (title, labels) in &added.jails {
            line(6, &comment(title));
            for (key, value) in labels {
                let value = dollars(value);
                if !is_block(&value) {
                    line(6, &format!("{key}: {}", scalar(&value)));
                    continue;
                }
                line(6, &format!("{key}: |-"));
                for part in value.split('\n') {
                    line(8, part);
                }
            }
        }
    }
    out
}

/// Compose takes a single `$` for the begin of a variable.
fn dollars(text: &str) -> String {
    text.replace('$', "$$")
}

fn comment(text: &str) -> String {
    let safe = |c: char| if is_special(c) { ' ' } else { c };
    format!("# {}", text.chars().map(safe).collect::<String>())
}

/// Does it go into a block of lines as it is?
fn is_block(value: &str) -> bool {
    let plain = |line: &str| {
        !line.is_empty()
            && !line.starts_with(char::is_whitespace)
            && !line.ends_with(char::is_whitespace)
            && !line.contains(is_special)
    };
    value.contains('\n') && value.split('\n').all(plain)
}

/// A value in one line.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':');
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !is_yaml_word(text);
    if is_word {
        return text.to_owned();
    }
    if !text.contains(is_special) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_special(c) => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What YAML would not take for text.
fn is_yaml_word(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// What is no character of a line in YAML, or turns the writing round on a terminal.
fn is_special(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compose::labels_of;

    fn back(value: &str) -> String {
        let mut services = BTreeMap::new();
        let labels = vec![("guard.failregex".to_owned(), value.to_owned())];
        let jails = vec![("a\njail\u{2028}".to_owned(), labels)];
        services.insert("we b".to_owned(), Added { jails, ..Added::default() });
        let text = write("all\nof it", &services);
        let read = labels_of(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let labels = read.get("we b").unwrap_or_else(|| panic!("{text}"));
        labels.get("guard.failregex").unwrap_or_else(|| panic!("{text}")).clone()
    }

    #[test]
    fn values_come_back_as_they_were() {
        for value in [
            "sshd",
            "true",
            "5",
            "-1",
            "10m",
            "",
            " ",
            "~",
            "null",
            "a: b",
            "# a",
            "a # b",
            "'",
            "''",
            "a$",
            "$$",
            "${A}",
            "$A b$",
            "\\S+ \"x\" 'y'",
            "a\nb",
            "a\n\nb",
            "a\n b",
            " a\nb",
            "a\nb ",
            "a\n",
            "\n",
            "# a\n# b",
            "- a\n- b",
            "---\n...",
            "%\n@",
            "\t",
            "a\tb\nc",
            "\u{85}x",
            "é\u{2028}",
            "^\\[.*\\] <HOST>$\n^x: 'y' \"z\" #$",
            "{^LN-BEG}%Y-%m-%d",
            "a:",
            "*",
            "&a",
            "!x",
            "|",
            ">",
        ] {
            assert_eq!(back(value), value, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(value in "(?s)[a$'\"#:\\-{}\\\\ \n\t\u{85}\u{2028}é*&!|>%@`,\\[\\]]{0,12}") {
            prop_assert_eq!(back(&value), value);
        }
    }
}
