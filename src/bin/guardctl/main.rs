//! guardctl: asks a running guard, and prints what it answers. `test` and `filters` need
//! none: they try filters on logs, and show them.
//!
//! Exit codes: 0 done, 1 refused or not found, 2 usage, 3 no guard answers.

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use guard::control::DEFAULT_SOCKET;
use guard::control::client::{Client, ClientError, Watched};
use guard::control::fail2ban;
use guard::control::print::{self, Outcome};
use guard::control::protocol::{MAX_HISTORY, Reply, Request, Which};
use guard::model::{BanTime, Network, Timestamp};
use jiff::tz::TimeZone;

mod backup;
mod catalog;
mod doctor;
mod filters;
mod help;
mod import;
mod lint;
mod networks;
mod notify;
mod shown;
mod test;
mod top;
mod tryout;

use networks::{Whom, network, networks, whom};

/// Ask a running guard who is banned and why, and ban and unban by hand.
///
/// `test` and `filters` ask nobody: they try filters on logs, and show them.
///
/// Exit codes: 0 done, 1 refused or not found, 2 usage, 3 no guard answers.
#[derive(Debug, Parser)]
#[command(name = "guardctl", version, disable_help_subcommand = true, after_long_help = help::TASKS)]
struct Arguments {
    /// Print guard's answer as JSON (`watch`: one object a line)
    #[arg(long, global = true)]
    json: bool,

