//! Bans that were, for people: a line each, newest last.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Text, escape, line, span, time};
use crate::control::protocol::Times;
use crate::model::{HistoryEntry, LiftedBy, Network, Timestamp, Until};

/// Are the lines that led to bans printed?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    Shown,
    LeftOut,
}

/// Prints the bans; `now` and the zone decide what stands and how times look.
pub(super) fn history(
    text: &mut Text,
    (now, zone): (Timestamp, &TimeZone),
    bans: &[HistoryEntry],
    times: &[Times],
    lines: Lines,
) {
    let times: BTreeMap<Network, u64> = times.iter().map(|of| (of.network, of.times)).collect();
    let rows: Vec<[String; 6]> = bans
        .iter()
        .map(|entry| {
            let times = times.get(&entry.ban.network).copied().unwrap_or(1);
            let again = if times > 1 { format!("  [banned {times} times]") } else { String::new() };
            [
                time(entry.ban.since, zone),
                entry.ban.jail.to_string(),
                entry.ban.network.to_string(),
                length(entry.ban.since, entry.ban.until),
                entry.ban.origin.cause(entry.ban.failures),
                ending(entry, now, zone) + &again,
            ]
        })
        .collect();
    let wide = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let [since, jail, network, length, cause] = [0, 1, 2, 3, 4].map(wide);
    for ([a, b, c, d, e, end], entry) in rows.iter().zip(bans) {
        line(
            &mut text.out,
            format_args!("{a:since$}  {b:jail$}  {c:network$}  {d:length$}  {e:cause$}  {end}"),
        );
        for shown in entry.lines.iter().filter(|_| lines == Lines::Shown) {
            line(&mut text.out, format_args!("    | {}", escape(shown)));
        }
    }
}

fn length(since: Timestamp, until: Until) -> String {
    match until {
        Until::Time(end) => format!("for {}", passed(since, end)),
        Until::Forever => "for ever".to_owned(),
    }
}

/// How it ended, or that it has not.
fn ending(entry: &HistoryEntry, now: Timestamp, zone: &TimeZone) -> String {
    let prolonged = if entry.prolonged { ", its end was changed" } else { "" };
    let end = match (entry.lifted, entry.ban.until) {
        (Some(at), _) => {
            let by = match entry.lifted_by {
                Some(LiftedBy::Hand) => "unbanned by hand",
                Some(LiftedBy::NeverBan) => "lifted, as it is never banned any more,",
                None => "lifted",
            };
            format!("{by} after {}", passed(entry.ban.since, at))
        }
        (None, Until::Forever) => "stands".to_owned(),
        (None, Until::Time(end)) if end > now => format!("stands until {}", time(end, zone)),
        (None, Until::Time(_)) => "expired".to_owned(),
    };
    end + prolonged
}

fn passed(from: Timestamp, to: Timestamp) -> String {
    span(u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0))
}
