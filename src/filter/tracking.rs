//! Connections that take several lines to tell their story (fail2ban's `<F-MLFID>`).
//!
//! Lines with the same connection id (usually `host daemon[pid]`) are merged: one line
//! has the address, another the failure. `<F-NOFAIL>` marks lines that only help,
//! `<F-MLFGAINED>` a log-in that worked, `<F-MLFFORGET>` the end of the connection. A
//! second user name on one connection makes failures of what was none.

use std::collections::BTreeMap;

use hashlink::LinkedHashMap;
use jiff::{SignedDuration, Timestamp};

use super::fields::{FORGET, Fields, GAINED, NOFAIL, USER};

/// Connections that are remembered at once, per source. (fail2ban: 100.)
const MAX_CONNECTIONS: usize = 1000;

/// Bytes of text that are remembered at once, per source: attackers write it.
const MAX_BYTES: usize = 1 << 20;

/// User names that are told apart on one connection; two are enough to matter.
const MAX_USERS: usize = 16;

/// So long is a connection remembered after its first line (fail2ban's).
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// The connections of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    /// The one that was told of longest ago comes first.
    known: LinkedHashMap<String, Connection>,
    bytes: usize,
    /// The first lines of those that may still be alive, and when they were written.
    begun: BTreeMap<u64, Timestamp>,
    /// The number of the line that is being told of, and its time.
    line: u64,
    time: Timestamp,
}

#[derive(Clone, Debug)]
struct Connection {
    since: Timestamp,
    /// The number of its first line.
    first: u64,
    story: Story,
}

/// What is known of a connection after a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// The groups of all its lines; newer ones replace older ones.
    pub(super) fields: Fields,
    /// The user names, each once.
    pub(super) users: Vec<String>,
    /// It failed, but of whom is not known yet.
    pending: bool,
    /// Lines that made the failure.
    pub(super) lines: u32,
    /// Lines before it that only helped.
    helpers: u32,
}

/// What a line made of its connection.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// Nothing has failed (yet).
    NoFailure,
    /// A failure.
    Failure(Story),
}

impl Connections {
    /// The source's next line has this number and was written, or else read, at `time`.
    pub(super) fn next_line(&mut self, number: u64, time: Timestamp) {
        (self.line, self.time) = (number, time);
    }

    /// The first line of the oldest connection that further lines may add to.
    pub(super) fn oldest(&mut self) -> Option<u64> {
        let time = self.time;
        while let Some(first) = self.begun.first_entry() {
            if time.duration_since(*first.get()) <= LIFETIME {
                return Some(*first.key());
            }
            first.remove();
        }
        None
    }

    /// Did a connection begin with the line of this number?
    pub(super) fn begun_with(&self, number: u64) -> bool {
        self.begun.contains_key(&number)
    }

    /// Adds a match of `lines` lines with the groups `own` to the connection `id`.
    /// `named` says whether groups name anybody.
    pub(super) fn tell(
        &mut self,
        id: &str,
        own: Fields,
        lines: u32,
        named: impl Fn(&Fields) -> bool,
    ) -> Told {
        let mut line = LineFlags::of(own);
        let now = self.time;
        let known = self.remove(id).filter(|known| now.duration_since(known.since) <= LIFETIME);
        let (since, first, mut story) = match known {
            Some(known) => (known.since, known.first, known.story.go_on(&mut line)),
            None => (now, self.line, Story::begin(&mut line)),
        };
        let failed = story.judge(line.nofail, line.gained, (line.forget, lines));
        let told = match failed {
            false => Told::NoFailure,
            true if named(&story.fields) => Told::Failure(story.clone()),
            true => {
                story.pending = true;
                Told::NoFailure
            }
        };
        if !line.forget {
            self.insert(id, Connection { since, first, story });
        }
        told
    }

    /// Was it told of this connection?
    pub(super) fn knows(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    fn remove(&mut self, id: &str) -> Option<Connection> {
        let known = self.known.remove(id)?;
        self.bytes = self.bytes.saturating_sub(known.weight(id));
        self.begun.remove(&known.first);
        Some(known)
    }

    fn insert(&mut self, id: &str, connection: Connection) {
        self.bytes += connection.weight(id);
        self.begun.insert(connection.first, connection.since);
        self.known.insert(id.to_owned(), connection);
        while self.known.len() > MAX_CONNECTIONS || self.bytes > MAX_BYTES {
            let Some((id, oldest)) = self.known.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.weight(&id));
            self.begun.remove(&oldest.first);
        }
    }
}

impl Connection {
    fn weight(&self, id: &str) -> usize {
        let users: usize = self.story.users.iter().map(String::len).sum();
        id.len() + users + self.story.fields.weight()
    }
}

/// What a line says about its connection.
struct LineFlags {
    own: Fields,
    gained: bool,
    nofail: bool,
    forget: bool,
}

impl LineFlags {
    fn of(mut own: Fields) -> LineFlags {
        let gained = own.is_set(GAINED);
        if gained && !own.is_set(NOFAIL) {
            let value = own.get(GAINED).cloned();
            own.set(NOFAIL, value);
        }
        let nofail = own.is_set(NOFAIL);
        let forget = own.take(FORGET);
        LineFlags { own, gained, nofail, forget }
    }
}

impl Story {
    fn begin(line: &mut LineFlags) -> Story {
        let mut story = Story { fields: std::mem::take(&mut line.own), ..Story::default() };
        if !line.forget {
            let user = story.fields.text(USER).map(str::to_owned);
            story.add_user(user.as_deref());
        }
        story
    }