    /// guard's socket [default: $GUARD_SOCKET, or /run/guard/guard.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show all jails, or everything about one
    #[command(after_long_help = help::STATUS)]
    Status {
        /// A jail's name, or its service's where only one jail has it
        jail: Option<String>,
    },
    /// List who is banned; with an address exit with 1 if it is not
    #[command(after_long_help = help::BANNED)]
    Banned {
        /// Only bans of this address or prefix
        #[arg(value_name = "IP", value_parser = network)]
        network: Option<Network>,
    },
    /// Tell everything that guard knows of an address, and what would let it in or out
    #[command(after_long_help = help::WHY)]
    Why {
        /// The address or prefix
        #[arg(value_name = "IP|PREFIX", value_parser = network)]
        network: Network,
    },
    /// Ban addresses and prefixes
    #[command(after_long_help = help::BAN)]
    Ban(Ban),
    /// Lift bans; what is lifted is not banned again for what it did before
    #[command(after_long_help = help::UNBAN)]
    Unban(Unban),
    /// Show what happens, until interrupted
    #[command(after_long_help = help::WATCH)]
    Watch,
    /// Jails, rates and the newest bans on the whole screen, live; `u` lifts a ban
    #[command(after_long_help = help::TOP)]
    Top,
    /// Ask whether guard lives and its bans are in the kernel: else exit with 1
    #[command(after_long_help = help::PING)]
    Ping,
    /// Show the versions of guardctl and guard
    #[command(after_long_help = help::VERSION)]
    Version,
    /// Lift every ban of every jail, those made by hand too, and say how many
    #[command(after_long_help = help::FLUSH)]
    Flush,
    /// fail2ban-client's words: `set JAIL banip IP…`, `set JAIL unbanip IP…`
    #[command(after_long_help = help::SET)]
    Set(Words),
    /// fail2ban-client's words: `get JAIL banip`, `get JAIL banned IP…`, `get JAIL bantime`
    #[command(after_long_help = help::GET)]
    Get(Words),
    /// List bans that were, newest last, and how each ended
    #[command(after_long_help = help::HISTORY)]
    History(History),
    Test(Box<test::Options>),
    Try(Box<tryout::Options>),
    Filters(filters::Options),
    Lint(lint::Options),
    Doctor(doctor::Options),
    /// Send a test to those whom guard gives notice, and print what each answers
    #[command(after_long_help = help::NOTIFY)]
    Notify(notify::Options),
    Import(Box<import::Options>),
    /// Print labels for running containers that guard could watch and does not
    ///
    /// By the image's name, and by what guard's filters find in the container's last lines.
    #[command(after_long_help = help::SUGGEST)]
    Suggest,
    Backup(backup::Backup),
    Restore(backup::Restore),
    /// Print what makes a shell complete guardctl's words
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Explain a command, or show the table of labels (`help labels`)
    #[command(after_long_help = help::HELP)]
    Help {
        /// A command, or `labels`
        topic: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Words {
    /// What fail2ban-client takes here
    #[arg(required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    words: Vec<String>,
}

#[derive(Debug, Args)]
struct Ban {
    /// Whom to ban; `-` reads standard input, one a line, `#` begins a comment
    #[arg(required = true, value_name = "IP|PREFIX", value_parser = whom)]
    whom: Vec<Whom>,
    /// In this jail [default: manual, which closes all ports]
    #[arg(long)]
    jail: Option<String>,
    /// For so long: 600, 10m, 1d 3h, or -1 for ever [default: as the jail does]
    #[arg(long = "for", value_name = "TIME", value_parser = ban_time, allow_hyphen_values = true)]
    time: Option<BanTime>,
    /// Also addresses that guard never bans by itself (this host, Docker's, ignoreip)
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct Unban {
    /// Whose bans to lift; `-` reads standard input, one a line, `#` begins a comment
    #[arg(required_unless_present = "all", value_name = "IP|PREFIX", value_parser = whom)]
    whom: Vec<Whom>,
    /// Lift all bans
    #[arg(long, conflicts_with = "whom")]
    all: bool,
    /// Only in this jail
    #[arg(long)]
    jail: Option<String>,
}

#[derive(Debug, Args)]
struct History {
    /// Only bans of this address or prefix
    #[arg(value_name = "IP|PREFIX", value_parser = network)]
    network: Option<Network>,
    /// Only of this jail; it may be gone
    #[arg(long)]
    jail: Option<String>,
    /// Only bans that began since then: 24h, 7d, 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_HISTORY)))]
    limit: u32,
}

/// The one place where guardctl reads spans of time.
fn ban_time(text: &str) -> Result<BanTime, String> {
    guard::labels::duration::parse(text).map_err(|error| error.to_string())
}

/// A moment: so long ago, or a time with its zone.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    match ban_time(text)? {
        BanTime::For(ago) => {
            Timestamp::now().checked_sub(ago).map_err(|_| "that is before all time".to_owned())
        }
        BanTime::Forever => Err("so long ago nothing was".to_owned()),
    }
}

/// The one place where guardctl knows the labels.
fn table_of_labels() -> String {
    guard::labels::markdown_table()
}

/// Why guardctl ends with another code than 0.
enum Failure {
    /// Nobody is asked: the arguments or the input make no sense.
    Usage(String),
    /// guard can't be asked.
    Client(ClientError),
    /// What is to be read can't be.
    Input(String),
    /// The same as `Usage`, told in several lines that are fit to be shown.
    Mistakes(String),
    /// What we print into is gone or full.
    Output(io::Error),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Client(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(outcome) => code(outcome),
        // `guardctl … | head` is no failure.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => complain(&failure),
    }
}

fn code(outcome: Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Outcome::Done => 0,
        Outcome::Refused => 1,
        Outcome::Usage => 2,
    })
}

/// Says what went wrong, with its causes, and gives the exit code.
fn complain(failure: &Failure) -> ExitCode {
    let (message, code) = match failure {
        Failure::Mistakes(lines) => {
            let _ = writeln!(anstream::stderr(), "{}", lines.trim_end());
            return ExitCode::from(2);
        }
        Failure::Input(message) => (message.clone(), 1),
        Failure::Usage(message) => (message.clone(), 2),
        Failure::Output(error) => (format!("can't print: {error}"), 1),
        Failure::Client(error) => {
            let mut message = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                message.push_str(&format!(" ({error})"));
                cause = error.source();
            }
            let code = match error {
                ClientError::NoDaemon { .. } | ClientError::Lost(_) => 3,
                ClientError::NotAllowed { .. } | ClientError::Unreadable(_) => 1,
            };
            (message, code)
        }
    };
    // If even standard error is gone, the exit code has to do.
    let _ = writeln!(anstream::stderr(), "guardctl: {}", print::escape(&message));
    ExitCode::from(code)
}

