//! What `guardctl test` is asked for.

use std::path::PathBuf;

use clap::Args;
use guard::filter::{MAX_LINES, UseDns, parse_zone};
use guard::model::Timestamp;
use jiff::tz::TimeZone;

/// Shown below the options by `guardctl help test`.
const EXAMPLES: &str = "\
Examples:
  Which lines of a log does guard's filter for sshd take for failures?
    guardctl test --filter sshd /var/log/auth.log

  The same for what a container has printed, with the filter's option `mode`:
    docker logs web 2>&1 | guardctl test --filter 'sshd[mode=aggressive]' -

  A regex of one's own, before it becomes the label guard.failregex. It sees the line
  without its timestamp, but with the blank behind that; <HOST> is the address:
    guardctl test --failregex '^\\s*login failed for \\S+ from <HOST>$' app.log

  A filter that is still being written, in a folder of its own:
    guardctl test --filter-path ./filter.d --filter myapp -v app.log

  For programs: each line's verdict, with host, time and groups; who failed most?
    guardctl test --json --filter sshd auth.log | jq -r 'select(.host) | .host' \\
      | sort | uniq -c | sort -rn | head

Each line is one of these:
  matched   a failure: guard would count it for the host
  nofail    a failregex matched, but it is only a part of a connection's story
  ignored   a failregex matched, and an ignoreregex
  missed    no failregex matched; the first are shown with the regex that got furthest

Exit codes: 0 it ran (whether or not anything matched), 1 the file can't be read,
2 usage: wrong options or regexes, no such filter.";

/// Try a filter on a log: what matches, what does not, and what nearly did
///
/// Every line of FILE is judged as guard would judge it, whatever its age. Nothing is
/// counted and nobody is banned; no guard has to run.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Options {
    /// A filter by name, with options if need be: sshd, 'sshd[mode=aggressive]'
    #[arg(long, value_name = "NAME[OPTIONS]", required_unless_present = "failregex")]
    pub(super) filter: Option<String>,
    /// A failregex, after the filter's own; may be given several times
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    pub(super) failregex: Vec<String>,
    /// An ignoreregex, after the filter's own; may be given several times
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    pub(super) ignoreregex: Vec<String>,
    /// What a line must match first, in place of the filter's
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    pub(super) prefregex: Option<String>,
    /// What dates look like, in place of the filter's
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub(super) datepattern: Option<String>,
    /// So many lines are matched together, in place of the filter's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LINES)))]
    pub(super) maxlines: Option<u32>,
    /// A folder with filters, looked into before all others; may be given several times
    #[arg(long, value_name = "DIR")]
    pub(super) filter_path: Vec<PathBuf>,
    /// What becomes of names where an address should be: yes, warn, no, raw [default:
    /// the filter's, else no]
    #[arg(long, value_name = "HOW")]
    pub(super) usedns: Option<UseDns>,
    /// The zone of dates that name none: Europe/Paris, UTC+0200 [default: the system's]
    #[arg(long, value_name = "ZONE", value_parser = zone, allow_hyphen_values = true)]
    pub(super) timezone: Option<TimeZone>,
    /// Let this be now, for dates without a year: 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub(super) now: Option<Timestamp>,
    /// Read the lines as the journal has them: without dates, and each is of now
    #[arg(long)]
    pub(super) journal: bool,
    /// Show all regexes, in full, and more about each match
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Show all missed lines, as they come
    #[arg(long)]
    pub(super) print_all_missed: bool,
    /// Show all matched lines, as they come
    #[arg(long)]
    pub(super) print_all_matched: bool,
    /// The log; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
}

fn zone(text: &str) -> Result<TimeZone, String> {
    let is_posix = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    match parse_zone(text) {
        Ok(zone) => Ok(zone),
        Err(_) if is_posix(text) => TimeZone::posix(text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_offsets_and_rules() {
        let summer: Timestamp = "2005-08-14T10:00:00Z".parse().unwrap();
        let check = |text: &str, hours: i8| {
            let offset = zone(text).unwrap().to_offset(summer);
            assert_eq!(offset, jiff::tz::offset(hours), "{text}");
        };
        check("Europe/Paris", 2);
        check("UTC+0200", 2);
        check("CET", 1);
        check("CET-01CEST-02,M3.5.0,M10.5.0", 2);
        check("EST5EDT", -4);
        check("<-03>3", -3);
        for wrong in ["", "Mars/Base", "X9", "CET-1CEST,M13.1.0"] {
            assert!(zone(wrong).is_err(), "{wrong}");
        }
    }
}
