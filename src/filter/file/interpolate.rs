//! `%(name)s`, and all sections of a filter's files together.
//!
//! As in Python's `ConfigParser`, with fail2ban's additions: `%(section/option)s`, and
//! `%(known/option)s` for what an option was before a later file replaced it.

use std::collections::HashMap;

use super::ini::Sections;
use super::text::{Builder, Origin, Text};

/// `%(…)s` within `%(…)s`, at most (Python's).
const MAX_DEPTH: usize = 10;

/// What an option may grow to, in bytes.
pub(super) const MAX_TEXT: usize = 256 << 10;

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) origin: Origin,
    pub(super) what: String,
    pub(super) remedy: Option<String>,
}

/// The sections of several files, later files over earlier ones.
#[derive(Debug, Default)]
pub(super) struct Config {
    sections: HashMap<String, HashMap<String, Text>>,
    /// What options were before they were replaced, by section.
    known: HashMap<String, HashMap<String, Text>>,
    /// `[DEFAULT]`.
    defaults: HashMap<String, Text>,
    /// What the caller gives: goes before everything that the files say, as it is.
    given: HashMap<String, Text>,
}

impl Config {
    pub(super) fn new(given: HashMap<String, Text>) -> Config {
        Config { given, ..Config::default() }
    }

    /// Reads one more file over those before.
    pub(super) fn merge(&mut self, sections: Sections) {
        for (name, options) in sections {
            if name == "DEFAULT" {
                self.defaults.extend(options);
                continue;
            }
            // [Init?family=inet6] is [Init], each option with the condition.
            let (name, condition) = match name.find('?') {
                Some(at) => (name[..at].to_owned(), name[at..].to_owned()),
                None => (name, String::new()),
            };
            let is_new = !self.sections.contains_key(&name);
            let section = self.sections.entry(name.clone()).or_default();
            for (option, mut value) in options {
                let option = format!("{option}{condition}");
                if let Some(before) = section.get(&option) {
                    put_back(&mut value, &option, before);
                }
                let before = section.insert(option.clone(), value);
                if let Some(before) = before.filter(|_| !is_new) {
                    self.known.entry(name.clone()).or_default().insert(option, before);
                }
            }
        }
    }

    /// Reads what other files say over what is there; their numbers begin at `shift`.
    pub(super) fn extend(&mut self, later: Config, shift: usize) {
        let sections = later.sections.into_iter().map(|(name, options)| {
            let options = options.into_iter().map(|(name, text)| (name, text.shifted(shift)));
            (name, options.collect())
        });
        self.merge(sections.collect());
        let defaults = later.defaults.into_iter();
        self.defaults.extend(defaults.map(|(name, text)| (name, text.shifted(shift))));
        self.given.extend(later.given);
    }

    /// Sets an option of a section.
    pub(super) fn set(&mut self, section: &str, option: &str, value: Text) {
        let options = self.sections.entry(section.to_owned()).or_default();
        options.insert(option.to_owned(), value);
    }

    pub(super) fn has(&self, section: &str, option: &str) -> bool {
        self.sections.get(section).is_some_and(|options| options.contains_key(option))
    }

    /// Gives an option that the caller left open.
    pub(super) fn give(&mut self, option: &str, value: &str) {
        self.given.insert(option.to_owned(), Text::given(value, Origin::default()));
    }

    pub(super) fn is_given(&self, option: &str) -> bool {
        self.given.contains_key(option)
    }

    /// The section's own options, by name.
    pub(super) fn own(&self, section: &str) -> Vec<String> {
        let mut names: Vec<_> =
            self.sections.get(section).into_iter().flat_map(HashMap::keys).cloned().collect();
        names.sort();
        names
    }

    /// An option with everything in it replaced; `None`: there is none.
    ///
    /// # Errors
    /// A `%` that means nothing, a name that is unknown, or too much of it all.
    pub(super) fn get(&self, section: &str, option: &str) -> Result<Option<Text>, Mistake> {
        let option = option.to_lowercase();
        if let Some(given) = self.given.get(&option) {
            return Ok(Some(given.clone()));
        }
        self.raw(section, &option).map(|text| self.interpolated(section, text)).transpose()
    }

    /// The same for `section/option`, `known/option` and `default/option`.
    pub(super) fn get_elsewhere(&self, name: &str) -> Result<Option<Text>, Mistake> {
        let Some((section, option)) = name.split_once('/') else { return Ok(None) };
        let option = option.to_lowercase();
        let section = section.trim();
        if section.eq_ignore_ascii_case("known") {
            return match self.known.get("Definition").and_then(|known| known.get(&option)) {
                Some(text) => self.interpolated("Definition", text).map(Some),
                None => self.get("Definition", &option),
            };
        }
        let text = if section.eq_ignore_ascii_case("default") {
            self.defaults.get(&option)
        } else {
            let own = self.sections.get(section);
            own.and_then(|own| own.get(&option).or_else(|| self.defaults.get(&option)))
        };
        text.map(|text| self.interpolated(section, text)).transpose()
    }

    fn raw(&self, section: &str, option: &str) -> Option<&Text> {
        let own = self.sections.get(section).and_then(|own| own.get(option));
        own.or_else(|| self.defaults.get(option))
    }

    /// What `%(name)s` in `section` stands for.
    fn looked_up(&self, section: &str, name: &str) -> Looked {
        if name == "__name__" {
            return Looked::Literal(Text::given(section, Origin::default()));
        }
        if let Some(given) = self.given.get(name) {
            return Looked::Literal(given.clone());
        }
        let elsewhere = || {
            let (other, option) = name.split_once('/')?;
            let default = || self.defaults.get(option);
            match other {
                "default" => default(),
                "known" => {
                    self.known.get(section).and_then(|known| known.get(option)).or_else(default)
                }
                _ => self.sections.get(other)?.get(option).or_else(default),
            }
        };
        match self.raw(section, name).or_else(elsewhere) {
            Some(text) => Looked::Up(text.clone()),
            None => Looked::Unknown,
        }
    }

