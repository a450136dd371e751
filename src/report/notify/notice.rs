//! (pure) What a notice says: news in words, one line each, and a message of several.
//!
//! A message is a digest by nature: the lines that there was room for, and for the rest
//! how many of which kind in which jail. So the counts of all messages together are
//! exactly what happened.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::model::{Event, JailName, Level, News, NoticeKind, Timestamp};

/// Longest line, in bytes.
const LONGEST_LINE: usize = 400;
/// Longest title, in bytes.
const LONGEST_TITLE: usize = 160;
/// So many counts are told one by one, if there is room for them.
const MOST_COUNTS: usize = 6;

/// One thing that happened, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// How bad it is.
    pub level: Level,
    /// In which jail.
    pub jail: Option<JailName>,
    /// Is it well again?
    pub over: bool,
    /// In a line, without control characters.
    pub line: String,
}

impl Notice {
    /// The notice of an event; `None`: nobody is told of such.
    pub fn of(event: &Event) -> Option<Notice> {
        let (kind, jail) = NoticeKind::of(&event.news)?;
        let over = matches!(event.news, News::Trouble { over: true, .. });
        let line = plain(&line(&event.news), LONGEST_LINE);
        Some(Notice { at: event.at, kind, level: kind.level(), jail: jail.cloned(), over, line })
    }

    /// The line of a test.
    pub(super) fn test(at: Timestamp) -> Notice {
        let line = "This is a test: guard's notices come through".to_owned();
        Notice { at, kind: NoticeKind::Banned, level: Level::Note, jail: None, over: false, line }
    }
}

fn line(news: &News) -> String {
    match news {
        News::Banned { ban, dry_run } => {
            let (jail, network, end) = (&ban.jail, ban.network, ban.until.phrase());
            let ban_ = if *dry_run { "Would ban (dry run)" } else { "Ban" };
            let why = ban.origin.cause(ban.failures);
            format!("[{jail}] {ban_} {network} {end} ({why})")
        }
        News::Unbanned { jail, network, dry_run, .. } => {
            let dry = if *dry_run { " (dry run)" } else { "" };
            format!("[{jail}] Unban {network} by hand{dry}")
        }
        News::Reaches { jail, network, cause } => {
            let cause = cause.as_deref().unwrap_or("the cause is not known");
            format!("[{jail}] {network} is banned, but still reaches it: {cause}")
        }
        News::Repaired { what } => format!("Firewall repaired: {what}"),
        News::Trouble { what, over: false, .. } => what.clone(),
        News::Trouble { what, over: true, .. } => format!("Well again: {what}"),
        // No kind of notice tells of these.
        News::Found { .. }
        | News::Ignored { .. }
        | News::Narrowed { .. }
        | News::LoggedIn { .. }
        | News::Prolonged { .. }
        | News::JailStarted { .. }
        | News::JailStopped { .. } => String::new(),
    }
}

/// A text on one line, without control characters and what turns the writing round, at
/// most so many bytes long.
pub(super) fn plain(text: &str, most: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(most) + 4);
    for c in text.chars() {
        let c = match c {
            '\n' | '\r' | '\t' => ' ',
            c if is_unsafe(c) => '\u{fffd}',
            c => c,
        };
        if plain.len() + c.len_utf8() > most {
            plain.push('…');
            break;
        }
        plain.push(c);
    }
    plain
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// How often something happened of which there is no line.
pub type Counts = BTreeMap<(NoticeKind, Option<JailName>), u64>;

/// What is sent at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The first things that happened.
    pub lines: Vec<Notice>,
    /// How many more of each.
    pub more: Counts,
    /// Nothing happened: it was asked for by hand.
    pub test: bool,
}

impl Message {
    /// One that is sent by hand, to see whether it comes.
    pub fn test(at: Timestamp) -> Message {
        Message { lines: vec![Notice::test(at)], test: true, ..Message::default() }
    }

    /// How many notices it tells of.
    pub fn count(&self) -> u64 {
        self.lines.len() as u64 + self.more.values().sum::<u64>()
    }

    /// The worst of it.
    pub fn level(&self) -> Level {
        let lines = self.lines.iter().filter(|notice| !notice.over).map(|notice| notice.level);
        lines.chain(self.more.keys().map(|(kind, _)| kind.level())).max().unwrap_or(Level::Note)
    }

    /// Is all of it well again?
    pub fn is_over(&self) -> bool {
        self.more.is_empty() && self.lines.iter().all(|notice| notice.over)
    }

    /// What it is about, in a few words.
    pub fn title(&self, host: &str) -> String {
        if self.test {
            return plain(&format!("guard on {host}: test"), LONGEST_TITLE);
        }
        let mut kinds = BTreeMap::<NoticeKind, u64>::new();
        for notice in &self.lines {
            *kinds.entry(notice.kind).or_default() += 1;
        }
        for ((kind, _), count) in &self.more {
            *kinds.entry(*kind).or_default() += count;
        }
        let words: Vec<String> = match self.lines.as_slice() {
            [only] if self.more.is_empty() => vec![single(only)],
            _ => kinds.iter().map(|(kind, count)| counted(*kind, *count)).collect(),
        };
        plain(&format!("guard on {host}: {}", words.join(", ")), LONGEST_TITLE)
    }

