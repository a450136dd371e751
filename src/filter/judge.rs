//! A filter's state on one source, and its verdict on each line.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use regex::Captures;

use super::Filter;
use super::dates::{Dates, Found};
use super::time::{LineTimes, Phase, ZoneHint};
use crate::model::{Address, Line, Network, Timestamp};

/// A log line must not ban half the net: a prefix shorter than these that
/// `<SUBNET>` finds counts as the one address.
const SHORTEST: (u8, u8) = (16, 32);

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to the filter.
    Missed,
    /// A failure, but for an ignoreregex.
    Ignored,
    /// A failure that is too old to count.
    TooOld,
    /// A failure.
    Failure(Hit),
}

/// A failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Who failed.
    pub network: Network,
    /// When.
    pub at: Timestamp,
    /// The index of the failregex that matched.
    pub regex: usize,
}

/// Judges the lines of one source, in order.
#[derive(Debug)]
pub struct Judge {
    filter: Arc<Filter>,
    find_time: Duration,
    dates: Dates,
    times: LineTimes,
    /// The text that the regexes see; kept for its room.
    text: String,
    /// The line without colours; kept for its room.
    plain: String,
}

impl Judge {
    /// A judge of a source that has not begun. Dates without a zone are read in `zone`.
    pub fn new(filter: Arc<Filter>, zone: TimeZone, find_time: Duration) -> Judge {
        Judge {
            filter,
            find_time,
            dates: Dates::new(zone),
            times: LineTimes::default(),
            text: String::new(),
            plain: String::new(),
        }
    }

    /// The verdict on a line that was read at `now`.
    pub fn feed(&mut self, line: &Line, now: Timestamp, phase: Phase) -> Verdict {
        let mut plain = std::mem::take(&mut self.plain);
        let text = without_colours(&line.text, &mut plain);
        let verdict = self.judge(text, line.at, now, phase);
        self.plain = plain;
        verdict
    }

    /// Live dates were off by whole quarters of an hour.
    pub fn zone_hint(&self) -> Option<ZoneHint> {
        self.times.hint()
    }

    fn judge(
        &mut self,
        line: &str,
        at: Option<Timestamp>,
        now: Timestamp,
        phase: Phase,
    ) -> Verdict {
        let found = self.dates.find(line);
        self.cut(line, found.as_ref());
        let mut verdict = self.search();
        // Docker's lines need no date, and people write regexes for either.
        if verdict == Search::Missed && at.is_some() && found.is_some() {
            self.cut(line, None);
            verdict = self.search();
        }
        // Also of lines that don't match: the next one may have no date.
        let time = match at {
            Some(at) => self.given(at, now, phase),
            None => {
                let dated = found.and_then(|found| self.dates.time(&found, now));
                self.times.judge(dated, now, phase, self.find_time)
            }
        };
        match (verdict, time) {
            (Search::Missed, _) => Verdict::Missed,
            (Search::Ignored, _) => Verdict::Ignored,
            (Search::Hit(..), None) => Verdict::TooOld,
            (Search::Hit(network, regex), Some(at)) => Verdict::Failure(Hit { network, at, regex }),
        }
    }

    /// The carrier's time is always believed.
    fn given(&self, at: Timestamp, now: Timestamp, phase: Phase) -> Option<Timestamp> {
        let oldest = now.checked_sub(self.find_time).unwrap_or(Timestamp::MIN);
        (phase == Phase::Live || at >= oldest).then_some(at.min(now))
    }

    /// What the regexes see: the line without its date, and the newline that
    /// fail2ban leaves at its end, so that `<HOST>\s` matches there too.
    fn cut(&mut self, line: &str, date: Option<&Found>) {
        self.text.clear();
        match date {
            Some(found) => {
                self.text.push_str(&line[..found.span.start]);
                self.text.push_str(&line[found.span.end..]);
            }
            None => self.text.push_str(line),
        }
        self.text.push('\n');
    }

    fn search(&self) -> Search {
        let Some((regex, groups)) = self.filter.fail.first(&self.text) else {
            return Search::Missed;
        };
        let Some(network) = network(&groups) else { return Search::Missed };
        if self.filter.ignore.is_match(&self.text) {
            return Search::Ignored;
        }
        Search::Hit(network, regex)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Search {
    Missed,
    Ignored,
    Hit(Network, usize),
}

/// The address that matched, if it is a real one.
fn network(groups: &Captures<'_>) -> Option<Network> {
    let text = groups.name("ip4").or_else(|| groups.name("ip6"))?;
    let address: Address = text.as_str().parse().ok()?;
    let shortest = if address.is_ipv6() { SHORTEST.1 } else { SHORTEST.0 };
    let length = groups.name("cidr").and_then(|length| length.as_str().parse::<u8>().ok());
    let prefix = length
        .filter(|length| *length >= shortest)
        .and_then(|length| Network::new(address, length));
    Some(prefix.unwrap_or_else(|| Network::from(address)))
}

/// The line without terminal escapes (ECMA-48 control sequences), which would
/// hide dates and addresses.
fn without_colours<'t>(line: &'t str, plain: &'t mut String) -> &'t str {
    if !line.contains('\x1b') {
        return line;
    }
    plain.clear();
    let mut rest = line;
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(sequence) = rest.strip_prefix('[') {
            let end = sequence.bytes().position(|b| (0x40..=0x7e).contains(&b));
            let after = end.map(|end| &sequence[end + 1..]);
            // An escape that never ends hides nothing.
            rest = after.unwrap_or(sequence);
        }
    }
    plain.push_str(rest);
    plain
}
