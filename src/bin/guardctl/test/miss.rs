//! The first missed lines, each with what came nearest to it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use guard::filter::{Carrier, Judge, Near, Nearest, Phase, Stop};
use guard::model::Timestamp;

use super::setup::Setup;
use crate::catalog::text_of;
use crate::shown::{head, tail};

/// So many are shown.
const MAX_SHOWN: usize = 20;

/// So much of a line is shown, in characters.
const LINE: usize = 300;

/// So much of a regex, and of a text that matches, is shown, in characters.
const PART: usize = 60;

/// A line that is shown.
#[derive(Debug)]
struct Miss {
    number: u64,
    line: String,
    why: Vec<String>,
}

/// Missed lines.
#[derive(Debug)]
pub(super) struct Misses {
    first: Vec<Miss>,
    /// Looks at each line, where the judge of the log may need only a glance.
    judge: Judge,
    /// The clock, where it stands still.
    now: Option<Timestamp>,
    /// `None`: not needed yet.
    nearest: Option<Nearest>,
}

impl Misses {
    pub(super) fn new(setup: &Setup, now: Option<Timestamp>) -> Misses {
        let filter = Arc::new(setup.filter.thorough());
        let judge = Judge::new(filter, setup.zone.clone(), Duration::MAX).on(setup.carrier);
        Misses { first: Vec::new(), judge, now, nearest: None }
    }

    /// Are there fewer than are shown?
    pub(super) fn wants_more(&self) -> bool {
        self.first.len() < MAX_SHOWN
    }

    /// `judge` has missed line `number`. Blank lines are of no interest.
    pub(super) fn note(&mut self, number: u64, text: &str, judge: &Judge, setup: &Setup) {
        if !self.wants_more() || text.trim().is_empty() {
            return;
        }
        let together = setup.spec.max_lines > 1;
        let seen = if together {
            judge.seen()
        } else {
            let now = self.now.unwrap_or_else(Timestamp::now);
            let at = (setup.carrier == Carrier::Journal).then_some(now);
            self.judge.feed_text(text, at, now, Phase::Replay);
            self.judge.seen()
        };
        if self.nearest.is_none() {
            self.nearest = Nearest::new(&setup.spec);
        }
        let near = self.nearest.as_mut().and_then(|nearest| nearest.look(seen));
        let mut why: Vec<String> = near.map(|near| told(&near, setup)).into_iter().collect();
        // A date is cut out of what the regexes see.
        let dateless = !together && seen.trim_end().ends_with(text.trim());
        if dateless && setup.carrier == Carrier::Log {
            why.push("no date was found in it".to_owned());
        }
        self.first.push(Miss { number, line: head(text, LINE), why });
    }

    /// Shows them; `all` is how many there were.
    ///
    /// # Errors
    /// What is printed into is gone or full.
    pub(super) fn show(&self, out: &mut impl Write, all: u64) -> io::Result<()> {
        if self.first.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nMissed lines, {} of {all}, blank ones left out:", self.first.len())?;
        for miss in &self.first {
            writeln!(out, "{:>6}: {}", miss.number, miss.line)?;
            for why in &miss.why {
                writeln!(out, "        {why}")?;
            }
        }
        Ok(())
    }
}

/// What came near, and where it stopped.
fn told(near: &Near, setup: &Setup) -> String {
    let regex = format!("{} ({})", near.place, setup.places.told(near.place));
    let text = near.text.trim_end_matches('\n');
    let end = near.matched.end.min(text.len());
    let (matched, rest) = (&text[near.matched.start.min(end)..end], &text[end..]);
    let matched = tail(matched, PART);
    match &near.stop {
        Stop::At(part) => {
            let whole = text_of(&setup.spec, near.place);
            let part = head(whole.get(part.clone()).unwrap_or_default(), PART);
            let rest =
                if rest.is_empty() { "the end".into() } else { format!("`{}`", head(rest, PART)) };
            if matched.is_empty() {
                format!("{regex} does not match: {rest} is not `{part}`")
            } else {
                format!("nearest: {regex} matches `{matched}`, but then {rest} is not `{part}`")
            }
        }
        Stop::Blank => format!(
            "nearest: {regex} would match `{matched}` but for the blank before it, where the \
             date was: begin it with `^\\s*`"
        ),
        Stop::Irregular => format!(
            "nearest: {regex} matches but for its look-arounds, back-references or conditionals"
        ),
        Stop::Nobody => {
            let dns = setup.spec.use_dns;
            format!("{regex} matches, but finds no address (usedns is {dns})")
        }
    }
}
