//! `name[option=value, …]`: how a filter is asked for, as in fail2ban's `filter = …`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A filter's name, and options that replace its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FilterReference {
    /// The name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// The options, each once, by name.
    pub options: Vec<(String, String)>,
}

/// A text that asks for no filter, and where it goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct InvalidReference {
    /// Bytes of the text, on character boundaries.
    pub span: Range<usize>,
    /// What is wrong there.
    pub what: String,
}

/// Longer names are refused.
const LONGEST_NAME: usize = 100;

impl FromStr for FilterReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<FilterReference, InvalidReference> {
        let end = text.find('[').unwrap_or(text.len());
        let start = text.len() - text.trim_start().len();
        let name = text[..end].trim();
        let span = start.min(end)..end;
        check_name(name).map_err(|what| InvalidReference { span, what })?;
        let mut reader = Reader { text, at: end };
        let options = reader.options()?;
        Ok(FilterReference { name: name.to_owned(), options })
    }
}

impl fmt::Display for FilterReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (index, (name, value)) in self.options.iter().enumerate() {
            let before = if index == 0 { "[" } else { ", " };
            let bare = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            // A value with both quotes in it can only have been written without any.
            let quote = match bare && !value.is_empty() {
                true => "",
                false => ["\"", "'"].into_iter().find(|q| !value.contains(q)).unwrap_or(""),
            };
            write!(f, "{before}{name}={quote}{value}{quote}")?;
        }
        if self.options.is_empty() { Ok(()) } else { f.write_str("]") }
    }
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '-' | '.')
}

/// A name is part of a path: it must not leave the folder.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a filter without a name".to_owned());
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("a filter's name of more than {LONGEST_NAME} bytes"));
    }
    if !name.chars().all(is_name) || name.starts_with('.') {
        return Err(format!("`{name}` can't be a filter's name"));
    }
    Ok(())
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, char: char) -> bool {
        let found = self.rest().starts_with(char);
        self.at += if found { char.len_utf8() } else { 0 };
        found
    }

    fn fault<T>(&self, what: &str) -> Result<T, InvalidReference> {
        let width = self.rest().chars().next().map_or(0, char::len_utf8);
        let start = if width == 0 { 0 } else { self.at };
        Err(InvalidReference { span: start..self.at + width, what: what.to_owned() })
    }

    /// Groups of options in brackets; a later option replaces one of the same name.
    fn options(&mut self) -> Result<Vec<(String, String)>, InvalidReference> {
        let mut options: Vec<(String, String)> = Vec::new();
        while self.eat('[') {
            loop {
                self.skip_blanks();
                if self.eat(',') {
                    continue;
                }
                if self.eat(']') {
                    break;
                }
                let (name, value) = self.option()?;
                options.retain(|(known, _)| *known != name);
                options.push((name, value));
                self.skip_blanks();
                if !(self.rest().starts_with([',', ']']) || self.rest().is_empty()) {
                    return self.fault("here `,` or `]` should be");
                }
            }
            self.skip_blanks();
        }
        if self.rest().is_empty() { Ok(options) } else { self.fault("nothing may stand here") }
    }

    fn option(&mut self) -> Result<(String, String), InvalidReference> {
        let name_len = self.rest().find(|c| !is_name(c)).unwrap_or(self.rest().len());
        let name = self.rest()[..name_len].to_lowercase();
        // In lower case a letter may become two, the second of which no name may have.
        if name.is_empty() || !name.chars().all(is_name) {
            let missing = self.rest().is_empty();
            return self.fault(if missing { "the `]` is missing" } else { "no option's name" });
        }
        self.at += name_len;
        self.skip_blanks();
        if !self.eat('=') {
            return self.fault("an option is written `name=value`");
        }
        self.skip_blanks();
        let value = match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = &self.rest()[1..];
                let Some(end) = inner.find(quote) else {
                    return self.fault("the closing quote is missing");
                };
                let value = inner[..end].to_owned();
                self.at += end + 2;
                value
            }
            _ => {
                let end = self.rest().find([',', ']']).unwrap_or(self.rest().len());
                let value = self.rest()[..end].trim_end().to_owned();
                self.at += end;
                value
            }
        };
        Ok((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_options() {
        let check = |text: &str, shown: &str| {
            assert_eq!(text.parse::<FilterReference>().unwrap().to_string(), shown, "{text}");
        };
        check("sshd", "sshd");
        check(" sshd ", "sshd");
        check("sshd[mode=aggressive]", "sshd[mode=aggressive]");
        check("sshd[mode=a, x=\"b, c]\"][y='d e']", "sshd[mode=a, x=\"b, c]\", y=\"d e\"]");
        check("sshd[ MODE = a ][mode=b,]", "sshd[mode=b]");
        check("sshd[x=]", "sshd[x=\"\"]");
        check("sshd[\n  a=1,\n  b=\"1\n2\"\n]", "sshd[a=1, b=\"1\n2\"]");
        check("sshd[]", "sshd");
    }

    #[test]
    fn a_value_with_quotes_in_it_comes_back_as_it_was() {
        let check = |text: &str, value: &str| {
            let reference: FilterReference = text.parse().unwrap();
            assert_eq!(reference.options[0].1, value, "{text}");
            assert_eq!(reference.to_string().parse(), Ok(reference), "{text}");
        };
        check("a[b=l\"file\"]", "l\"file\"");
        check("a[b='say \"x, y\"']", "say \"x, y\"");
        check("a[b=\"it's, it\"]", "it's, it");
        check("a[b=it's \"x\"]", "it's \"x\"");
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        let refuse = |text: &str, place: &str, what: &str| {
            let error = text.parse::<FilterReference>().unwrap_err();
            assert_eq!(&text[error.span.clone()], place, "{error:?}");
            assert!(error.what.contains(what), "{error:?}");
        };
        refuse("", "", "without a name");
        refuse("[a=b]", "", "without a name");
        refuse("../x", "../x", "can't be a filter's name");
        refuse("a/b", "a/b", "can't be a filter's name");
        refuse(".hidden", ".hidden", "can't be a filter's name");
        refuse("é[a=b", "é[a=b", "`]` is missing");
        refuse("a[b]", "]", "name=value");
        refuse("a[b=\"c]", "\"", "quote");
        refuse("a[b=\"c\"d]", "d", "`,` or `]`");
        refuse("a[b=c]d", "d", "nothing may stand here");
        refuse("a[=c]", "=", "no option's name");
        refuse("a[İ=c]", "İ", "no option's name");
    }
}
