//! The trees of `status`.

use std::fmt::Write as _;

use super::super::protocol::{
    InForce, JailPackets, JailState, JailStatus, JailSummary, Options, Overview, Packets,
    SourceKind, SourceState, SourceStatus, ban_time,
};
use super::{BAD, escape, line, push, span, warn};
use crate::model::BanTime;

/// So many sources of a jail are told in the overview.
const MOST_SOURCES: usize = 10;

/// All jails, and how guard itself is.
pub(super) fn overview(overview: &Overview) -> String {
    let mut out = String::new();
    let names: Vec<&str> = overview.jails.iter().map(|jail| jail.name.as_str()).collect();
    line(&mut out, format_args!("Status"));
    line(&mut out, format_args!("|- Number of jail:\t{}", names.len()));
    line(&mut out, format_args!("`- Jail list:\t{}", names.join(", ")));
    out.push('\n');
    own_health(&mut out, overview);
    if !overview.jails.is_empty() {
        out.push('\n');
    }
    for jail in &overview.jails {
        summary(&mut out, jail);
    }
    for refusal in &overview.refused {
        let (container, label) = (escape(&refusal.container), escape(&refusal.label));
        out.push('\n');
        line(&mut out, format_args!("{BAD}Refused:{BAD:#}\tcontainer {container}, label {label}"));
        // The lines are the renderer's; what a label smuggled in is escaped in each.
        for each in refusal.complaint.lines() {
            line(&mut out, format_args!("  {}", escape(each)));
        }
    }
    if !overview.notes.is_empty() {
        out.push('\n');
    }
    overview.notes.iter().for_each(|note| warn(&mut out, note));
    out
}

fn own_health(out: &mut String, overview: &Overview) {
    let Overview { guard, uptime, engine, firewall, store, .. } = overview;
    let wrong = |is_well: bool, words: &str| {
        if is_well { words.to_owned() } else { format!("{BAD}{words}{BAD:#}") }
    };
    line(out, format_args!("guard:\t\t{}, up {}", escape(guard), span(*uptime)));
    let lost = if engine.connected { "" } else { "lost: " };
    line(
        out,
        format_args!("Engine:\t\t{}{}", wrong(engine.connected, lost), escape(&engine.words)),
    );
    let state = wrong(firewall.healthy, if firewall.healthy { "in force" } else { "NOT in force" });
    push(out, format_args!("Firewall:\t{}; {state}", escape(&firewall.backend)));
    if firewall.repairs > 0 {
        push(out, format_args!("; repaired {} times", firewall.repairs));
    }
    out.push('\n');
    let state = wrong(store.healthy, if store.healthy { "on disk" } else { "ONLY in memory" });
    line(out, format_args!("Store:\t\t{}; {state}", escape(&store.path)));
    if store.dropped_history > 0 {
        let count = store.dropped_history;
        line(out, format_args!("Dropped:\t{count} bans of the history: the disk was too slow"));
    }
    super::notify::targets(out, &overview.notices);
    if let Some(metrics) = &overview.metrics {
        let not = if metrics.problem.is_none() { "" } else { "NOT served at " };
        line(
            out,
            format_args!("Metrics:\t{}{}", wrong(not.is_empty(), not), escape(&metrics.address)),
        );
    }
    let of_metrics = overview.metrics.iter().flat_map(|m| m.problem.iter().chain(&m.warning));
    let problems = firewall.problems.iter().chain(&store.problem).chain(of_metrics);
    problems.for_each(|problem| warn(out, problem));
}

fn summary(out: &mut String, jail: &JailSummary) {
    let JailSummary { name, failed_now, found, banned_now, banned_total, .. } = jail;
    let dry_run = if jail.dry_run { ", dry run" } else { "" };
    line(
        out,
        format_args!(
            "{name} ({}):\t{}{dry_run}; failed {failed_now} (total {found}), banned {banned_now} (total {banned_total})",
            escape(&jail.service),
            state(jail.state),
        ),
    );
    reads(out, &jail.sources);
    jail.warnings.iter().for_each(|warning| warn(out, &format!("{name}: {warning}")));
}

/// What a jail reads, and how far behind it is.
fn reads(out: &mut String, sources: &[SourceStatus]) {
    let told = sources.iter().take(MOST_SOURCES).map(|source| {
        let mut words = Vec::new();
        match source.state {
            SourceState::Following if source.trouble.is_some() => {
                words.push("in trouble".to_owned())
            }
            SourceState::Following => {}
            SourceState::Waiting => words.push("not there now".to_owned()),
            SourceState::Refused => words.push("not read".to_owned()),
        }
        if source.behind > 0 {
            words.push(format!("{} bytes behind", source.behind));
        }
        if source.behind_seconds > 0 {
            words.push(format!("{} behind", span(source.behind_seconds)));
        }
        let state =
            if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
        format!("{}{state}", escape(&source.shown))
    });
    let mut told: Vec<_> = told.collect();
    if let more @ 1.. = sources.len().saturating_sub(MOST_SOURCES) {
        told.push(format!("{more} more"));
    }
    if !told.is_empty() {
        line(out, format_args!("  reads {}", told.join(", ")));
    }
}

fn state(state: JailState) -> &'static str {
    match state {
        JailState::Watching => "watching",
        JailState::NoContainers => "no containers",
        JailState::Refused => "refused: nothing is followed, its bans run out",
    }
}

