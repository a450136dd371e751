//! Why an address is in or out.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::super::protocol::{BanView, FailingView, InForce, Known, KnownIn, ban_time};
use super::history::{Lines, history};
use super::{BAD, Text, escape, line, span, time, until, warn};
use crate::model::BanTime;

/// Is there nothing to tell?
pub(super) fn is_unknown(known: &Known) -> bool {
    known.jails.is_empty() && known.history.is_empty()
}

/// The verdict first, then what each jail knows, then what was.
pub(super) fn why(text: &mut Text, known: &Known, zone: &TimeZone) {
    let out = &mut text.out;
    verdict(out, known);
    let shared = shared_never(known);
    if let Some(never) = shared {
        hint(out, &never.remedy);
    }
    for jail in &known.jails {
        let says_more = !jail.bans.is_empty()
            || !jail.failing.is_empty()
            || !jail.lines.is_empty()
            || jail.forgiven_until.is_some()
            || jail.earlier_bans > 0;
        if says_more || shared.is_none() {
            out.push('\n');
            in_jail(out, jail, (shared.is_none(), zone));
        }
    }
    if !known.history.is_empty() {
        out.push('\n');
        line(out, format_args!("History:"));
        let now = (known.now, zone);
        history(text, now, &known.history, &known.times, Lines::Shown);
        if known.more > 0 {
            let network = known.network;
            line(
                &mut text.out,
                format_args!("  {} older ones: guardctl history {network}", known.more),
            );
        }
    }
    if let Some(problem) = &known.problem {
        warn(&mut text.err, &format!("the newest bans may be missing: {problem}"));
    }
}

fn verdict(out: &mut String, known: &Known) {
    let Known { network, jails, .. } = known;
    let banned = |of: InForce| {
        let bans = jails.iter().flat_map(|jail| &jail.bans);
        // A ban of somebody in it is none of it.
        let bans = bans.filter(|ban| ban.in_force == of && ban.network.covers(*network));
        bans.map(|ban| ban.jail.as_str()).collect::<BTreeSet<_>>()
    };
    let list = |jails: BTreeSet<&str>| jails.into_iter().collect::<Vec<_>>().join(", ");
    let (out_now, pending, dry) =
        (banned(InForce::Yes), banned(InForce::Pending), banned(InForce::DryRun));
    if !out_now.is_empty() {
        line(out, format_args!("{BAD}{network} is banned{BAD:#} by {}", list(out_now)));
    } else if !pending.is_empty() {
        let jails = list(pending);
        line(
            out,
            format_args!("{network} is to be banned by {jails}, but is not in the kernel yet"),
        );
    } else if !dry.is_empty() {
        line(out, format_args!("{network} would be banned by {}: a dry run", list(dry)));
    } else if let Some(never) = shared_never(known) {
        line(out, format_args!("{network} is never banned: it is {}", escape(&never.reason)));
    } else if jails.iter().any(|jail| !jail.bans.is_empty()) {
        line(out, format_args!("{network} is not banned, but some in it are"));
    } else if jails.iter().any(|jail| !jail.failing.is_empty()) {
        line(out, format_args!("{network} is not banned, but has failed"));
    } else if is_unknown(known) {
        let jails = known.all_jails;
        line(
            out,
            format_args!(
                "{network} is not banned: none of {jails} jails knows anything of it, and it was \
                 never banned, as far as is remembered"
            ),
        );
    } else {
        line(out, format_args!("{network} is not banned"));
    }
}

/// The reason that all jails have in common.
fn shared_never(known: &Known) -> Option<&super::super::protocol::Never> {
    let first = known.jails.first()?.never.as_ref()?;
    let is_everywhere = known.jails.len() as u64 == known.all_jails
        && known.jails.iter().all(|jail| jail.never.as_ref() == Some(first));
    is_everywhere.then_some(first)
}

fn in_jail(out: &mut String, jail: &KnownIn, (tell_never, zone): (bool, &TimeZone)) {
    let dry = if jail.dry_run { ", dry run" } else { "" };
    line(
        out,
        format_args!(
            "Jail {} ({}): {} within {} are a ban {}{dry}",
            jail.jail,
            escape(&jail.service),
            count(jail.maxretry.into(), "failure"),
            span(jail.findtime),
            length(jail.bantime),
        ),
    );
    if let Some(never) = jail.never.as_ref().filter(|_| tell_never) {
        line(out, format_args!("  never banned here: it is {}", escape(&never.reason)));
        hint(out, &never.remedy);
    }
    jail.bans.iter().for_each(|standing| ban(out, standing, zone));
    more(out, jail.more_bans, "bans");
    jail.failing.iter().for_each(|failing| failed(out, failing, (jail, zone)));
    more(out, jail.more_failing, "addresses that failed");
    if let Some(at) = jail.forgiven_until {
        let at = time(at, zone);
        line(
            out,
            format_args!("  what it did until {at} counts no more: a ban or an unban used it up"),
        );
    }
    if jail.earlier_bans > 0 {
        let times = count(jail.earlier_bans.into(), "time");
        line(out, format_args!("  banned here {times}, as far as is remembered"));
    }
    for seen in &jail.lines {
        line(out, format_args!("    | {}", escape(&seen.line)));
    }
}

fn ban(out: &mut String, ban: &BanView, zone: &TimeZone) {
    let state = match ban.in_force {
        InForce::Yes => "",
        InForce::Pending => "; not in the kernel yet, `guardctl status` says why",
        InForce::DryRun => "; a dry run: the firewall is left alone",
    };
    let (since, end) = (time(ban.since, zone), until(ban.until, zone));
    let cause = ban.origin.cause(ban.failures);
    line(out, format_args!("  {} banned since {since} {end} ({cause}{state})", ban.network));
    hint(out, &format!("guardctl unban {} --jail {} lifts it", ban.network, ban.jail));
}

fn failed(out: &mut String, failing: &FailingView, (jail, zone): (&KnownIn, &TimeZone)) {
    let FailingView { network, times, needed, .. } = failing;
    let newest = times.last().map(|at| time(*at, zone)).unwrap_or_default();
    let counted = count(times.len() as u64, "failure");
    let verb = if times.len() == 1 { "counts" } else { "count" };
    line(out, format_args!("  {network}: {counted} {verb} now, the last at {newest}"));
    match &failing.waits {
        Some(why) => hint(out, &format!("its ban waits: {why}")),
        None => {
            let (more, end) = (count((*needed).into(), "more failure"), time(failing.until, zone));
            let lead = if *needed == 1 { "leads" } else { "lead" };
            let length = length(jail.bantime);
            hint(out, &format!("{more} until {end} {lead} to a ban {length}"));
        }
    }
}

fn length(time: BanTime) -> String {
    match time {
        BanTime::For(_) => {
            format!("of {}", span(u64::try_from(ban_time::seconds(time)).unwrap_or_default()))
        }
        BanTime::Forever => "for ever".to_owned(),
    }
}

fn count(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn more(out: &mut String, count: u64, what: &str) {
    if count > 0 {
        line(out, format_args!("  … and {count} more {what}"));
    }
}

/// What to do, or what will come.
fn hint(out: &mut String, what: &str) {
    line(out, format_args!("    → {}", escape(what)));
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
