//! A filter at work on one source.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ansi;
use super::buffer::LineBuffer;
use super::dates::{Detector, Stamp, When};
use super::engine::Effort;
use super::fields::{self, Fields, Identity, Value};
use super::filter::{Begun, Filter, Found};
use super::spec::UseDns;
use super::time::{Clock, Phase, ZoneHint};
use super::tracking::{Connections, Told};
use crate::model::{Hop, Line, MAX_LINE, Network};

/// A [`Filter`] with its state on one source: what its dates look like and when the
/// last one was, the lines that are matched together, the connections that are open.
#[derive(Debug)]
pub struct Judge {
    filter: Arc<Filter>,
    detector: Detector,
    clock: Clock,
    carrier: Carrier,
    connections: Connections,
    buffer: LineBuffer,
    effort: Effort,
    /// Are the groups of matches wanted?
    keep_groups: bool,
    groups: Groups,
    /// When the date of a line of no interest was last kept.
    noted: Option<Timestamp>,
    /// How many lines were fed.
    fed: u64,
    /// The line without its terminal escapes.
    plain: String,
    /// The text that the regexes see: the date cut out, and a line end, as in fail2ban.
    seen: String,
    /// What prefregex made of it, where that is not a part of it.
    content: String,
}

/// How a source's lines bear their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// In their text, or with Docker's timestamp.
    Log,
    /// The journal tells it, and no date is searched for.
    Journal,
}

/// The named groups of a match, by name.
pub type Groups = Vec<(String, Value)>;

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No failregex matched, or none found anybody.
    Missed,
    /// A failregex matched, and an ignoreregex.
    Ignored,
    /// The failregex with this index matched, but only as a part of the story of a
    /// connection that has not failed (yet).
    NoFailure(usize),
    /// A failure, read in the backlog, and older than the jail's `findtime`.
    TooOld,
    /// A failure.
    Failure(Hit),
    /// Somebody logged in; the hit's regex is the successregex with that index.
    LoggedIn(Hit),
}

/// A failure in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Who failed.
    pub who: Who,
    /// What proxies passed on to whoever that is (`<FORWARDED>`), the first one's first.
    pub forwarded: Vec<Hop>,
    /// When; never after the `now` that was given, but in [`Phase::Replay`].
    pub at: Timestamp,
    /// The failregex that matched, by its index in the spec.
    pub regex: usize,
    /// How many lines made the failure.
    pub lines: u32,
}

/// Who failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// An address, or a prefix where the log names one.
    Network(Network),
    /// A host's name that is to be looked up (`usedns`).
    Name(String),
    /// No address and no name: an identifier, or something like `999.1.1.1`. It can't
    /// be banned.
    Text(String),
}

/// What a text is, before its time is looked at.
enum Judged {
    Ignored,
    NoFailure(usize),
    Failed { who: Who, forwarded: Vec<Hop>, regex: usize, lines: u32 },
    LoggedIn { network: Network, regex: usize },
}

impl Judge {
    /// A judge for one source. Dates that name no zone are read in `zone`; `find_time`
    /// is how far back failures count.
    pub fn new(filter: Arc<Filter>, zone: TimeZone, find_time: Duration) -> Judge {
        Judge {
            detector: Detector::new(Arc::clone(filter.dates())),
            filter,
            clock: Clock::new(zone, find_time),
            carrier: Carrier::Log,
            connections: Connections::default(),
            buffer: LineBuffer::default(),
            effort: Effort::default(),
            keep_groups: false,
            groups: Groups::new(),
            noted: None,
            fed: 0,
            plain: String::new(),
            seen: String::new(),
            content: String::new(),
        }
    }

    /// The same, for a source of this kind.
    pub fn on(self, carrier: Carrier) -> Judge {
        Judge { carrier, ..self }
    }

    /// The same, but the groups of matches are kept: see [`Judge::groups`].
    pub fn keeping_groups(self) -> Judge {
        Judge { keep_groups: true, ..self }
    }

    /// The groups of the last failure. `users` are all of its connection's.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The text that the regexes saw last, with its line end.
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// Judges the source's next line, at `now`.
    ///
    /// The regexes see the line without its timestamp. Where the carrier gives the
    /// time, they also see it whole if nothing matched: people write regexes for
    /// either. Likewise without terminal escapes first, then with them; and at last as
    /// syslog would have written it.
    pub fn feed(&mut self, line: &Line, now: Timestamp, phase: Phase) -> Verdict {
        self.feed_text(&line.text, line.at, now, phase)
    }

