//! Which entries of the journal a jail looks at.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Terms as journalctl and fail2ban write them: `_SYSTEMD_UNIT=ssh.service _COMM=sshd`.
///
/// Terms of one field: any of them; of several fields: all of them; `+`, or a line of
/// its own, begins an alternative. What has a blank in it is quoted.
///
/// ```
/// use guard::model::JournalMatch;
///
/// let terms: JournalMatch = "_COMM=sshd _COMM=sshd-session + UNIT='my unit'".parse().unwrap();
/// let fits = |fields: &[&str]| terms.fits(|wanted| fields.contains(&wanted));
/// assert!(fits(&["_COMM=sshd"]) && fits(&["_COMM=sshd-session"]) && fits(&["UNIT=my unit"]));
/// assert!(!fits(&["_COMM=cron"]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalMatch {
    /// Alternatives; of each, the terms by field.
    groups: Vec<Vec<Vec<String>>>,
}

/// What is wrong with match terms, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct InvalidMatch {
    /// The bytes that are wrong.
    pub span: Range<usize>,
    /// What is wrong with them.
    pub what: String,
    /// How to mend it.
    pub remedy: String,
}

/// Most terms.
const MAX_TERMS: usize = 64;
/// The longest term.
const MAX_TERM: usize = 1024;
/// The longest name of a field, as journald has it.
const MAX_FIELD: usize = 64;

impl JournalMatch {
    /// The alternatives: for each, the terms of each field.
    pub fn groups(&self) -> &[Vec<Vec<String>>] {
        &self.groups
    }

    /// Does an entry fit that has what `has` says it has?
    pub fn fits(&self, mut has: impl FnMut(&str) -> bool) -> bool {
        let mut any = |terms: &Vec<String>| terms.iter().any(|term| has(term));
        self.groups.iter().any(|fields| fields.iter().all(&mut any))
    }
}

