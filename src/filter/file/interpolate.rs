//! `%(name)s`, and all sections of a filter's files together.
//!
//! As in Python's `ConfigParser`, with fail2ban's additions: `%(section/option)s`, and
//! `%(known/option)s` for what an option was before a later file replaced it.

use std::collections::HashMap;

use super::ini::Sections;
use super::text::{Origin, Text};

/// `%(…)s` within `%(…)s`, at most (Python's).
const MAX_DEPTH: usize = 10;

/// What an option may grow to, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;

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

    /// What `%(name)s` in `section` stands for, if that is looked into in turn.
    fn looked_up(&self, section: &str, name: &str) -> Option<Text> {
        if let Some(text) = self.raw(section, name) {
            return Some(text.clone());
        }
        let (other, option) = name.split_once('/')?;
        let default = || self.defaults.get(option);
        match other {
            "default" => default(),
            "known" => {
                self.known.get(section).and_then(|known| known.get(option)).or_else(default)
            }
            _ => self.sections.get(other)?.get(option).or_else(default),
        }
        .cloned()
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
        let mut out = text.clone();
        let (mut line, mut at) = (0, 0);
        while let Some((content, origin)) = out.lines().get(line) {
            let Some(found) = content[at..].find('%') else {
                (line, at) = (line + 1, 0);
                continue;
            };
            let (start, origin) = (at + found, *origin);
            let mistake = |what: String, remedy: Option<&str>| Mistake {
                origin,
                what,
                remedy: remedy.map(str::to_owned),
            };
            let rest = &content[start..];
            if rest.starts_with("%%") {
                let percent = Text::given("%", origin);
                (line, at) = out.replace(line, start..start + 2, &percent);
                continue;
            }
            let Some(name) = rest.strip_prefix("%(").and_then(|rest| Some(rest.split_once(")s")?.0))
            else {
                let what = "a `%` that is neither `%%` nor `%(name)s`".to_owned();
                return Err(mistake(what, Some("for the character itself, write `%%`")));
            };
            let range = start..start + name.len() + 4;
            let name = name.to_lowercase();
            let literal = match name.as_str() {
                "__name__" => Some(Text::given(section, origin)),
                name => self.given.get(name).cloned(),
            };
            if let Some(value) = literal {
                (line, at) = out.replace(line, range, &value);
                continue;
            }
            let Some(value) = self.looked_up(section, &name) else {
                let what = format!("`%({name})s` names no option");
                let remedy = "set it, or include the file that does (`before = common.conf`)";
                return Err(mistake(what, Some(remedy)));
            };
            if depth > MAX_DEPTH {
                let what = format!("`%({name})s` leads more than {MAX_DEPTH} levels deep");
                return Err(mistake(what, Some("an option must not contain itself")));
            }
            let Some(left) = budget.checked_sub(value.len()) else {
                return Err(mistake("all `%(…)s` together become too long".to_owned(), None));
            };
            *budget = left;
            let value = self.expand(section, &value, depth + 1, budget)?;
            (line, at) = out.replace(line, range, &value);
        }
        Ok(out)
    }
}

/// Replaces `%(known/option)s` in the option itself by what it was `before`, so that
/// each of several files can add to it. (In fail2ban the second one leads to itself.)
fn put_back(value: &mut Text, option: &str, before: &Text) {
    let name = format!("%(known/{option})s");
    let (mut line, mut at) = (0, 0);
    while let Some((content, _)) = value.lines().get(line) {
        match content[at..].find(&name) {
            Some(found) if value.len() < MAX_TEXT => {
                let start = at + found;
                (line, at) = value.replace(line, start..start + name.len(), before);
            }
            _ => (line, at) = (line + 1, 0),
        }
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