    /// The same for a line's text, and the time that its carrier gives it.
    pub fn feed_text(
        &mut self,
        text: &str,
        at: Option<Timestamp>,
        now: Timestamp,
        phase: Phase,
    ) -> Verdict {
        self.count(at.unwrap_or(now));
        let text = within_limit(text);
        let plain = !ansi::is_in(text) && !text.as_bytes().contains(&b'\n');
        if plain && !self.filter.may_match(text) {
            self.note_date(text, at, now, phase);
            return Verdict::Missed;
        }
        self.judge(&[], text, at, (now, phase))
    }

    /// The same for one of [`Filter::candidates`], with the lines before it that were
    /// passed over: should it have no date, it is as old as they are.
    pub fn feed_after(
        &mut self,
        passed: &[u8],
        text: &str,
        at: Option<Timestamp>,
        (now, phase): (Timestamp, Phase),
    ) -> Verdict {
        self.count(at.unwrap_or(now));
        self.judge(passed, within_limit(text), at, (now, phase))
    }

    /// How many lines were fed so far: the number of the latest one.
    pub fn fed(&self) -> u64 {
        self.fed
    }

    /// Must the latest line be fed again, to a new judge, for what comes to be judged in
    /// the same way?
    pub fn needs_latest(&self) -> bool {
        self.filter.max_lines() > 1 || self.connections.begun_with(self.fed)
    }

    /// The number of the oldest line that must be fed again, with all that followed it,
    /// to a new judge for what comes to be judged in the same way; `None`: none need.
    ///
    /// What bounds the judge's memory is not promised: more connections than are
    /// remembered, or one whose lines go on for longer than it is remembered.
    pub fn oldest_needed(&mut self) -> Option<u64> {
        let (lines, connections) = (self.buffer.oldest(), self.connections.oldest());
        lines.into_iter().chain(connections).min()
    }

    fn count(&mut self, time: Timestamp) {
        self.fed += 1;
        self.connections.next_line(self.fed, time);
    }

    fn judge(
        &mut self,
        passed: &[u8],
        text: &str,
        at: Option<Timestamp>,
        (now, phase): (Timestamp, Phase),
    ) -> Verdict {
        let escapes = ansi::is_in(text);
        self.groups.clear();
        let (date, judged) = if self.filter.max_lines() > 1 {
            self.with_those_before(text, escapes)
        } else if escapes {
            self.without_escapes(text, at.is_some())
        } else {
            let stamp = self.find_date(text);
            (stamp.map(|stamp| stamp.when), self.views(text, stamp, at.is_some()))
        };
        if date.is_none() && at.is_none() && judged.is_some() {
            self.date_of(passed);
        }
        let verdict = match judged {
            None => Verdict::Missed,
            Some(Judged::Ignored) => Verdict::Ignored,
            Some(Judged::NoFailure(regex)) => Verdict::NoFailure(regex),
            Some(Judged::Failed { who, forwarded, regex, lines }) => {
                self.clock.judge(at, date, now, phase).map_or(Verdict::TooOld, |at| {
                    Verdict::Failure(Hit { who, forwarded, at, regex, lines })
                })
            }
            Some(Judged::LoggedIn { network, regex }) => {
                let (who, lines) = (Who::Network(network), 1);
                let forwarded = Vec::new();
                self.clock.judge(at, date, now, phase).map_or(Verdict::TooOld, |at| {
                    Verdict::LoggedIn(Hit { who, forwarded, at, regex, lines })
                })
            }
        };
        if let Some(date) = date {
            self.clock.note(date);
        }
        verdict
    }

    /// Takes note of the last date in lines that were passed over, if it is near.
    fn date_of(&mut self, passed: &[u8]) {
        const LINES: usize = 50;
        let lines = passed.strip_suffix(b"\n").unwrap_or(passed).rsplit(|byte| *byte == b'\n');
        for line in lines.take(LINES) {
            let line = line.get(..MAX_LINE).unwrap_or(line);
            if let Some(stamp) = self.find_date(&String::from_utf8_lossy(line)) {
                return self.clock.note(stamp.when);
            }
        }
    }

    /// Live dates were off by whole quarters of an hour: the zone may be wrong.
    pub fn zone_hint(&self) -> Option<ZoneHint> {
        self.clock.hint()
    }

    /// How many searches took more steps than the backtracking engine may, so far. Each
    /// counts as no match.
    pub fn given_up(&self) -> u64 {
        self.effort.given_up()
    }

    fn find_date(&mut self, text: &str) -> Option<Stamp> {
        match self.carrier {
            Carrier::Log => self.detector.find(text),
            Carrier::Journal => None,
        }
    }

    fn without_escapes(&mut self, text: &str, carried: bool) -> (Option<When>, Option<Judged>) {
        let mut plain = std::mem::take(&mut self.plain);
        ansi::strip(text, &mut plain);
        let stamp = self.find_date(&plain);
        let mut judged = self.views(&plain, stamp, carried);
        self.plain = plain;
        if judged.is_none() {
            // A throw-away detector: what raw lines look like is not learnt.
            let raw = self.detector.clone().find(text).filter(|_| self.carrier == Carrier::Log);
            judged = self.views(text, raw, carried);
        }
        (stamp.map(|stamp| stamp.when), judged)
    }

