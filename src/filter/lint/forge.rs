//! Lines that an attacker could have written.
//!
//! An honest line is an example of the regex with the client's address in it. Three
//! things in its surroundings are not the daemon's own words: what a wildcard stands
//! for, what follows a match that may end anywhere, and the line around a match that may begin
//! and end anywhere. Each is filled with the rest of such a line, but with another address in
//! it, in some ways; the filter says whether one of them works.

use super::pieces::{Piece, VARIANTS, Wild};
use super::subject::{Addresses, Subject};

/// A forged line that works.
#[derive(Clone, Debug)]
pub(super) struct Forged {
    /// The line as the daemon writes it of a client that means no harm.
    pub(super) honest: String,
    pub(super) line: String,
    pub(super) addresses: Addresses,
    pub(super) by: By,
}

/// What makes the forgery work.
#[derive(Clone, Debug)]
pub(super) enum By {
    /// The attacker's text stands in this wildcard.
    Held(Wild),
    /// It stands behind the match, and the wildcard reaches for it.
    Reached(Wild),
    /// It is all that is matched, in a line that says something else.
    Embedded,
}

/// Searches for a forged line; `counts` says whether it works on the filter as a whole.
/// `budget` is how many lines may be tried; what is left of it, when the search ends.
pub(super) fn forge<'s>(
    subject: &'s Subject,
    budget: &'s mut u32,
    counts: impl Fn(&str, &str) -> bool,
) -> Option<Forged> {
    let mut search = Search { subject, addresses: subject.addresses(), left: budget, counts };
    let mut seen = Vec::new();
    VARIANTS.iter().find_map(|variant| {
        let pieces = subject.pieces(*variant)?;
        let honest = render(&pieces, search.addresses.real);
        if honest.contains('\n') || seen.contains(&honest) {
            return None;
        }
        seen.push(honest.clone());
        search.example(&pieces, honest)
    })
}

/// What only a regex without an anchor takes before or behind it.
const ANYTHING: &str = " <x> [x] (x) {x} x=x, 'x': /x\\x; \"x\" ";

struct Search<'s, F> {
    subject: &'s Subject,
    addresses: Addresses,
    left: &'s mut u32,
    counts: F,
}

