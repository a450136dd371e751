//! Replies → text for people, and JSON.
//!
//! Names, labels, log lines and errors in replies may come from an attacker, so
//! every text goes through [`escape`]: no reply can move the cursor, forge a line
//! or turn the writing round. The trees of `status` have the shape that
//! fail2ban-client's users (and their scripts) know; what it does not have comes
//! below them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::fail2ban::Exception;
use super::protocol::{BanRefused, BanView, Health, InForce, RefusedKind, Reply, encode_reply};
use crate::model::{Event, JailName, Level, Network, News, Timestamp, Until};

mod backup;
mod doctor;
mod history;
mod notify;
mod status;
mod tried;
mod why;
mod written;

use history::Lines;

/// Something is wrong.
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Something should be looked at.
const WARN: Style = AnsiColor::Yellow.on_default();

/// Something is over.
const GOOD: Style = AnsiColor::Green.on_default();

/// More lines of one kind than this are counted instead.
const MAX_LINES: usize = 20;

/// Text for people, with colours in it: whoever prints it takes them out where
/// they don't belong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// What was asked for.
    pub out: String,
    /// What went wrong, and warnings.
    pub err: String,
}

/// How a command ended; guardctl's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is done.
    Done,
    /// Refused, or not found, at least in part.
    Refused,
    /// The request made no sense.
    Usage,
}

/// How the command ended that this is the reply to.
pub fn outcome(reply: &Reply) -> Outcome {
    let refused = match reply {
        Reply::Refused { kind: RefusedKind::Usage, .. } => return Outcome::Usage,
        Reply::Refused {
            kind: RefusedKind::NotFound | RefusedKind::Refused | RefusedKind::Busy,
            ..
        } => true,
        Reply::Pong(health) => health.firewall_problem.is_some(),
        Reply::Banned { network, bans } => network.is_some() && bans.is_empty(),
        Reply::History { network, bans, .. } => network.is_some() && bans.is_empty(),
        Reply::Why(known) => why::is_unknown(known),
        Reply::Ban { refused, .. } => !refused.is_empty(),
        Reply::Unban { absent, covered, not_in_kernel, .. } => {
            !absent.is_empty() || !covered.is_empty() || not_in_kernel.is_some()
        }
        // Whoever was let in and is still refused must not take it for done.
        Reply::Flushed { not_in_kernel, .. } => not_in_kernel.is_some(),
        Reply::Raised { .. } => true,
        Reply::Imported { refused, .. } => !refused.is_empty(),
        Reply::Doctor { worst, .. } => *worst >= Level::Warning,
        Reply::Notified { targets } => targets.iter().any(|target| !target.ok),
        Reply::Version { .. }
        | Reply::BackupPiece { .. }
        | Reply::BackedUp(_)
        | Reply::Uploaded { .. }
        | Reply::Restored(_)
        | Reply::Fail2ban { .. }
        | Reply::Status(_)
        | Reply::Jail(_)
        | Reply::Trying { .. }
        | Reply::Tried(_)
        | Reply::Suggested { .. }
        | Reply::Watching
        | Reply::Event(_)
        | Reply::Missed { .. } => false,
    };
    if refused { Outcome::Refused } else { Outcome::Done }
}

/// The reply's JSON, one line. What could do harm on a terminal is escaped;
/// it stays the same JSON.
pub fn json(reply: &Reply) -> String {
    let line = String::from_utf8(encode_reply(reply)).expect("JSON is UTF-8");
    let mut line = safe_json(line.trim_end()).into_owned();
    line.push('\n');
    line
}