    /// Keeps the date of a line that is of no further interest; a carrier's time needs
    /// none. Only where dates usually are, and of lines read live only one for each
    /// `now`, because most lines come this way.
    fn note_date(&mut self, text: &str, at: Option<Timestamp>, now: Timestamp, phase: Phase) {
        const USUALLY: usize = 256;
        let needed = phase != Phase::Live || self.noted != Some(now);
        if at.is_none()
            && needed
            && let Some(stamp) = self.detector.find_before(text, USUALLY)
        {
            self.clock.note(stamp.when);
            self.noted = Some(now);
        }
    }

    /// Searches `text` in all the ways that it may be meant; `stamp` is its date.
    fn views(&mut self, text: &str, stamp: Option<Stamp>, carried: bool) -> Option<Judged> {
        let cut = stamp.map_or(0..0, |stamp| stamp.cut());
        let (left, right) = (&text[..cut.start], &text[cut.end..]);
        show(&mut self.seen, &[left, right]);
        let mut judged = self.examine(Origin::AsItIs);
        if judged.is_none() && stamp.is_some() && carried {
            show(&mut self.seen, &[text]);
            judged = self.examine(Origin::AsItIs);
        }
        if judged.is_none()
            && (stamp.is_none() || carried)
            && let Some(prefix) = self.filter.syslog()
        {
            let rest = if left.trim().is_empty() { right.trim_start() } else { text };
            show(&mut self.seen, &[prefix, rest]);
            judged = self.examine(Origin::Assumed);
        }
        judged
    }

    /// Searches the text that the regexes see.
    fn examine(&mut self, origin: Origin) -> Option<Judged> {
        let seen = std::mem::take(&mut self.seen);
        let mut content = std::mem::take(&mut self.content);
        let judged = self.examine_text(&seen, &mut content, origin);
        (self.seen, self.content) = (seen, content);
        judged
    }

    fn examine_text(&mut self, text: &str, scratch: &mut String, origin: Origin) -> Option<Judged> {
        let filter = Arc::clone(&self.filter);
        let (content, pref) = match filter.begin(text, &self.effort) {
            Begun::Nothing => return None,
            Begun::Ignored => return Some(Judged::Ignored),
            Begun::GoOn { content, pref } => (content, pref),
        };
        let content = content.map_or(text, |content| with_line_end(text, content, scratch));
        let found = filter.search(content, pref, &self.effort);
        let success = filter.success(content, &self.effort);
        if found.is_none() && success.is_none() {
            return None;
        }
        if filter.ignores(content, &self.effort) {
            return Some(Judged::Ignored);
        }
        let judged = found.and_then(|found| self.resolve(&filter, &found, 1, origin));
        match (judged, success) {
            // That a session began is often told by a failregex that marks it as no failure.
            (None | Some(Judged::NoFailure(_)), Some((regex, network))) => {
                Some(Judged::LoggedIn { network, regex })
            }
            (judged, _) => judged,
        }
    }

    /// The same for filters that match several lines together.
    fn with_those_before(&mut self, text: &str, escapes: bool) -> (Option<When>, Option<Judged>) {
        let mut plain = std::mem::take(&mut self.plain);
        if escapes {
            ansi::strip(text, &mut plain);
        }
        let line = if escapes { plain.as_str() } else { text };
        let stamp = self.find_date(line);
        let cut = stamp.map_or(0..0, |stamp| stamp.cut());
        show(&mut self.seen, &[&line[..cut.start], &line[cut.end..]]);
        self.plain = plain;
        let mut seen = std::mem::take(&mut self.seen);
        let line = (seen.trim_end_matches('\n'), self.fed);
        self.buffer.push(line, self.filter.max_lines());
        self.buffer.show(&mut seen);
        let judged = self.examine_lines(&seen);
        self.seen = seen;
        (stamp.map(|stamp| stamp.when), judged)
    }

    fn examine_lines(&mut self, text: &str) -> Option<Judged> {
        let filter = Arc::clone(&self.filter);
        let mut scratch = String::new();
        let (content, pref) = match filter.begin(text, &self.effort) {
            Begun::Nothing => return None,
            Begun::Ignored => return Some(Judged::Ignored),
            Begun::GoOn { content, pref } => (content, pref),
        };
        if let Some(content) = content {
            self.buffer.replace(content);
        }
        let content = content.map_or(text, |content| with_line_end(text, content, &mut scratch));
        let Some(found) = filter.search(content, pref, &self.effort) else {
            // A login is one line: those before it were looked at when they came.
            let newest = content.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default();
            let (regex, network) = filter.success(&format!("{newest}\n"), &self.effort)?;
            return Some(Judged::LoggedIn { network, regex });
        };
        let matched = self.buffer.take(content, found.range(), &filter.skipped(&found));
        let mut lines = matched.join("\n");
        lines.push('\n');
        if filter.ignores(&lines, &self.effort) {
            return Some(Judged::Ignored);
        }
        let count = u32::try_from(matched.len()).unwrap_or(u32::MAX);
        self.resolve(&filter, &found, count, Origin::AsItIs)
    }

