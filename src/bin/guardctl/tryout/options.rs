//! What `guardctl try` is asked for.

use std::path::PathBuf;

use clap::Args;
use guard::model::Timestamp;

use crate::moment;

/// Shown below the options by `guardctl help try`.
const EXAMPLES: &str = "\
Examples:
  Whom would the labels of the service `web` have banned, as far as its log reaches back?
    guardctl try web

  And if three failures were enough, in the last day?
    guardctl try web --maxretry 3 --since 24h

  A service without labels, before it gets some:
    guardctl try web --failregex 'login failed .* from <HOST>$'

  Files, without a guard; rotated ones first or last, the lines' dates decide:
    guardctl try --file auth.log --file auth.log.1 --filter sshd --bantime 1h

With --file neither this host's addresses nor Docker's networks are known, which are
never banned; give them by --ignoreip. Variables such as GUARD_MAXRETRY count as they do
for guard.

Exit codes: 0 it ran, 1 refused or not found, 2 usage, 3 no guard answers.";

/// Try a log: who would have been banned, when, how long, and by which lines
///
/// Judges what Docker still has of a service's log (or the files of its logpath, or the
/// files given) by its labels, or by options given in their place, in the time of the
/// lines. Nothing is counted, written or banned.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Options {
    /// A service, a container or a jail
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(super) service: Option<String>,
    /// A log file in place of a service, `-` is standard input; may be given several times
    #[arg(long, value_name = "PATH")]
    pub(super) file: Vec<PathBuf>,
    /// Only failures since then: 24h, 7d, 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) since: Option<Timestamp>,
    /// A filter by name, in place of the labels' filters and failregexes
    #[arg(long, value_name = "NAME[OPTIONS]")]
    filter: Option<String>,
    /// A failregex, in place of the labels'; may be given several times
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    failregex: Vec<String>,
    /// An ignoreregex; may be given several times
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    ignoreregex: Vec<String>,
    /// So many failures are a ban
    #[arg(long, value_name = "N")]
    maxretry: Option<String>,
    /// Within this time
    #[arg(long, value_name = "TIME")]
    findtime: Option<String>,
    /// How long a ban lasts
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    bantime: Option<String>,
    /// Who is never banned
    #[arg(long, value_name = "LIST")]
    ignoreip: Option<String>,
    /// The zone of dates that name none
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    logtimezone: Option<String>,
    /// Any other option of the labels: --set usedns=warn
    #[arg(long, value_name = "OPTION=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// A folder with filters, looked into before all others; only with --file
    #[arg(long, value_name = "DIR", requires = "file")]
    pub(super) filter_path: Vec<PathBuf>,
    /// Let this be now; only with --file
    #[arg(long, value_name = "TIME", requires = "file")]
    pub(super) now: Option<Timestamp>,
}

impl Options {
    /// The options in the words of labels.
    pub(super) fn given(&self) -> Vec<(String, String)> {
        let once = [
            ("filter", &self.filter),
            ("maxretry", &self.maxretry),
            ("findtime", &self.findtime),
            ("bantime", &self.bantime),
            ("ignoreip", &self.ignoreip),
            ("logtimezone", &self.logtimezone),
        ];
        let once = once.into_iter().filter_map(|(name, value)| {
            value.as_ref().map(|value| (name.to_owned(), value.clone()))
        });
        let many = [("failregex", &self.failregex), ("ignoreregex", &self.ignoreregex)];
        let many = many.into_iter().flat_map(|(name, values)| {
            let numbered = values.iter().enumerate();
            numbered.map(move |(number, value)| (format!("{name}.{number}"), value.clone()))
        });
        once.chain(many).chain(self.set.iter().cloned()).collect()
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is written OPTION=VALUE, such as usedns=warn".to_owned()),
    }
}