fn run(arguments: Arguments) -> Result<Outcome, Failure> {
    let Arguments { json, socket, command } = arguments;
    let socket = socket
        .or_else(|| {
            std::env::var_os("GUARD_SOCKET").filter(|path| !path.is_empty()).map(Into::into)
        })
        .unwrap_or_else(|| DEFAULT_SOCKET.into());
    let request = match command {
        Command::Help { topic } => return help::help(topic.as_deref()),
        Command::Completions { shell } => {
            help::completions(shell)?;
            return Ok(Outcome::Done);
        }
        Command::Test(options) => return test::run(&options, json),
        Command::Try(options) => return tryout::run(&options, &socket, json),
        Command::Filters(options) => return filters::run(&options, json),
        Command::Lint(options) => return lint::run(options, &socket, json),
        Command::Doctor(doctor::Options {}) => return doctor::run(&socket, json),
        Command::Backup(options) => return backup::backup(&options, &socket, json),
        Command::Restore(options) => return backup::restore(&options, &socket, json),
        Command::Notify(options) => return notify::run(options, &socket, json),
        Command::Import(options) => return import::run(*options, &socket, json),
        Command::Suggest => return doctor::suggest(&socket, json),
        Command::Set(Words { words }) => return foreign(&socket, "set", words, json),
        Command::Get(Words { words }) => return foreign(&socket, "get", words, json),
        Command::Watch => return watch(Client::connect(&socket)?, json),
        Command::Top => return top::run(&socket),
        Command::Status { jail } => Request::Status { jail },
        Command::Banned { network } => Request::Banned { network },
        Command::Why { network } => Request::Why { network },
        Command::Ban(Ban { whom, jail, time, force }) => {
            let networks = networks(&whom).map_err(Failure::Usage)?;
            Request::Ban { networks, jail, time, force }
        }
        Command::Unban(Unban { all: true, jail, .. }) => Request::Unban { which: Which::All, jail },
        Command::Unban(Unban { whom, jail, .. }) => {
            let networks = networks(&whom).map_err(Failure::Usage)?;
            Request::Unban { which: Which::Networks(networks), jail }
        }
        Command::Ping => Request::Ping,
        Command::Flush => Request::Flush,
        Command::History(History { network, jail, since, limit }) => {
            Request::History { network, jail, since, limit }
        }
        Command::Version => {
            if !json {
                writeln!(anstream::stdout(), "guardctl {}", env!("CARGO_PKG_VERSION"))?;
            }
            Request::Version
        }
    };
    let reply = Client::connect(&socket)?.ask(request)?;
    show(&reply, json)?;
    Ok(print::outcome(&reply))
}

/// Asks in fail2ban's words, and prints as its client does.
fn foreign(
    socket: &Path,
    first: &str,
    mut words: Vec<String>,
    json: bool,
) -> Result<Outcome, Failure> {
    words.insert(0, first.to_owned());
    let command =
        fail2ban::Command::parse(&words).map_err(|invalid| Failure::Usage(invalid.to_string()))?;
    let reply = Client::connect(socket)?.ask(Request::Fail2ban { words })?;
    match &reply {
        Reply::Fail2ban { value } if !json => {
            let text = fail2ban::shown(&command, value);
            for line in text.split('\n') {
                writeln!(anstream::stdout(), "{}", print::escape(line))?;
            }
        }
        _ => show(&reply, json)?,
    }
    Ok(print::outcome(&reply))
}

fn show(reply: &Reply, json: bool) -> io::Result<()> {
    if json {
        return anstream::stdout().write_all(print::json(reply).as_bytes());
    }
    let text = print::text(reply, &TimeZone::system());
    let mut out = anstream::stdout().lock();
    out.write_all(text.out.as_bytes())?;
    out.flush()?;
    anstream::stderr().write_all(text.err.as_bytes())
}

/// Ends when guard does, or by a signal.
fn watch(client: Client, json: bool) -> Result<Outcome, Failure> {
    let events = match client.watch()? {
        Watched::Events(events) => events,
        Watched::Refused(reply) => {
            show(&reply, json)?;
            return Ok(print::outcome(&reply));
        }
    };
    for event in events {
        show(&event?, json)?;
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }
}