    /// All of it, in at most `most` bytes (no fewer than 300); each line goes through
    /// `escape`, which must take a text character by character. Lines for which there is
    /// no room are counted like those that never were any, and one that would fill more
    /// than its half alone is cut.
    pub fn text(&self, most: usize, escape: impl Fn(&str) -> String) -> String {
        // The counts are made first, and have the other half: nothing is left out of them.
        let half = most / 2;
        let line = |notice: &Notice| {
            let line = format!("{:.0} {}", notice.at, notice.line);
            cut(&line, half.saturating_sub(1), &escape) + "\n"
        };
        let mut more = self.more.clone();
        for notice in &self.lines {
            *more.entry((notice.kind, notice.jail.clone())).or_default() += 1;
        }
        let (mut text, mut below) = (String::new(), counts(&more, half, &escape));
        for notice in &self.lines {
            let (line, mut fewer) = (line(notice), more.clone());
            take_one(&mut fewer, (notice.kind, notice.jail.clone()));
            let counted = counts(&fewer, half, &escape);
            if text.len() + line.len() + counted.len() <= most {
                text.push_str(&line);
                (more, below) = (fewer, counted);
            }
        }
        text.push_str(&below);
        text.truncate(text.trim_end().len());
        text
    }
}

fn take_one(more: &mut Counts, place: (NoticeKind, Option<JailName>)) {
    if let Entry::Occupied(mut count) = more.entry(place) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// A line escaped, in at most `most` bytes: it ends with an ellipsis where it was longer.
fn cut(line: &str, most: usize, escape: impl Fn(&str) -> String) -> String {
    let whole = escape(line);
    if whole.len() <= most {
        return whole;
    }
    let shorter = |end: usize| escape(&format!("{}…", &line[..end]));
    let ends: Vec<usize> = line.char_indices().map(|(at, _)| at).collect();
    let fit = ends.partition_point(|end| shorter(*end).len() <= most);
    fit.checked_sub(1).map(|last| shorter(ends[last])).unwrap_or_default()
}

fn single(notice: &Notice) -> String {
    let what = if notice.over { "well again: " } else { "" };
    let jail = notice.jail.as_ref().map(|jail| format!(" in jail {jail}")).unwrap_or_default();
    format!("{what}{}{jail}", one(notice.kind))
}

/// A kind in words for people.
fn one(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Banned => "ban",
        NoticeKind::Unbanned => "unban",
        NoticeKind::Reaches => "a ban does not work",
        NoticeKind::Burst => "too many bans in a minute",
        NoticeKind::Refused => "a label is wrong",
        NoticeKind::Unreadable => "a log can't be read",
        NoticeKind::Engine => "Docker engine",
        NoticeKind::Firewall => "firewall",
        NoticeKind::Repaired => "firewall repaired",
        NoticeKind::Database => "database",
        NoticeKind::Metrics => "metrics",
        NoticeKind::Defect => "defect",
    }
}

fn counted(kind: NoticeKind, count: u64) -> String {
    match (kind, count) {
        (kind, 1) => one(kind).to_owned(),
        (NoticeKind::Banned, count) => format!("{count} bans"),
        (NoticeKind::Unbanned, count) => format!("{count} unbans"),
        (kind, count) => format!("{count} × {}", one(kind)),
    }
}

/// "and 214 more bans in jail web", the most first, a line each; in at most `most` bytes,
/// for which the sum of what has no line of its own always has room.
fn counts(more: &Counts, most: usize, escape: impl Fn(&str) -> String) -> String {
    let mut all: Vec<_> = more.iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let text = |told: usize| {
        let (told, rest) = all.split_at(told);
        let told = told.iter().map(|((kind, jail), count)| counted_more(*kind, jail, **count));
        let lines = told.chain(the_rest(rest, all.len()));
        lines.map(|line| escape(&line) + "\n").collect::<String>()
    };
    let mut fewer = (1..=all.len().min(MOST_COUNTS)).rev().map(&text);
    fewer.find(|text| text.len() <= most).unwrap_or_else(|| text(0))
}

fn counted_more(kind: NoticeKind, jail: &Option<JailName>, count: u64) -> String {
    let place = match (jail, kind.is_ban()) {
        (Some(jail), _) => format!(" in jail {jail}"),
        (None, true) => " in other jails".to_owned(),
        (None, false) => String::new(),
    };
    let what = match (kind, count) {
        (NoticeKind::Banned, 1) => "1 more ban".to_owned(),
        (NoticeKind::Unbanned, 1) => "1 more unban".to_owned(),
        (NoticeKind::Banned, count) => format!("{count} more bans"),
        (NoticeKind::Unbanned, count) => format!("{count} more unbans"),
        (kind, count) => format!("{count} more: {}", one(kind)),
    };
    format!("and {what}{place}")
}