    fn go_on(mut self, line: &mut LineFlags) -> Story {
        let helped = self.fields.take(NOFAIL) | self.fields.take(GAINED);
        self.pending &= !line.gained;
        if !helped && !self.pending {
            // They were reported already.
            self.lines = 0;
        }
        self.add_user(line.own.text(USER));
        self.fields.update(std::mem::take(&mut line.own));
        self
    }

    fn add_user(&mut self, user: Option<&str>) {
        let Some(user) = user.filter(|user| !user.is_empty()) else { return };
        if self.users.len() < MAX_USERS && !self.users.iter().any(|known| known == user) {
            self.users.push(user.to_owned());
        }
    }

    /// Has the connection failed, after a line with these flags?
    fn judge(&mut self, mut nofail: bool, mut gained: bool, line: (bool, u32)) -> bool {
        let (forget, lines) = line;
        if std::mem::take(&mut self.pending) || self.users.len() > 1 {
            self.fields.take(NOFAIL);
            self.fields.take(GAINED);
            (nofail, gained) = (false, false);
        }
        if !nofail {
            self.lines = self.lines.saturating_add(std::mem::take(&mut self.helpers));
            if !gained {
                self.lines = self.lines.saturating_add(lines);
            }
        } else if !forget {
            self.helpers = self.helpers.saturating_add(lines);
        }
        !nofail
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::{IP4, Value};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// Tells a line with these groups, and what comes of it: the address and the lines.
    fn tell(connections: &mut Connections, second: i64, own: &[(usize, &str)]) -> String {
        let mut fields = Fields::default();
        for (group, text) in own {
            fields.set(*group, Some(Value::Text((*text).to_owned())));
        }
        connections.next_line(connections.line + 1, at(second));
        match connections.tell("c", fields, 1, |fields| fields.is_set(IP4)) {
            Told::NoFailure => "-".to_owned(),
            Told::Failure(story) => {
                format!("{} {}", story.fields.text(IP4).unwrap(), story.lines)
            }
        }
    }

    #[test]
    fn the_address_may_come_before_or_after_the_failure() {
        let mut before = Connections::default();
        assert_eq!(tell(&mut before, 0, &[(IP4, "192.0.2.1"), (NOFAIL, "x")]), "-");
        assert_eq!(tell(&mut before, 1, &[]), "192.0.2.1 2");
        assert_eq!(tell(&mut before, 2, &[]), "192.0.2.1 1", "what was told is not told again");
        let mut after = Connections::default();
        assert_eq!(tell(&mut after, 0, &[]), "-");
        assert_eq!(tell(&mut after, 1, &[(IP4, "192.0.2.1"), (NOFAIL, "x")]), "192.0.2.1 2");
    }

    #[test]
    fn a_second_user_is_a_failure_even_when_a_log_in_works() {
        let mut connections = Connections::default();
        assert_eq!(tell(&mut connections, 0, &[(USER, "a"), (NOFAIL, "x")]), "-");
        let gained = [(USER, "a"), (GAINED, "Accepted"), (IP4, "192.0.2.1")];
        assert_eq!(tell(&mut connections, 1, &gained), "-");
        let other = [(USER, "b"), (GAINED, "Accepted"), (IP4, "192.0.2.1")];
        assert_eq!(tell(&mut connections, 2, &other), "192.0.2.1 3");
    }

    #[test]
    fn a_log_in_that_works_forgives_what_was_pending() {
        let mut connections = Connections::default();
        assert_eq!(tell(&mut connections, 0, &[]), "-");
        assert_eq!(tell(&mut connections, 1, &[(GAINED, "x"), (IP4, "192.0.2.1")]), "-");
    }

    #[test]
    fn the_end_and_time_forget() {
        let mut connections = Connections::default();
        tell(&mut connections, 0, &[(IP4, "192.0.2.1"), (NOFAIL, "x")]);
        assert_eq!(tell(&mut connections, 300, &[(FORGET, "closed")]), "192.0.2.1 2");
        assert_eq!(tell(&mut connections, 300, &[]), "-");
        tell(&mut connections, 301, &[(IP4, "192.0.2.1"), (NOFAIL, "x")]);
        assert_eq!(tell(&mut connections, 601, &[]), "-", "five minutes after its first line");
    }

    #[test]
    fn an_open_connection_needs_its_first_line() {
        let mut connections = Connections::default();
        assert_eq!(connections.oldest(), None);
        tell(&mut connections, 0, &[(NOFAIL, "x")]);
        tell(&mut connections, 1, &[(NOFAIL, "x")]);
        assert_eq!(connections.oldest(), Some(1));
        assert!(connections.begun_with(1) && !connections.begun_with(2));
        tell(&mut connections, 2, &[(NOFAIL, "x"), (FORGET, "closed")]);
        assert_eq!(connections.oldest(), None);
        tell(&mut connections, 3, &[(NOFAIL, "x")]);
        connections.next_line(5, at(303));
        assert_eq!(connections.oldest(), Some(4));
        connections.next_line(6, at(304));
        assert_eq!(connections.oldest(), None, "five minutes after its first line");
    }

    #[test]
    fn memory_is_bounded() {
        let mut connections = Connections::default();
        for number in 0..3000 {
            let mut fields = Fields::default();
            fields.set(USER, Some(Value::Text("u".repeat(number))));
            connections.next_line(number as u64 + 1, at(0));
            connections.tell(&format!("c{number}"), fields, 1, |_| false);
            assert!(connections.known.len() <= MAX_CONNECTIONS && connections.bytes <= MAX_BYTES);
            assert_eq!(connections.begun.len(), connections.known.len());
        }
        let left: usize = connections.known.iter().map(|(id, c)| c.weight(id)).sum();
        assert_eq!(left, connections.bytes);
    }
}