    fn interpolated(&self, section: &str, text: &Text) -> Result<Text, Mistake> {
        let mut budget = MAX_TEXT;
        self.expand(section, text, 1, &mut budget)
    }

    fn expand(
        &self,
        section: &str,
        text: &Text,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Text, Mistake> {
        let mut out = Builder::default();
        for (line, origin) in text.lines() {
            let mistake = |what: String, remedy: &str| Mistake {
                origin: *origin,
                what,
                remedy: Some(remedy.to_owned()),
            };
            let mut rest = line.as_str();
            while let Some((before, after)) = rest.split_once('%') {
                out.push(before, *origin);
                if let Some(after) = after.strip_prefix('%') {
                    out.push("%", *origin);
                    rest = after;
                    continue;
                }
                let Some((name, after)) = after.strip_prefix('(').and_then(|r| r.split_once(")s"))
                else {
                    let what = "a `%` that is neither `%%` nor `%(name)s`".to_owned();
                    return Err(mistake(what, "for the character itself, write `%%`"));
                };
                rest = after;
                let value = match self.looked_up(section, &name.to_lowercase()) {
                    Looked::Up(_) if depth > MAX_DEPTH => {
                        let what = format!("`%({name})s` leads more than {MAX_DEPTH} levels deep");
                        return Err(mistake(what, "an option must not contain itself"));
                    }
                    Looked::Up(value) => self.expand(section, &value, depth + 1, budget)?,
                    Looked::Literal(value) => value,
                    Looked::Unknown => {
                        let what = format!("`%({name})s` names no option");
                        let remedy = "set it, or include the file that does \
                                      (`before = common.conf`)";
                        return Err(mistake(what, remedy));
                    }
                };
                out.push_text(&value, *origin);
                let Some(left) = budget.checked_sub(value.len()) else {
                    let what = "all `%(…)s` together become too long".to_owned();
                    return Err(mistake(what, "write less of it"));
                };
                *budget = left;
            }
            out.push(rest, *origin);
            out.end_line();
        }
        Ok(out.built())
    }
}

/// What a name stands for.
enum Looked {
    /// Text that is looked into in turn.
    Up(Text),
    Literal(Text),
    Unknown,
}

/// Replaces `%(known/option)s` in the option itself by what it was `before`, so that
/// each of several files can add to it. (In fail2ban the second one leads to itself.)
fn put_back(value: &mut Text, option: &str, before: &Text) {
    if value.len() + before.len() < MAX_TEXT {
        value.replace_all(&format!("%(known/{option})s"), before);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ini;
    use super::*;

    fn config(files: &[&str]) -> Config {
        let mut config = Config::default();
        for (number, text) in files.iter().enumerate() {
            config.merge(ini::parse(text, number).unwrap());
        }
        config
    }

    #[track_caller]
    fn check(files: &[&str], option: &str, value: &str) {
        let found = config(files).get("Definition", option).unwrap();
        assert_eq!(found.map(|text| text.to_string()).as_deref(), Some(value));
    }

    #[track_caller]
    fn refuse(text: &str, what: &str) {
        let mistake = config(&[text]).get("Definition", "x").unwrap_err();
        assert!(mistake.what.contains(what), "{mistake:?}");
        assert_eq!(mistake.origin.line, 2);
    }

    #[test]
    fn names_are_replaced() {
        check(&["[Definition]\nx = a%(Y)sb\ny = 1%(z)s\nz=%%2\n"], "x", "a1%2b");
        check(&["[DEFAULT]\ny = 1\n[Definition]\nx = %(y)s\n"], "x", "1");
        check(&["[Definition]\nx = %(__name__)s\n"], "x", "Definition");
        check(&["[Definition]\nx = a\n %(y)s\n b\ny = 1\n 2\n"], "x", "a\n1\n2\nb");
    }

    #[test]
    fn other_sections_and_what_was_before() {
        let sections = "[one]\np = 1%(q)s\n[Definition]\nq = 2\nx = %(one/p)s\n";
        check(&[sections], "x", "12");
        check(&["[DEFAULT]\np = 1\n[one]\n[Definition]\nx = %(one/p)s%(default/p)s\n"], "x", "11");
        let local = "[Definition]\nx = %(known/x)s\n b\n";
        check(&["[Definition]\nx = a\n", local], "x", "a\nb");
        check(&["[Definition]\nx = a\n", "[DEFAULT]\nx = b\n"], "x", "a");
        check(&["[Definition]\nx = a\n", "[Definition]\nx = b\n"], "x", "b");
    }

    #[test]
    fn mistakes() {
        refuse("[Definition]\nx = 5% of\n", "neither `%%`");
        refuse("[Definition]\nx = %(y)s\n", "`%(y)s` names no option");
        refuse("[Definition]\nx = %(x)s\n", "levels deep");
        refuse("[Definition]\nx = %(Other/y)s\n[Other]\ny = 1\n", "names no option");
        let mut bomb = "[Definition]\nx = %(a0)s\n".to_owned();
        for level in 0..8 {
            let next = format!("%(a{})s", level + 1).repeat(20);
            bomb.push_str(&format!("a{level} = {next}\n"));
        }
        bomb.push_str("a8 = boom\n");
        let mistake = config(&[&bomb]).get("Definition", "x").unwrap_err();
        assert!(mistake.what.contains("too long"), "{mistake:?}");
    }
}