fn the_rest(rest: &[(&(NoticeKind, Option<JailName>), &u64)], all: usize) -> Option<String> {
    let sum = rest.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(**count));
    Some(match rest.len() {
        0 => return None,
        many if many == all => format!("and {sum} more"),
        1 => format!("and {sum} more in another place"),
        many => format!("and {sum} more in {many} other places"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{About, Ban, BanOrigin, Until};
    use crate::report::notify::service::{fenced, markdown};

    fn banned(jail: &str) -> Event {
        let at = Timestamp::UNIX_EPOCH;
        let ban = Ban {
            jail: jail.parse().unwrap(),
            network: "192.0.2.7".parse().unwrap(),
            since: at,
            until: Until::Forever,
            origin: BanOrigin::Failures,
            failures: 5,
        };
        Event { at, news: News::Banned { ban, dry_run: false } }
    }

    fn trouble(what: &str, over: bool) -> Event {
        let what = what.to_owned();
        let news = News::Trouble { about: About::Engine, jail: None, what, over };
        Event { at: Timestamp::UNIX_EPOCH, news }
    }

    #[test]
    fn a_line_each() {
        let ban = Notice::of(&banned("web")).unwrap();
        assert_eq!(ban.line, "[web] Ban 192.0.2.7 for ever (5 failures)");
        let hostile = trouble("a\r\nb\u{1b}[31m\u{202e}c", true);
        let notice = Notice::of(&hostile).unwrap();
        assert_eq!(notice.line, "Well again: a  b\u{fffd}[31m\u{fffd}c");
        let long = Notice::of(&trouble(&"ä".repeat(9999), false)).unwrap();
        assert!(long.line.len() <= LONGEST_LINE + 4);
        assert_eq!(
            Notice::of(&Event {
                news: News::JailStarted { jail: "web".parse().unwrap() },
                ..hostile
            }),
            None
        );
    }

    #[test]
    fn titles() {
        let of = |events: &[Event]| Message {
            lines: events.iter().filter_map(Notice::of).collect(),
            ..Message::default()
        };
        let title = |events: &[Event]| of(events).title("h");
        assert_eq!(title(&[banned("web")]), "guard on h: ban in jail web");
        assert_eq!(title(&[trouble("x", true)]), "guard on h: well again: Docker engine");
        assert_eq!(
            title(&[banned("a"), banned("b"), trouble("x", false)]),
            "guard on h: 2 bans, Docker engine"
        );
        assert_eq!(of(&[banned("a"), trouble("x", false)]).level(), Level::Error);
        assert!(of(&[trouble("x", true)]).is_over());
    }

    /// How many notices the text tells of, in lines and in counts.
    fn told(text: &str) -> u64 {
        let shown = text.lines().filter(|line| line.starts_with("1970-")).count() as u64;
        let count = |line: &str| line.strip_prefix("and ")?.split(' ').next()?.parse::<u64>().ok();
        shown + text.lines().filter_map(count).sum::<u64>()
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let jail = |n: u64, long: bool| {
            let name = format!(
                "jail-{n}{}",
                if long { "_".repeat(30) + &"x".repeat(60) } else { String::new() }
            );
            name.parse::<JailName>().unwrap()
        };
        for (jails, long) in [(50, false), (8, true), (50, true)] {
            let lines = (0..20).filter_map(|_| Notice::of(&banned("web"))).collect();
            let mut message = Message { lines, ..Message::default() };
            for n in 0..jails {
                message.more.insert((NoticeKind::Banned, Some(jail(n, long))), n + 1000);
            }
            let escapes: [fn(&str) -> String; 3] = [str::to_owned, markdown, fenced];
            for (escape, most) in escapes
                .into_iter()
                .flat_map(|e| [300, 900, 1200, 1500, 2000, 4096, 100_000].map(|most| (e, most)))
            {
                let text = message.text(most, escape);
                assert!(text.len() <= most, "{most}: {}", text.len());
                assert_eq!(told(&text), message.count(), "{most}: {text}");
            }
            let most = jail(jails - 1, long);
            let text = message.text(4096, str::to_owned);
            assert!(text.contains(&format!("and {} more bans in jail {most}\n", jails + 999)));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_not_only_counted() {
        for letter in ["_", "ä", "x", "\\", "@", "<"] {
            let hostile = trouble(&letter.repeat(LONGEST_LINE), false);
            let mut message = Message::default();
            message.lines.extend(Notice::of(&hostile));
            for n in 0..8 {
                let jail = format!("j{n}{}", "_".repeat(98)).parse().unwrap();
                message.more.insert((NoticeKind::Banned, Some(jail)), 1000);
            }
            let escapes: [fn(&str) -> String; 3] = [str::to_owned, markdown, fenced];
            for escape in escapes {
                let text = message.text(1500, escape);
                assert!(text.len() <= 1500, "{}", text.len());
                assert_eq!(told(&text), 8001, "{text}");
                let line = text.lines().next().unwrap();
                // What is escaped is so to the end.
                let (start, end) = (escape("1970-01-01T00:00:00Z "), escape(letter));
                let shown = line.trim_end_matches('…').strip_prefix(&start).unwrap();
                assert!(shown.len() > 300, "{line}");
                assert_eq!(shown.replace(&end, ""), "", "{line}");
            }
        }
    }
}
