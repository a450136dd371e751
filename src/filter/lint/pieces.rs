//! A line that a regex matches, in pieces: what is fixed, where the address stands, and
//! what somebody else may write.
//!
//! It is read off the *gate* of the regex, which is linear and means the same or more;
//! whoever uses an example tries it on the real thing.

use std::ops::Range;

use regex_syntax::ast::{Alternation, Ast, Group, Repetition, RepetitionKind, RepetitionRange};
use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use crate::filter::RegexPlace;
use crate::filter::python::Translation;

/// A longer example is of no use.
const LONGEST: usize = 1024;
/// More pieces are not looked at: with `{…}` within `{…}` there could be any number.
const MOST: usize = 400;
/// What can be repeated as often holds an address and some words.
const WILD: u32 = 24;
/// Memory for the regex of a repeated group, in bytes.
const SIZE_LIMIT: usize = 256 << 10;

/// A part of an example.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// The regex leaves no choice, or none of interest.
    Text(String),
    /// Here stands the address.
    Address,
    /// What failregex sees of prefregex's line.
    Content,
    /// Here may be any text of a kind, as much as one likes.
    Wild(Wild),
}

/// A part of a regex that takes nearly anything.
#[derive(Clone, Debug)]
pub(super) struct Wild {
    /// In which regex.
    pub(super) place: RegexPlace,
    /// Where in the user's text.
    pub(super) span: Range<usize>,
    /// The named group around it.
    pub(super) group: Option<String>,
    holds: Holds,
    /// What it stands for in an honest line.
    pub(super) word: String,
}

#[derive(Clone, Debug)]
enum Holds {
    Class(ClassUnicode),
    Repeated(Box<regex::Regex>),
}

impl Wild {
    /// May an attacker have written `text` there? Where users' names stand, with `end`
    /// behind them, all that is any text but for blanks or that end is any text: a name
    /// can have them in it, though the regex has `\S` or `[^']`. It is the daemon that
    /// decides.
    pub(super) fn may_hold(&self, text: &str, end: Option<char>) -> bool {
        let any = |class: &ClassUnicode| {
            ('!'..='~').all(|char| contains(class, char) || Some(char) == end)
        };
        let name = end.is_some() && matches!(&self.holds, Holds::Class(class) if any(class));
        name || self.holds(text)
    }

    /// Is it in a group that names a user?
    pub(super) fn is_name(&self) -> bool {
        const USERS: [&str; 5] = ["user", "login", "name", "mail", "account"];
        let group = self.group.as_deref().unwrap_or_default();
        USERS.iter().any(|user| group.contains(user))
    }

    fn holds(&self, text: &str) -> bool {
        match &self.holds {
            Holds::Class(class) => text.chars().all(|char| contains(class, char)),
            Holds::Repeated(regex) => regex.is_match(text),
        }
    }
}

/// Which of the possible examples is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    /// Are optional parts there?
    pub(super) optional: bool,
    /// Which of several alternatives is taken.
    pub(super) branch: usize,
    /// What stands where anything may.
    pub(super) word: &'static str,
}

/// The examples that are made of a regex. Each is one of many.
pub(super) const VARIANTS: [Variant; 4] = [
    Variant { optional: false, branch: 0, word: "bob" },
    Variant { optional: true, branch: 0, word: "bob" },
    Variant { optional: true, branch: 1, word: "web" },
    Variant { optional: false, branch: 2, word: "web" },
];

/// What is known of the places for addresses in a filter's regexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Groups that are addresses or names of hosts.
    Hosts,
    /// There are none, only identifiers.
    Ids,
}

impl Naming {
    pub(super) fn is_address(self, group: &str) -> bool {
        match self {
            Naming::Hosts => matches!(group, "ip4" | "ip6" | "dns"),
            Naming::Ids => group == "fid",
        }
    }
}

/// The pieces of an example of the regex at `place`; `None` if there is no short one.
pub(super) fn example(
    regex: &Translation,
    place: RegexPlace,
    naming: Naming,
    variant: Variant,
) -> Option<Vec<Piece>> {
    let ast = regex_syntax::ast::parse::Parser::new().parse(regex.gate.text()).ok()?;
    let mut maker =
        Maker { regex, place, naming, variant, group: None, digits: 0, length: 0, out: Vec::new() };
    maker.add(&ast)?;
    Some(maker.out)
}