impl<F: Fn(&str, &str) -> bool> Search<'_, F> {
    fn example(&mut self, pieces: &[Piece], honest: String) -> Option<Forged> {
        let address = pieces.iter().position(|piece| matches!(piece, Piece::Address))?;
        if !self.is_honest(&honest) {
            return None;
        }
        let by = By::Embedded;
        let (addresses, line) = (self.addresses, String::new());
        let forged = Forged { honest, line, addresses, by };
        self.held(pieces, address, &forged)
            .or_else(|| self.reached(pieces, address, &forged))
            .or_else(|| self.embedded(pieces, &forged))
    }

    /// Fills each wildcard.
    fn held(&mut self, pieces: &[Piece], address: usize, honest: &Forged) -> Option<Forged> {
        let mut sites: Vec<(usize, &Wild)> = wilds(pieces).collect();
        // Names that users choose are what attackers write.
        sites.sort_by_key(|(at, wild)| (*at > address, wild.group.is_none()));
        sites.into_iter().find_map(|(at, wild)| {
            let line = self.filled(pieces, address, (at, wild))?;
            Some(Forged { line, by: By::Held(wild.clone()), ..honest.clone() })
        })
    }

    fn filled(&mut self, pieces: &[Piece], address: usize, site: (usize, &Wild)) -> Option<String> {
        /// What goes around the text that is to be matched.
        const AROUND: [(&str, &str); 5] =
            [("x", ""), ("x", " "), ("", ""), ("x ", " x"), ("", " x")];
        let (at, wild) = site;
        let others = wilds(pieces).map(|(other, _)| other + 1);
        let mut starts: Vec<usize> = std::iter::once(at + 1)
            .chain(others)
            .chain([address, 0])
            .filter(|start| *start <= address)
            .collect();
        // Short texts first.
        starts.sort_by_key(|start| std::cmp::Reverse(*start));
        starts.dedup();
        let end = name_end(pieces, at, wild);
        let escaped = is_structured(&render(pieces, self.addresses.real));
        let before = render(&pieces[..at], self.addresses.real);
        let after = render(&pieces[at + 1..], self.addresses.real);
        for start in starts {
            let bait = render(&pieces[start..], self.addresses.forged);
            for (left, right) in AROUND {
                let text = format!("{left}{bait}{right}");
                let line = format!("{before}{text}{after}");
                if !(escaped && text.contains('"'))
                    && wild.may_hold(&text, end)
                    && self.works(&line)
                {
                    return Some(line);
                }
            }
        }
        None
    }

    /// Puts text behind a match that may end anywhere.
    fn reached(&mut self, pieces: &[Piece], address: usize, honest: &Forged) -> Option<Forged> {
        const AROUND: [(&str, &str); 2] = [(" user=\"x", "\""), (" (x", " x)")];
        let before: Vec<_> = wilds(pieces).filter(|(at, _)| *at < address).collect();
        if before.is_empty() || !self.is_honest(&format!("{}{ANYTHING}", honest.honest)) {
            return None;
        }
        for (at, wild) in before.into_iter().rev() {
            let bait = render(&pieces[at + 1..], self.addresses.forged);
            for (left, right) in AROUND {
                let line = format!("{}{left}{bait}{right}", honest.honest);
                if !bait.contains('"') && self.works(&line) {
                    let by = By::Reached(wild.clone());
                    return Some(Forged { line, by, ..honest.clone() });
                }
            }
        }
        None
    }

    /// Puts all that is matched into a line about something else. A text that ends the
    /// line would work with more regexes, but few daemons write one.
    fn embedded(&mut self, pieces: &[Piece], honest: &Forged) -> Option<Forged> {
        let (real, bait) = (self.addresses.real, render(pieces, self.addresses.forged));
        let open = |text: &str| format!("searched for \"{text}\" and found nothing");
        if bait.contains('"') || !self.is_honest(&format!("{ANYTHING}{}{ANYTHING}", honest.honest))
        {
            return None;
        }
        let lines = [format!("{real} {}", open(&bait)), format!("{} for {real}", open(&bait))];
        let line = lines.into_iter().find(|line| self.works(line))?;
        Some(Forged { line, by: By::Embedded, ..honest.clone() })
    }

    fn is_honest(&mut self, line: &str) -> bool {
        self.who(line).is_some_and(|who| who == self.addresses.real)
    }

    fn works(&mut self, line: &str) -> bool {
        !line.contains('\n')
            && self.who(line).is_some_and(|who| who == self.addresses.forged)
            && (self.counts)(line, self.addresses.forged)
    }

    fn who(&mut self, line: &str) -> Option<String> {
        *self.left = self.left.checked_sub(1)?;
        self.subject.who(line)
    }
}

fn wilds(pieces: &[Piece]) -> impl Iterator<Item = (usize, &Wild)> {
    pieces.iter().enumerate().filter_map(|(at, piece)| match piece {
        Piece::Wild(wild) => Some((at, wild)),
        _ => None,
    })
}

/// Is there JSON in it, or `key="value"`? Who writes those escapes the quotes of others.
fn is_structured(text: &str) -> bool {
    ["=\"", "\":", "\",\""].iter().any(|mark| text.contains(mark))
}

/// If users' names stand there, how it ends: what comes behind it. Single quotes are
/// around names, and are hardly ever escaped.
fn name_end(pieces: &[Piece], at: usize, wild: &Wild) -> Option<char> {
    let text = |at: Option<usize>| match pieces.get(at?)? {
        Piece::Text(text) => Some(text.as_str()),
        _ => None,
    };
    let end = text(Some(at + 1)).and_then(|text| text.chars().next()).unwrap_or(' ');
    let quoted = text(at.checked_sub(1)).is_some_and(|text| text.ends_with('\''));
    (wild.is_name() || quoted && end == '\'').then_some(end)
}

/// The line, or a part of it, with this address.
pub(super) fn render(pieces: &[Piece], address: &str) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Address => address.to_owned(),
        Piece::Content => String::new(),
        Piece::Wild(wild) => wild.word.clone(),
    };
    pieces.iter().map(text).collect()
}