/// One jail.
pub(super) fn jail(jail: &JailStatus) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("Status for the jail: {}", jail.name));
    line(&mut out, format_args!("|- Filter"));
    line(&mut out, format_args!("|  |- Currently failed:\t{}", jail.failed_now));
    line(&mut out, format_args!("|  |- Total failed:\t{}", jail.found_total));
    line(&mut out, format_args!("|  `- {}", sources(&jail.sources)));
    line(&mut out, format_args!("`- Actions"));
    line(&mut out, format_args!("   |- Currently banned:\t{}", jail.banned_now));
    line(&mut out, format_args!("   |- Total banned:\t{}", jail.banned_total));
    push(&mut out, format_args!("   `- Banned IP list:\t"));
    for (at, ban) in jail.banned.iter().enumerate() {
        let space = if at == 0 { "" } else { " " };
        push(&mut out, format_args!("{space}{}", ban.network));
    }
    out.push_str("\n\n");
    below_the_tree(&mut out, jail);
    out
}

/// As fail2ban's `File list:` and `Journal matches:`; what it has no word for is `Output of:`.
fn sources(sources: &[SourceStatus]) -> String {
    let list = |kind: SourceKind| {
        let of_kind = sources.iter().filter(|source| source.kind == kind);
        of_kind.map(|source| escape(&source.shown)).collect::<Vec<_>>().join(" ")
    };
    // A jail without containers has no sources; whoever parses the tree still finds the line.
    let first = sources.first().map(|source| source.kind);
    let (title, kind) = match first.unwrap_or(SourceKind::File) {
        kind @ SourceKind::Output => ("Output of:", kind),
        kind @ SourceKind::File => ("File list:", kind),
        kind @ SourceKind::Journal => ("Journal matches:", kind),
    };
    format!("{title}\t{}", list(kind))
}

fn below_the_tree(out: &mut String, jail: &JailStatus) {
    line(out, format_args!("Service:\t{}", escape(&jail.service)));
    line(out, format_args!("State:\t\t{}", state(jail.state)));
    line(out, format_args!("Options:\t{}", options(&jail.options)));
    if !jail.options.ignoreip.is_empty() {
        line(out, format_args!("Ignored:\t{}", escape(&jail.options.ignoreip.join(" "))));
    }
    super::written::written(out, &jail.written);
    match &jail.firewall_chain {
        Some(chain) => line(out, format_args!("Firewall chain:\t{}", escape(chain))),
        None => line(out, format_args!("Firewall chain:\tnone")),
    }
    if let Some(JailPackets { ipv4, ipv6 }) = &jail.packets {
        let both = |of: fn(&Packets) -> u64| of(ipv4).saturating_add(of(ipv6));
        line(
            out,
            format_args!(
                "Packets:\t{} refused, {} replies dropped, {} passed",
                both(|packets| packets.refused),
                both(|packets| packets.replies_dropped),
                both(|packets| packets.passed),
            ),
        );
    }
    let pending = jail.banned.iter().filter(|ban| ban.in_force == InForce::Pending).count();
    if pending > 0 {
        line(out, format_args!("Pending:\t{pending} bans are not in the kernel yet"));
    }
    jail.sources.iter().for_each(|source| source_state(out, source));
    for counter in &jail.dropped {
        line(out, format_args!("Dropped:\t{} {}", counter.count, escape(&counter.what)));
    }
    jail.warnings.iter().for_each(|warning| warn(out, warning));
}

/// Only what is not as it should be.
fn source_state(out: &mut String, source: &SourceStatus) {
    let state = match source.state {
        SourceState::Following if is_well(source) => return,
        SourceState::Following => "followed",
        SourceState::Waiting => "not there now",
        SourceState::Refused => "not read",
    };
    push(out, format_args!("Source:\t\t{} {state}", escape(&source.shown)));
    if source.behind > 0 {
        push(out, format_args!(", {} bytes behind", source.behind));
    }
    if source.behind_seconds > 0 {
        push(out, format_args!(", {} behind", span(source.behind_seconds)));
    }
    for (count, one, more) in [
        (source.gaps, "gap", "gaps"),
        (source.clock_steps, "step back of the clock", "steps back of the clock"),
        (source.cut_bytes, "byte cut off a long line", "bytes cut off long lines"),
    ] {
        match count {
            0 => {}
            1 => push(out, format_args!(", 1 {one}")),
            _ => push(out, format_args!(", {count} {more}")),
        }
    }
    for reason in source.reason.iter().chain(&source.trouble) {
        push(out, format_args!(": {}", escape(reason)));
    }
    out.push('\n');
}

fn is_well(source: &SourceStatus) -> bool {
    let SourceStatus { behind, behind_seconds, gaps, clock_steps, cut_bytes, .. } = source;
    behind + behind_seconds + gaps + clock_steps + cut_bytes == 0
        && source.reason.is_none()
        && source.trouble.is_none()
}

fn options(options: &Options) -> String {
    let mut words = format!(
        "maxretry {}, findtime {}, bantime {}, port {}, chain {}, blocktype {}",
        options.maxretry,
        span(options.findtime),
        match options.bantime {
            BanTime::For(time) => span(time.as_secs()),
            BanTime::Forever => ban_time::seconds(BanTime::Forever).to_string(),
        },
        options.port.join(" "),
        options.chain.join(" "),
        options.blocktype,
    );
    if options.dryrun {
        write!(words, ", dryrun true").expect("a String takes everything");
    }
    escape(&words).into_owned()
}
