//! guard's log: one line an event, in one of three forms.
//!
//! | `GUARD_LOG_FORMAT` | an event | anything else |
//! |---|---|---|
//! | `text` | `2024-05-01T10:00:00.000000Z  WARN [web] Ban 192.0.2.7 until …` | the same |
//! | `json` | an object with `event`, `jail`, `ip` and more | an object with `message` |
//! | `fail2ban` | what fail2ban writes: `2024-05-01 10:00:00,000 fail2ban.actions [1]: NOTICE  [web] Ban 192.0.2.7` | the same form |
//!
//! What people's parsers rest on are the fields that [`announce`](super::pump::announce) gives.

use std::fmt::{self, Write};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::settings::LogFormat;

/// Starts the log, on standard error. `colours`: standard error is a terminal that
/// takes them.
///
/// # Errors
/// `level` is no level and no filter.
pub fn start(level: &str, format: LogFormat, colours: bool) -> Result<(), String> {
    // A bare level is meant for guard. The Docker client's debug lines would show
    // the environment, and so the secrets, of every container.
    let filter = match level.parse::<LevelFilter>() {
        Ok(level) => format!("warn,guard={level}"),
        Err(_) => level.to_owned(),
    };
    let mut filter = EnvFilter::try_new(&filter)
        .map_err(|error| format!("`{level}` is no level or filter: {error}"))?;
    // Below that, what sends notices shows the secrets in their addresses and heads.
    for quiet in ["ureq=info", "ureq_proto=info"] {
        let quiet = quiet.parse().map_err(|error| format!("`{quiet}`: {error}"))?;
        filter = filter.add_directive(quiet);
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.with_ansi(colours).event_format(Text).init(),
        LogFormat::Fail2ban => {
            log.with_ansi(false).event_format(Fail2ban { pid: std::process::id() }).init();
        }
    }
    Ok(())
}

/// The fields of an event, as far as lines for people have them.
#[derive(Default)]
struct Fields {
    message: String,
    event: String,
    jail: String,
    ip: String,
    line_time: String,
    reason: String,
    /// Fields that only make sense beside the message.
    others: String,
}

impl Fields {
    fn of(event: &Event<'_>) -> Fields {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let place = match field.name() {
            "message" => &mut self.message,
            "event" => &mut self.event,
            "jail" => &mut self.jail,
            "ip" => &mut self.ip,
            "line_time" => &mut self.line_time,
            "reason" => &mut self.reason,
            name => {
                let _ = write!(self.others, " {name}={value:?}");
                return;
            }
        };
        let _ = write!(place, "{value:?}");
    }
}

/// Time, level, message; the fields of an event are in its message already.
struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let fields = Fields::of(event);
        let level = *event.metadata().level();
        let now = Timestamp::now();
        write!(to, "{now:.6} ")?;
        if to.has_ansi_escapes() {
            let colour = match level {
                Level::ERROR => 31,
                Level::WARN => 33,
                Level::INFO => 32,
                Level::DEBUG => 34,
                Level::TRACE => 35,
            };
            write!(to, "\u{1b}[{colour}m{level:>5}\u{1b}[0m ")?;
        } else {
            write!(to, "{level:>5} ")?;
        }
        to.write_str(&fields.message)?;
        if fields.event.is_empty() {
            to.write_str(&fields.others)?;
        }
        writeln!(to)
    }
}

/// As fail2ban 1.0 writes its log.
struct Fail2ban {
    pid: u32,
}

impl<S, N> FormatEvent<S, N> for Fail2ban
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let fields = Fields::of(event);
        let (part, level) = place(&fields.event, *event.metadata().level());
        let now = Zoned::now().strftime("%Y-%m-%d %H:%M:%S,%3f");
        write!(to, "{now} {part:<23} [{}]: {level:<7} ", self.pid)?;
        writeln!(to, "{}", fields.as_fail2ban(&TimeZone::system()))
    }
}

impl Fields {
    /// The message in fail2ban's words.
    fn as_fail2ban(&self, zone: &TimeZone) -> String {
        let Fields { jail, ip, .. } = self;
        match self.event.as_str() {
            "started" => format!("Jail '{jail}' started"),
            "stopped" => format!("Jail '{jail}' stopped"),
            "found" => match self.line_time.parse::<Timestamp>() {
                Ok(at) => {
                    let at = at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
                    format!("[{jail}] Found {ip} - {at}")
                }
                Err(_) => format!("[{jail}] Found {ip}"),
            },
            "ignored" => format!("[{jail}] Ignore {ip} by {}", self.reason),
            "banned" => format!("[{jail}] Ban {ip}"),
            "prolonged" => format!("[{jail}] {ip} already banned"),
            "unbanned" => format!("[{jail}] Unban {ip}"),
            "" => format!("{}{}", self.message, self.others),
            _ => self.message.clone(),
        }
    }
}

/// The part of fail2ban that would write this event, and its level there.
fn place(event: &str, level: Level) -> (&'static str, &'static str) {
    match event {
        "found" | "ignored" => ("fail2ban.filter", "INFO"),
        "banned" | "prolonged" | "unbanned" => ("fail2ban.actions", "NOTICE"),
        "started" | "stopped" => ("fail2ban.jail", "INFO"),
        _ => (
            "fail2ban.server",
            match level {
                Level::ERROR => "ERROR",
                Level::WARN => "WARNING",
                Level::INFO => "INFO",
                Level::DEBUG | Level::TRACE => "DEBUG",
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_fail2bans_words() {
        let fields = |event: &str| Fields {
            message: "as guard says it".into(),
            event: event.into(),
            jail: "web".into(),
            ip: "192.0.2.7".into(),
            line_time: "2024-05-01T10:00:00.25Z".into(),
            reason: "ip".into(),
            others: String::new(),
        };
        let check = |event: &str, words: &str| {
            assert_eq!(fields(event).as_fail2ban(&TimeZone::UTC), words);
        };
        check("found", "[web] Found 192.0.2.7 - 2024-05-01 10:00:00");
        check("ignored", "[web] Ignore 192.0.2.7 by ip");
        check("banned", "[web] Ban 192.0.2.7");
        check("prolonged", "[web] 192.0.2.7 already banned");
        check("unbanned", "[web] Unban 192.0.2.7");
        check("started", "Jail 'web' started");
        check("repaired", "as guard says it");
        check("", "as guard says it");
        assert_eq!(place("banned", Level::WARN), ("fail2ban.actions", "NOTICE"));
        assert_eq!(place("", Level::WARN), ("fail2ban.server", "WARNING"));
    }
}