/// The same JSON with everything escaped that could do harm on a terminal.
pub fn safe_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if is_unsafe(c) {
            // Only strings hold such characters, and there any may be escaped.
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                push(&mut safe, format_args!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// The reply for people; times in `zone`.
pub fn text(reply: &Reply, zone: &TimeZone) -> Text {
    let mut text = Text::default();
    match reply {
        Reply::Pong(health) => pong(&mut text, health),
        Reply::Version { guard } => line(&mut text.out, format_args!("guard {}", escape(guard))),
        Reply::Status(overview) => text.out = status::overview(overview),
        Reply::Jail(jail) => text.out = status::jail(jail),
        Reply::Banned { network, bans } => banned(&mut text, *network, bans, zone),
        Reply::Ban { banned, refused, only_in_memory, not_in_kernel } => {
            ban(&mut text, banned, zone);
            refusals(&mut text, refused);
            in_memory(&mut text, only_in_memory.as_deref());
            not_there(&mut text, not_in_kernel.as_deref());
        }
        Reply::Unban { lifted, absent, covered, only_in_memory, not_in_kernel } => {
            unban(&mut text, lifted, absent);
            for covered in covered.iter().take(MAX_LINES) {
                warn(&mut text.err, &covered.message);
            }
            in_memory(&mut text, only_in_memory.as_deref());
            not_lifted(&mut text, not_in_kernel.as_deref());
        }
        Reply::Flushed { lifted, only_in_memory, not_in_kernel } => {
            let bans = if *lifted == 1 { "ban" } else { "bans" };
            line(&mut text.out, format_args!("{lifted} {bans} lifted"));
            in_memory(&mut text, only_in_memory.as_deref());
            not_lifted(&mut text, not_in_kernel.as_deref());
        }
        Reply::Imported {
            jail,
            banned,
            standing,
            ended,
            refused,
            only_in_memory,
            not_in_kernel,
        } => {
            imported(&mut text, jail, [*banned, *standing, *ended]);
            refusals(&mut text, refused);
            in_memory(&mut text, only_in_memory.as_deref());
            not_there(&mut text, not_in_kernel.as_deref());
        }
        Reply::Fail2ban { value } => {
            line(&mut text.out, format_args!("{}", escape(&value.to_string())))
        }
        Reply::Raised { exception: Exception::UnknownJail, message } => {
            bad(&mut text.err, &format!("Sorry but the jail '{message}' does not exist"));
        }
        Reply::Raised { message, .. } => bad(&mut text.err, message),
        Reply::History { network, now, bans, more, times, problem } => {
            let lines = if network.is_some() { Lines::Shown } else { Lines::LeftOut };
            history::history(&mut text, (*now, zone), bans, times, lines);
            if bans.is_empty() {
                let whom = network.map_or("nobody".to_owned(), |network| network.to_string());
                let not = if network.is_some() { "was never" } else { "was" };
                line(&mut text.err, format_args!("{whom} {not} banned, as far as is remembered"));
            }
            if *more > 0 {
                line(
                    &mut text.err,
                    format_args!("{more} older bans are left out: --limit, --since"),
                );
            }
            if let Some(why) = problem {
                warn(&mut text.err, &format!("the newest bans may be missing: {why}"));
            }
        }
        Reply::Why(known) => why::why(&mut text, known, zone),
        Reply::BackedUp(backup) => backup::backed_up(&mut text, backup),
        Reply::Restored(restored) => backup::restored(&mut text, restored),
        Reply::Watching
        | Reply::Trying { .. }
        | Reply::BackupPiece { .. }
        | Reply::Uploaded { .. } => {}
        Reply::Tried(tried) => tried::tried(&mut text, tried, zone),
        Reply::Doctor { findings, .. } => doctor::findings(&mut text, findings),
        Reply::Suggested { looked_at, suggestions, notes } => {
            doctor::suggestions(&mut text, *looked_at, suggestions, notes);
        }
        Reply::Notified { targets } => notify::tried(&mut text, targets),
        Reply::Event(event) => text.out = watched(event, zone),
        Reply::Missed { count } => {
            bad(
                &mut text.err,
                &format!("{count} events were missed: they come faster than they are read"),
            );
        }
        Reply::Refused { message, .. } => bad(&mut text.err, message),
    }
    text
}

/// Text with everything escaped that is no plain character: control characters,
/// and what changes the direction of writing or breaks lines.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if is_unsafe(c) && c.is_ascii() => {
                push(&mut safe, format_args!("\\x{:02x}", u32::from(c)))
            }
            c if is_unsafe(c) => push(&mut safe, format_args!("\\u{{{:x}}}", u32::from(c))),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Adds to a string, which cannot fail.
fn push(to: &mut String, what: std::fmt::Arguments<'_>) {
    to.write_fmt(what).expect("a String takes everything");
}

/// Adds a line.
fn line(to: &mut String, what: std::fmt::Arguments<'_>) {
    push(to, what);
    to.push('\n');
}

fn bad(to: &mut String, message: &str) {
    line(to, format_args!("{BAD}error:{BAD:#} {}", escape(message)));
}

fn warn(to: &mut String, message: &str) {
    line(to, format_args!("{WARN}warning:{WARN:#} {}", escape(message)));
}

fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

fn until(until: Until, zone: &TimeZone) -> String {
    match until {
        Until::Time(end) => format!("until {}", time(end, zone)),
        Until::Forever => "for ever".into(),
    }
}

/// Seconds as people write them: `10m`, `1d 3h`.
fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, length) in units {
        if rest >= length {
            words.push(format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if words.is_empty() { "0s".into() } else { words.join(" ") }
}

fn pong(text: &mut Text, health: &Health) {
    line(&mut text.out, format_args!("Server replied: pong"));
    if let Some(why) = &health.firewall_problem {
        bad(&mut text.err, &format!("what guard wants is not in the kernel: {why}"));
    }
    for why in [&health.engine_problem, &health.store_problem].into_iter().flatten() {
        warn(&mut text.err, why);
    }
}

fn banned(text: &mut Text, asked: Option<Network>, bans: &[BanView], zone: &TimeZone) {
    if bans.is_empty() {
        return match asked {
            Some(network) => line(&mut text.err, format_args!("{network} is not banned")),
            None => line(&mut text.out, format_args!("nobody is banned")),
        };
    }
    let wide = |length: fn(&BanView) -> usize| bans.iter().map(length).max().unwrap_or(0);
    let network = wide(|ban| ban.network.to_string().len());
    let jail = wide(|ban| ban.jail.as_str().len());
    for ban in bans {
        let state = match ban.in_force {
            InForce::Yes => "",
            InForce::Pending => ", not in the kernel yet",
            InForce::DryRun => ", dry run",
        };
        let why = ban.origin.cause(ban.failures);
        line(
            &mut text.out,
            format_args!(
                "{:network$}  {:jail$}  since {}  {}  ({why}{state})",
                ban.network.to_string(),
                ban.jail,
                time(ban.since, zone),
                until(ban.until, zone),
            ),
        );
    }
}

/// What came of the bans of fail2ban's jail.
fn imported(text: &mut Text, jail: &JailName, [banned, standing, ended]: [u64; 3]) {
    let mut parts = vec![format!("{banned} banned")];
    if standing > 0 {
        parts.push(format!("{standing} were banned here for at least as long"));
    }
    if ended > 0 {
        parts.push(format!("{ended} are over, and count as earlier bans"));
    }
    line(&mut text.out, format_args!("jail {jail}: {}", parts.join(", ")));
}

fn ban(text: &mut Text, banned: &[BanView], zone: &TimeZone) {
    if banned.len() > MAX_LINES {
        return line(
            &mut text.out,
            format_args!("{} banned in jail {}", banned.len(), banned[0].jail),
        );
    }
    for ban in banned {
        let state = match ban.in_force {
            InForce::Yes => "",
            InForce::Pending => " (not in the kernel yet: guardctl status says why)",
            InForce::DryRun => " (dry run: the firewall is left alone)",
        };
        let end = until(ban.until, zone);
        line(
            &mut text.out,
            format_args!("{} banned in jail {} {end}{state}", ban.network, ban.jail),
        );
    }
}

fn refusals(text: &mut Text, refused: &[BanRefused]) {
    for BanRefused { network, message } in refused.iter().take(MAX_LINES) {
        bad(&mut text.err, &format!("{network} is not banned: {message}"));
    }
    if let more @ 1.. = refused.len().saturating_sub(MAX_LINES) {
        bad(&mut text.err, &format!("{more} more are not banned"));
    }
}

fn unban(text: &mut Text, lifted: &[BanView], absent: &[Network]) {
    if lifted.len() > MAX_LINES {
        line(&mut text.out, format_args!("{} bans lifted", lifted.len()));
    } else {
        for ban in lifted {
            line(&mut text.out, format_args!("{} unbanned from jail {}", ban.network, ban.jail));
        }
    }
    if lifted.is_empty() && absent.is_empty() {
        line(&mut text.out, format_args!("no bans lifted"));
    }
    for network in absent.iter().take(MAX_LINES) {
        line(&mut text.err, format_args!("{network} is not banned"));
    }
    if let more @ 1.. = absent.len().saturating_sub(MAX_LINES) {
        line(&mut text.err, format_args!("{more} more are not banned"));
    }
}

fn in_memory(text: &mut Text, why: Option<&str>) {
    if let Some(why) = why {
        warn(&mut text.err, &format!("done, but forgotten at a restart: {why}"));
    }
}

/// The kernel may not have what was ordered.
fn not_there(text: &mut Text, why: Option<&str>) {
    if let Some(why) = why {
        warn(&mut text.err, &format!("perhaps not in the kernel yet: {why}"));
    }
}

/// The kernel may still refuse who was let in.
fn not_lifted(text: &mut Text, why: Option<&str>) {
    if let Some(why) = why {
        bad(&mut text.err, &format!("not lifted in the kernel yet: {why} (guard goes on trying)"));
    }
}

/// One line an event, in the words of fail2ban's log.
fn watched(event: &Event, zone: &TimeZone) -> String {
    let told = match &event.news {
        News::Found { jail, network, count, line_time } => {
            format!("[{jail}] Found {network} - {} ({count})", time(*line_time, zone))
        }
        News::Ignored { jail, network, reason } => {
            format!("[{jail}] Ignore {network} - {}", escape(reason))
        }
        News::Banned { ban, dry_run } => {
            let dry = if *dry_run { " (dry run)" } else { "" };
            let end = until(ban.until, zone);
            format!("[{}] {BAD}Ban {}{BAD:#} {end}{dry}", ban.jail, ban.network)
        }
        News::Narrowed { jail, network, prefix, reason } => {
            format!("[{jail}] Only {network} and not {prefix} - {}", escape(reason))
        }
        News::LoggedIn { jail, network, until } => {
            format!("[{jail}] {network} logged in, left alone until {}", time(*until, zone))
        }
        News::Prolonged { ban, dry_run } => {
            let dry = if *dry_run { " (dry run)" } else { "" };
            let end = until(ban.until, zone);
            format!("[{}] {BAD}Prolong {}{BAD:#} {end}{dry}", ban.jail, ban.network)
        }
        News::Unbanned { jail, network, by_hand, dry_run } => {
            let dry = if *dry_run { " (dry run)" } else { "" };
            let by_hand = if *by_hand { " (by hand)" } else { "" };
            format!("[{jail}] {GOOD}Unban {network}{GOOD:#}{by_hand}{dry}")
        }
        News::Reaches { jail, network, cause } => {
            let cause = cause.as_deref().unwrap_or("the cause is not known");
            format!(
                "{BAD}[{jail}] {network} is banned, but still reaches it:{BAD:#} {}",
                escape(cause)
            )
        }
        News::JailStarted { jail } => format!("[{jail}] Jail started"),
        News::JailStopped { jail } => format!("[{jail}] Jail stopped"),
        News::Repaired { what } => format!("{WARN}Repaired:{WARN:#} {}", escape(what)),
        News::Trouble { what, over: false, .. } => format!("{BAD}Trouble:{BAD:#} {}", escape(what)),
        News::Trouble { what, over: true, .. } => {
            format!("{GOOD}Well again:{GOOD:#} {}", escape(what))
        }
    };
    format!("{} {told}\n", time(event.at, zone))
}

#[cfg(test)]
mod tests;