    /// What a match of `lines` lines means, together with what is known of its connection.
    fn resolve(
        &mut self,
        filter: &Filter,
        found: &Found<'_>,
        lines: u32,
        origin: Origin,
    ) -> Option<Judged> {
        if !self.keep_groups && !filter.is_part(found) {
            return self.failed(filter.identity(found)?, found.regex, lines);
        }
        let no_failure = Some(Judged::NoFailure(found.regex));
        // Most lines of most connections.
        if filter.ends(found).is_some_and(|id| !self.connections.knows(id)) {
            return no_failure;
        }
        let own = filter.fields(found);
        let id = own.text(fields::MLFID).map(str::to_owned);
        let (known, users, lines) = match &id {
            // Without a process id all connections would be one.
            Some(id) if !id.is_empty() && origin == Origin::AsItIs => {
                let named = |fields: &Fields| identity(fields).is_some();
                match self.connections.tell(id, own, lines, named) {
                    Told::NoFailure => return no_failure,
                    Told::Failure(story) => (story.fields, story.users, story.lines),
                }
            }
            _ if own.is_set(fields::NOFAIL) || own.is_set(fields::GAINED) => return no_failure,
            _ => (own, Vec::new(), lines),
        };
        let Some(identity) = identity(&known) else {
            return id.and(no_failure);
        };
        let failed = self.failed(identity, found.regex, lines);
        if self.keep_groups && failed.is_some() {
            self.groups = known.named(filter.names());
            if !users.is_empty() {
                let users = users.into_iter().map(Some).collect();
                self.groups.push(("users".to_owned(), Value::Tuple(users)));
            }
        }
        failed
    }

    fn failed(&self, identity: Identity, regex: usize, lines: u32) -> Option<Judged> {
        let mut forwarded = Vec::new();
        let who = match (identity, self.filter.use_dns()) {
            (Identity::Network(network), _) => Who::Network(network),
            (Identity::Forwarded(network, hops), _) => {
                forwarded = hops;
                Who::Network(network)
            }
            (Identity::Unreal(text) | Identity::Id(text), _) => Who::Text(text),
            (Identity::Name(name), UseDns::Raw) => Who::Text(name),
            (Identity::Name(name), UseDns::Yes | UseDns::Warn) => Who::Name(name),
            (Identity::Name(_), UseDns::No) => return None,
        };
        Some(Judged::Failed { who, forwarded, regex, lines })
    }
}

/// Is the text what the source wrote?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    AsItIs,
    /// With something put before it.
    Assumed,
}

fn identity(known: &Fields) -> Option<Identity> {
    fields::identity(|group| known.text(group))
        .or_else(|| known.get(fields::FID).map(|id| Identity::Id(id.to_text())))
}

/// Puts what the regexes see into `seen`. It ends in its only `\n`: should a line hold
/// one all the same, it is a blank.
fn show(seen: &mut String, parts: &[&str]) {
    seen.clear();
    for part in parts {
        if part.as_bytes().contains(&b'\n') {
            seen.extend(part.chars().map(|c| if c == '\n' { ' ' } else { c }));
        } else {
            seen.push_str(part);
        }
    }
    seen.push('\n');
}

/// `content`, a part of `text`, with a line end: still a part of it where one follows.
fn with_line_end<'t>(text: &'t str, content: &'t str, scratch: &'t mut String) -> &'t str {
    if content.ends_with('\n') {
        return content;
    }
    let last = text.len().checked_sub(content.len() + 1);
    if let Some(start) = last
        && text.as_bytes().last() == Some(&b'\n')
        && text.get(start..).is_some_and(|tail| std::ptr::eq(tail.as_ptr(), content.as_ptr()))
    {
        return &text[start..];
    }
    scratch.clear();
    scratch.push_str(content);
    scratch.push('\n');
    scratch
}

/// As much of `text` as is looked at. Where it may have been cut, here or by whoever
/// read it, an address at its end may be but the beginning of one, and someone else's.
fn within_limit(text: &str) -> &str {
    const CHARACTER: usize = 4;
    if text.len() + CHARACTER <= MAX_LINE {
        return text;
    }
    let end = (0..=MAX_LINE.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)]
        .trim_end_matches(|c: char| matches!(c, '.' | ':' | '/') || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