/// The terms as they can be read again, those of a field together.
impl fmt::Display for JournalMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fields) in self.groups.iter().enumerate() {
            f.write_str(if at > 0 { " + " } else { "" })?;
            for (at, term) in fields.iter().flatten().enumerate() {
                f.write_str(if at > 0 { " " } else { "" })?;
                let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\');
                match term.chars().all(plain) {
                    true => f.write_str(term)?,
                    false => write!(f, "'{}'", term.replace('\'', "'\\''"))?,
                }
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for JournalMatch {
    type Err = InvalidMatch;

    fn from_str(text: &str) -> Result<Self, InvalidMatch> {
        let wrong = |span: Range<usize>, what: &str, remedy: &str| InvalidMatch {
            span,
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        };
        let mut groups: Vec<BTreeMap<String, Vec<String>>> = vec![BTreeMap::new()];
        // Where a `+` stands that nothing came after yet.
        let mut open: Option<Range<usize>> = None;
        let mut count = 0;
        for word in words(text)? {
            let begun = groups.last().is_some_and(|group| !group.is_empty());
            match word.kind {
                WordKind::NewLine if begun => groups.push(BTreeMap::new()),
                WordKind::NewLine => {}
                WordKind::Or if !begun => {
                    let what = "`+` stands between alternatives, and there is none before it";
                    return Err(wrong(word.span, what, "remove it"));
                }
                WordKind::Or => {
                    groups.push(BTreeMap::new());
                    open = Some(word.span);
                }
                WordKind::Term => {
                    count += 1;
                    if count > MAX_TERMS {
                        let what = format!("more than {MAX_TERMS} terms");
                        return Err(wrong(word.span, &what, "make it several jails"));
                    }
                    let field = check(&word)?;
                    open = None;
                    if let Some(group) = groups.last_mut() {
                        group.entry(field).or_default().push(word.text);
                    }
                }
            }
        }
        if let Some(span) = open {
            let what = "`+` stands between alternatives, and there is none behind it";
            return Err(wrong(span, what, "remove it"));
        }
        groups.retain(|group| !group.is_empty());
        if groups.is_empty() {
            let remedy = "write terms such as `_SYSTEMD_UNIT=ssh.service`";
            return Err(wrong(0..text.len(), "there are no match terms", remedy));
        }
        let groups = groups.into_iter().map(|group| group.into_values().collect()).collect();
        Ok(JournalMatch { groups })
    }
}

/// The field of a term that can be one.
fn check(word: &Word) -> Result<String, InvalidMatch> {
    let Range { start, end } = word.span;
    let wrong = |span: Range<usize>, what: String, remedy: &str| InvalidMatch {
        span,
        what,
        remedy: remedy.to_owned(),
    };
    let Some((field, _)) = word.text.split_once('=') else {
        let remedy = match word.text.ends_with(".service") {
            true => "write `_SYSTEMD_UNIT=` before the unit's name",
            false => "write `FIELD=value`, such as `_SYSTEMD_UNIT=ssh.service`",
        };
        return Err(wrong(start..end, "a term has the form `FIELD=value`".to_owned(), remedy));
    };
    if word.text.len() > MAX_TERM {
        let what = format!("the term is longer than {MAX_TERM} bytes");
        return Err(wrong(start..end, what, "match another field"));
    }
    let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let first = field.chars().next();
    if first.is_none_or(|c| c.is_ascii_digit()) || !field.chars().all(good) {
        // Quotes and backslashes are not in the word any more.
        let span = start..end.min(start + field.len().max(1));
        let remedy = match field.to_ascii_uppercase() {
            upper if field != upper && upper.chars().all(good) => {
                format!("fields are written in capitals: `{upper}`")
            }
            _ => "fields are capitals, digits and `_`, such as `_COMM`".to_owned(),
        };
        return Err(wrong(span, "this is no name of a field".to_owned(), &remedy));
    }
    if field.len() > MAX_FIELD {
        let what = format!("the name of a field has at most {MAX_FIELD} letters");
        return Err(wrong(start..start + field.len(), what, "no entry has this one"));
    }
    Ok(field.to_owned())
}

struct Word {
    span: Range<usize>,
    kind: WordKind,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WordKind {
    Term,
    Or,
    NewLine,
}

/// The words of the text, as a shell would see them.
fn words(text: &str) -> Result<Vec<Word>, InvalidMatch> {
    let mut words = Vec::new();
    let mut open: Option<Word> = None;
    let mut quote: Option<(usize, char)> = None;
    let mut quoted = false;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (letter, quote) {
            (_, Some((_, end))) if letter == end => quote = None,
            ('"' | '\'', None) => {
                quote = Some((at, letter));
                quoted = true;
                open.get_or_insert_with(|| Word::at(at));
            }
            (_, None) if letter.is_whitespace() => {
                words.extend(open.take().map(|word| word.ended(at, quoted)));
                quoted = false;
                if letter == '\n' {
                    words.push(Word { kind: WordKind::NewLine, ..Word::at(at) });
                }
            }
            ('\\', None | Some((_, '"'))) => {
                quoted = true;
                let word = open.get_or_insert_with(|| Word::at(at));
                word.text.extend(letters.next().map(|(_, letter)| letter));
            }
            _ => open.get_or_insert_with(|| Word::at(at)).text.push(letter),
        }
    }
    if let Some((at, quote)) = quote {
        return Err(InvalidMatch {
            span: at..at + 1,
            what: format!("the quote {quote} is not closed"),
            remedy: "close it".to_owned(),
        });
    }
    words.extend(open.take().map(|word| word.ended(text.len(), quoted)));
    Ok(words)
}

impl Word {
    fn at(at: usize) -> Word {
        Word { span: at..at, kind: WordKind::Term, text: String::new() }
    }

    fn ended(self, at: usize, quoted: bool) -> Word {
        let kind = if self.text == "+" && !quoted { WordKind::Or } else { self.kind };
        Word { span: self.span.start..at, kind, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(text: &str) -> Vec<Vec<Vec<String>>> {
        text.parse::<JournalMatch>().unwrap().groups
    }

    #[test]
    fn terms() {
        assert_eq!(groups("A=1"), [[["A=1"]]]);
        assert_eq!(groups("A=1 B=2 A=3"), [[vec!["A=1", "A=3"], vec!["B=2"]]]);
        assert_eq!(groups(" A=1 +  B=2\n"), [[["A=1"]], [["B=2"]]]);
        assert_eq!(groups("A=1\n\nB=2 C=3"), [vec![["A=1"]], vec![["B=2"], ["C=3"]]]);
        assert_eq!(groups("A='x y' 'B=+' C=a\\ b\\+"), [[["A=x y"], ["B=+"], ["C=a b+"]]]);
        assert_eq!(groups("_A=x=y="), [[["_A=x=y="]]]);
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["B=1 A=2 B=3", "A='x y' + B='it'\\''s' + C=\"q\\\"\"", "A=a\\\\b\nB=\u{e9}"] {
            let terms: JournalMatch = text.parse().unwrap();
            assert_eq!(terms.to_string().parse(), Ok(terms), "{text}");
        }
        let terms: JournalMatch = "B=1 A=2\nC=3".parse().unwrap();
        assert_eq!(terms.to_string(), "A=2 B=1 + C=3");
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let check = |text: &str, place: &str, what: &str| {
            let error = text.parse::<JournalMatch>().unwrap_err();
            assert_eq!(&text[error.span.clone()], place, "{text}: {error}");
            assert!(error.what.contains(what) || error.remedy.contains(what), "{error:?}");
        };
        check("", "", "no match terms");
        check("  \n", "  \n", "no match terms");
        check("A=1 + ", "+", "behind");
        check("+ A=1", "+", "before");
        check("A=1 + + B=1", "+", "before");
        check("A=1 ssh.service", "ssh.service", "_SYSTEMD_UNIT=");
        check("A=1 _comm=sshd", "_comm", "`_COMM`");
        check("A=1 =x", "=", "capitals, digits");
        check("1A=x", "1A", "capitals, digits");
        check("A=1 B='x", "'", "not closed");
        check(&format!("{}=1", "A".repeat(65)), &"A".repeat(65), "64");
        let long = format!("A={}", "x".repeat(2000));
        check(&long, &long, "1024");
        assert!("A=1 ".repeat(65).parse::<JournalMatch>().is_err());
        assert!("é=1".parse::<JournalMatch>().is_err());
    }
}
