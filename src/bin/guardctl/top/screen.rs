//! The lines of the screen. (pure)

use guard::control::print::escape;
use guard::control::protocol::{BanView, InForce, JailState, JailSummary, Overview};
use guard::model::{Timestamp, Until};
use jiff::tz::TimeZone;

use super::terminal::Size;
use super::view::{Pane, View};

const BOLD: &str = "\x1b[1m";
const REVERSE: &str = "\x1b[7m";

/// How many lines the list of bans has.
pub(super) fn page(view: &View, size: Size) -> usize {
    size.rows.saturating_sub(5 + jail_rows(view, size) + problems(view).len()).max(1)
}

/// At most half of the screen.
fn jail_rows(view: &View, size: Size) -> usize {
    let jails = view.overview.as_ref().map_or(0, |overview| overview.jails.len());
    jails.min((size.rows.saturating_sub(5) / 2).max(1))
}

/// Exactly as many lines as the screen has, none wider than it.
pub(super) fn lines(view: &View, size: Size, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let Size { rows, columns } = size;
    let mut lines = vec![paint(BOLD, &fit(&head(view), columns))];
    for problem in problems(view) {
        lines.push(paint(REVERSE, &fit(&problem, columns)));
    }
    let name = names(view);
    let title = format!(
        "{:name$}  {:13}  {:>6}  {:>8}  {:>6}  {:>8}  failures a second",
        "JAIL", "STATE", "FAILED", "FOUND", "BANNED", "EVER"
    );
    lines.push(paint(BOLD, &fit(&title, columns)));
    let shown = jail_rows(view, size);
    let jails = view.overview.iter().flat_map(|overview| &overview.jails);
    let from = first(view.jail_at, shown);
    for (at, jail) in jails.enumerate().skip(from).take(shown) {
        let chosen = view.pane == Pane::Jails && at == view.jail_at;
        lines.push(chosen_or_not(chosen, &fit(&jail_line(view, jail, (name, columns)), columns)));
    }
    lines.push(String::new());
    let title =
        format!("{:name$}  {:28}  {:19}  {:20}  WHY", "JAIL", "NEWEST BANS", "SINCE", "UNTIL");
    lines.push(paint(BOLD, &fit(&title, columns)));
    let shown = page(view, size);
    let from = first(view.ban_at, shown);
    for (at, ban) in view.bans.iter().enumerate().skip(from).take(shown) {
        let chosen = view.pane == Pane::Bans && at == view.ban_at;
        lines.push(chosen_or_not(chosen, &fit(&ban_line(ban, name, (now, zone)), columns)));
    }
    lines.truncate(rows.saturating_sub(1));
    lines.resize(rows.saturating_sub(1), String::new());
    lines.push(paint(REVERSE, &fit(&foot(view), columns)));
    lines
}

fn head(view: &View) -> String {
    let Some(overview) = &view.overview else { return "guard: asking …".to_owned() };
    let Overview { guard, uptime, engine, firewall, .. } = overview;
    let minutes = uptime / 60;
    let state = if firewall.healthy { "in force" } else { "NOT in force" };
    let banned: u64 = overview.jails.iter().map(|jail| jail.banned_now).sum();
    format!(
        "guard {guard}, up {}:{:02} h | {} | {}; {state} | {banned} banned",
        minutes / 60,
        minutes % 60,
        engine.words,
        firewall.backend
    )
}

/// What is wrong with guard itself, a line each.
fn problems(view: &View) -> Vec<String> {
    let mut problems: Vec<String> = view.lost.iter().cloned().collect();
    if let Some(overview) = &view.overview {
        problems.extend(overview.firewall.problems.first().cloned());
        problems.extend(overview.store.problem.clone());
        if !overview.engine.connected {
            problems.push(format!("no engine: {}", overview.engine.words));
        }
    }
    problems.truncate(3);
    problems
}

fn names(view: &View) -> usize {
    let jails = view.overview.iter().flat_map(|overview| &overview.jails);
    let longest = jails.map(|jail| jail.name.as_str().len()).max().unwrap_or(0);
    longest.clamp(8, 30)
}

fn jail_line(view: &View, jail: &JailSummary, (name, columns): (usize, usize)) -> String {
    let state = match (jail.state, jail.dry_run) {
        (JailState::Watching, true) => "dry run",
        (JailState::Watching, false) => "watching",
        (JailState::NoContainers, _) => "no containers",
        (JailState::Refused, _) => "refused",
    };
    let warned = if jail.warnings.is_empty() { " " } else { "!" };
    let head = format!(
        "{:name$} {warned}{state:13}  {:>6}  {:>8}  {:>6}  {:>8}  ",
        short(jail.name.as_str(), name),
        jail.failed_now,
        jail.found,
        jail.banned_now,
        jail.banned_total
    );
    let room = columns.saturating_sub(head.chars().count());
    let rates = view.rates.get(&jail.name);
    let rates: Vec<u64> = rates.into_iter().flatten().copied().collect();
    head + &spark(&rates[rates.len().saturating_sub(room)..])
}

/// A column for each number, as high as it is beside the highest.
fn spark(numbers: &[u64]) -> String {
    const COLUMNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let column = |number: &u64| match number {
        0 => ' ',
        number => {
            let eighth = (number.saturating_mul(8).div_ceil(most)).clamp(1, 8);
            COLUMNS[usize::try_from(eighth - 1).unwrap_or(7)]
        }
    };
    numbers.iter().map(column).collect()
}

fn ban_line(ban: &BanView, name: usize, (now, zone): (Timestamp, &TimeZone)) -> String {
    let shown = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let end = match ban.until {
        Until::Forever => "for ever".to_owned(),
        Until::Time(end) => {
            let left = end.duration_since(now).as_secs().max(0);
            match left {
                86_400.. => format!("{} d {} h left", left / 86_400, left / 3600 % 24),
                _ => format!("{}:{:02}:{:02} left", left / 3600, left / 60 % 60, left % 60),
            }
        }
    };
    let why = ban.origin.cause(ban.failures);
    let state = match ban.in_force {
        InForce::Yes => "",
        InForce::Pending => ", not in the kernel yet",
        InForce::DryRun => ", dry run",
    };
    format!(
        "{:name$}  {:28}  {}  {end:20}  {why}{state}",
        short(ban.jail.as_str(), name),
        ban.network.to_string(),
        shown(ban.since)
    )
}

fn foot(view: &View) -> String {
    match (&view.asking, &view.message) {
        (Some((network, jail)), _) => {
            format!("Unban {network} from {jail}? y: yes, any other key: no")
        }
        (None, Some(message)) => message.clone(),
        (None, None) => "q quit  Tab other list  ↑↓ PgUp PgDn move  u unban".to_owned(),
    }
}

/// The first line of a list that is shown, so that the chosen one is.
fn first(chosen: usize, shown: usize) -> usize {
    (chosen + 1).saturating_sub(shown)
}

fn short(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// Exactly so wide, and nothing in it that a terminal follows.
fn fit(text: &str, columns: usize) -> String {
    let text = escape(text);
    let mut fitted: String = text.chars().take(columns).collect();
    let rest = columns.saturating_sub(fitted.chars().count());
    fitted.extend(std::iter::repeat_n(' ', rest));
    fitted
}

fn paint(how: &str, text: &str) -> String {
    format!("{how}{text}")
}

fn chosen_or_not(chosen: bool, text: &str) -> String {
    if chosen { paint(REVERSE, text) } else { text.to_owned() }
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