/// The pieces of a whole line: what failregex sees, in its place in prefregex's example.
pub(super) fn joined(pref: Option<Vec<Piece>>, fail: Vec<Piece>) -> Vec<Piece> {
    let Some(pref) = pref else { return fail };
    let Some(at) = pref.iter().position(|piece| matches!(piece, Piece::Content)) else {
        return fail;
    };
    let mut line = pref;
    line.splice(at..=at, fail);
    line.retain(|piece| !matches!(piece, Piece::Content));
    line
}

struct Maker<'r> {
    regex: &'r Translation,
    place: RegexPlace,
    naming: Naming,
    variant: Variant,
    /// The named group that is open.
    group: Option<String>,
    /// How many digits were written: they spell a date.
    digits: usize,
    length: usize,
    out: Vec<Piece>,
}

impl Maker<'_> {
    fn push(&mut self, text: &str) -> Option<()> {
        self.length += text.len();
        match self.out.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.out.push(Piece::Text(text.to_owned())),
        }
        (self.length <= LONGEST && self.out.len() <= MOST).then_some(())
    }

    fn add(&mut self, ast: &Ast) -> Option<()> {
        match ast {
            Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => Some(()),
            Ast::Literal(literal) => self.push(literal.c.encode_utf8(&mut [0; 4])),
            Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => {
                let class = class(self.regex.gate.text(), ast)?;
                self.char_of(&class)
            }
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::Group(group) => self.group(group),
            Ast::Alternation(choices) => self.alternation(choices),
            Ast::Concat(parts) => parts.asts.iter().try_for_each(|part| self.add(part)),
        }
    }

    fn char_of(&mut self, class: &ClassUnicode) -> Option<()> {
        const USUAL: &str = "aJ1-/. ";
        const DATE: &str = "20121212121212";
        let digits = contains(class, '0') || contains(class, '1') || contains(class, '2');
        let char = if digits && !contains(class, 'a') && !contains(class, '/') {
            let next = DATE.chars().cycle().nth(self.digits)?;
            self.digits = (self.digits + 1) % DATE.len();
            std::iter::once(next).chain('0'..='9').find(|char| contains(class, *char))
        } else {
            USUAL.chars().chain('!'..='~').find(|char| contains(class, *char))
        };
        let char = char.or_else(|| class.ranges().first().map(ClassUnicodeRange::start))?;
        self.push(char.encode_utf8(&mut [0; 4]))
    }

    fn repetition(&mut self, repetition: &Repetition) -> Option<()> {
        let gate = &self.regex.gate;
        let span = repetition.span.start.offset..repetition.span.end.offset;
        let user = gate.origin(span.clone());
        let tag = |group: &crate::filter::python::Group| {
            group.span == user && self.naming.is_address(&group.name)
        };
        if self.regex.groups.iter().any(tag) {
            // A part of a tag that is not the address itself.
            return Some(());
        }
        let (min, max) = bounds(&repetition.op.kind);
        if self.names_somebody(&repetition.ast) {
            return (0..min.max(1)).take(1).try_for_each(|_| self.add(&repetition.ast));
        }
        if max.is_none_or(|max| max >= WILD)
            && let Some(wild) = self.wild(repetition, user)
        {
            self.length += wild.word.len();
            self.out.push(Piece::Wild(wild));
            return (self.length <= LONGEST && self.out.len() <= MOST).then_some(());
        }
        let times = match (min, max) {
            (0, _) => u32::from(self.variant.optional),
            (1, Some(2)) => 2,
            _ => min,
        };
        if let Some(month) = self.month(times, &repetition.ast) {
            return self.push(month);
        }
        (0..times).try_for_each(|_| self.add(&repetition.ast))
    }

    /// Three letters in a row are a month, and so are two after a capital.
    fn month(&self, times: u32, ast: &Ast) -> Option<&'static str> {
        let month = match (times, self.out.last()) {
            (3, _) => "Jan",
            (2, Some(Piece::Text(text))) if text.ends_with('J') => "an",
            _ => return None,
        };
        let class = class(self.regex.gate.text(), ast)?;
        month.chars().all(|char| contains(&class, char)).then_some(month)
    }

    /// `repetition` as a place for any text, if it takes an address at least.
    fn wild(&self, repetition: &Repetition, span: Range<usize>) -> Option<Wild> {
        let text = self.regex.gate.text();
        let whole = repetition.span.start.offset..repetition.span.end.offset;
        let holds = match class(text, &repetition.ast) {
            Some(class) => Holds::Class(class),
            None => {
                let pattern = format!(r"\A(?:{})\z", &text[whole]);
                let regex = regex::RegexBuilder::new(&pattern).size_limit(SIZE_LIMIT).build();
                Holds::Repeated(Box::new(regex.ok()?))
            }
        };
        let (place, group) = (self.place, self.group.clone());
        let mut wild = Wild { place, span, group, holds, word: String::new() };
        if !wild.holds("192.0.2.66") && !wild.holds("a 192.0.2.66 ") {
            return None;
        }
        let glued = match self.out.last() {
            Some(Piece::Text(text)) => {
                text.ends_with(|c: char| c.is_alphanumeric() || "])>".contains(c))
            }
            _ => false,
        };
        let words = [" as bob ", self.variant.word, "bob ", "/bob", "1", "a b "];
        let words = words.iter().skip(usize::from(!glued));
        wild.word = words.copied().find(|word| wild.holds(word))?.to_owned();
        Some(wild)
    }

    fn group(&mut self, group: &Group) -> Option<()> {
        let start = group.span.start.offset;
        let opening = self.regex.gate.origin(start..start + 1);
        let mut names = self.regex.groups.iter().filter(|named| named.span == opening);
        let names: Vec<&str> = names.by_ref().map(|named| named.name.as_str()).collect();
        if names.iter().any(|name| self.naming.is_address(name)) {
            self.length += "255.255.255.255".len();
            self.out.push(Piece::Address);
            return Some(());
        }
        match names.as_slice() {
            ["cidr"] => return self.push("32"),
            ["content"] if self.place == RegexPlace::Pref => {
                self.out.push(Piece::Content);
                return Some(());
            }
            _ => {}
        }
        let outer = self.group.clone();
        if let Some(name) = names.first() {
            self.group = Some((*name).to_owned());
        }
        self.add(&group.ast)?;
        self.group = outer;
        Some(())
    }

    fn alternation(&mut self, choices: &Alternation) -> Option<()> {
        let named: Vec<&Ast> =
            choices.asts.iter().filter(|choice| self.names_somebody(choice)).collect();
        let all: Vec<&Ast> = choices.asts.iter().collect();
        let from = if named.is_empty() { all } else { named };
        let choice = from.get(self.variant.branch % from.len().max(1))?;
        self.add(choice)
    }

    /// Is there a place for an address, or for failregex's text, in `ast`?
    fn names_somebody(&self, ast: &Ast) -> bool {
        let span = ast.span();
        let gate = &self.regex.gate;
        let user = gate.origin(span.start.offset..span.end.offset);
        self.regex.groups.iter().any(|group| {
            let wanted = self.naming.is_address(&group.name) || group.name == "content";
            wanted && user.start <= group.span.start && group.span.end <= user.end
        })
    }
}

/// The characters that `ast` takes, if it takes single characters.
fn class(text: &str, ast: &Ast) -> Option<ClassUnicode> {
    let single = match ast {
        Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => ast,
        Ast::Group(group) => return class(text, &group.ast),
        _ => return None,
    };
    let hir = Translator::new().translate(text, single).ok()?;
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class.clone()),
        HirKind::Literal(literal) => {
            let char = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(ClassUnicode::new([ClassUnicodeRange::new(char, char)]))
        }
        _ => None,
    }
}

fn contains(class: &ClassUnicode, char: char) -> bool {
    class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&char))
}

fn bounds(kind: &RepetitionKind) -> (u32, Option<u32>) {
    match kind {
        RepetitionKind::ZeroOrOne => (0, Some(1)),
        RepetitionKind::ZeroOrMore => (0, None),
        RepetitionKind::OneOrMore => (1, None),
        RepetitionKind::Range(RepetitionRange::Exactly(n)) => (*n, Some(*n)),
        RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (*n, None),
        RepetitionKind::Range(RepetitionRange::Bounded(min, max)) => (*min, Some(*max)),
    }
}
