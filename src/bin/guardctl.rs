//! guardctl: asks a running guard, and prints what it answers.
//!
//! Exit codes: 0 done, 1 refused or not found, 2 usage, 3 no guard answers.

use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use guard::control::DEFAULT_SOCKET;
use guard::control::client::{Client, ClientError, Watched};
use guard::control::print::{self, Outcome};
use guard::control::protocol::{Reply, Request, Which};
use guard::filters::DEFAULT_PATH;
use guard::filters::lint::Asked;
use guard::model::{BanTime, InvalidAddress, Network};
use jiff::tz::TimeZone;

/// Most addresses that are read from standard input.
const MAX_ADDRESSES: usize = 1_000_000;

/// Longest line of standard input, in bytes: an address and a comment.
const MAX_LINE: u64 = 4096;

/// Ask a running guard who is banned and why, and ban and unban by hand.
///
/// Exit codes: 0 done, 1 refused or not found, 2 usage, 3 no guard answers.
#[derive(Debug, Parser)]
#[command(name = "guardctl", version, disable_help_subcommand = true)]
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
    Status {
        /// A jail's name, or its service's where only one jail has it
        jail: Option<String>,
    },
    /// List who is banned; with an address exit with 1 if it is not
    Banned {
        /// Only bans of this address or prefix
        #[arg(value_name = "IP", value_parser = network)]
        network: Option<Network>,
    },
    /// Ban addresses and prefixes
    Ban(Ban),
    /// Lift bans; what is lifted is not banned again for what it did before
    Unban(Unban),
    /// Show what happens, until interrupted
    Watch,
    /// Ask whether guard lives and its bans are in the kernel: else exit with 1
    Ping,
    /// Show the versions of guardctl and guard
    Version,
    /// Lift every ban of every jail, those made by hand too, and say how many
    Flush,
    /// Search filters for regexes in which an attacker's text decides who is banned, and
    /// for others that are hardly meant so; needs no guard. Exits with 1 if there are some
    Lint(Lint),
    /// Explain a command, or show the table of labels (`help labels`)
    Help {
        /// A command, or `labels`
        topic: Option<String>,
    },
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
struct Lint {
    /// A filter, perhaps with options: `sshd[mode=aggressive]`
    #[arg(long, value_name = "NAME[opts]")]
    filter: Vec<String>,
    /// A failregex
    #[arg(long, value_name = "RE", allow_hyphen_values = true)]
    failregex: Vec<String>,
    /// An ignoreregex beside `--failregex`
    #[arg(long, value_name = "RE", requires = "failregex", allow_hyphen_values = true)]
    ignoreregex: Vec<String>,
    /// A prefregex beside `--failregex`
    #[arg(long, value_name = "RE", requires = "failregex", allow_hyphen_values = true)]
    prefregex: Option<String>,
    /// A datepattern beside `--failregex`
    #[arg(long, value_name = "P", requires = "failregex", allow_hyphen_values = true)]
    datepattern: Option<String>,
    /// A folder with filters, before all others
    #[arg(long, value_name = "DIR")]
    filter_path: Vec<String>,
}

/// An argument of `ban` and `unban`.
#[derive(Clone, Copy, Debug)]
enum Whom {
    Network(Network),
    StandardInput,
}

fn network(text: &str) -> Result<Network, InvalidAddress> {
    text.parse()
}

fn whom(text: &str) -> Result<Whom, InvalidAddress> {
    if text == "-" { Ok(Whom::StandardInput) } else { network(text).map(Whom::Network) }
}

/// The one place where guardctl reads spans of time.
fn ban_time(text: &str) -> Result<BanTime, String> {
    guard::labels::duration::parse(text).map_err(|error| error.to_string())
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
        Command::Help { topic } => return help(topic.as_deref()),
        Command::Lint(wanted) => return Ok(lint(wanted, json)?),
        Command::Watch => return watch(Client::connect(&socket)?, json),
        Command::Status { jail } => Request::Status { jail },
        Command::Banned { network } => Request::Banned { network },
        Command::Ban(Ban { whom, jail, time, force }) => {
            Request::Ban { networks: networks(&whom)?, jail, time, force }
        }
        Command::Unban(Unban { all: true, jail, .. }) => Request::Unban { which: Which::All, jail },
        Command::Unban(Unban { whom, jail, .. }) => {
            Request::Unban { which: Which::Networks(networks(&whom)?), jail }
        }
        Command::Ping => Request::Ping,
        Command::Flush => Request::Flush,
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

fn lint(wanted: Lint, json: bool) -> io::Result<Outcome> {
    let Lint { filter, failregex, ignoreregex, prefregex, datepattern, filter_path } = wanted;
    let asked = Asked {
        filters: filter,
        failregex,
        ignoreregex,
        prefregex,
        datepattern,
        filter_path,
        json,
    };
    let path = std::env::var("GUARD_FILTER_PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    let (text, outcome) = guard::filters::lint::run(&asked, &path);
    match outcome {
        Outcome::Usage => write!(anstream::stderr(), "{text}")?,
        _ => write!(anstream::stdout(), "{text}")?,
    }
    Ok(outcome)
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

fn help(topic: Option<&str>) -> Result<Outcome, Failure> {
    let mut command = Arguments::command();
    command.build();
    let text = match topic {
        None => command.render_long_help().to_string(),
        Some("labels") => table_of_labels(),
        Some(topic) => match command.find_subcommand_mut(topic) {
            Some(command) => command.render_long_help().to_string(),
            None => return Err(Failure::Usage(format!("no help on `{topic}`: see guardctl help"))),
        },
    };
    writeln!(anstream::stdout(), "{}", text.trim_end())?;
    Ok(Outcome::Done)
}

/// The networks that were named, and those on standard input where `-` was.
/// Nothing is done when one of them is none.
fn networks(whom: &[Whom]) -> Result<Vec<Network>, Failure> {
    let mut networks = Vec::new();
    for whom in whom {
        match whom {
            Whom::Network(network) => networks.push(*network),
            Whom::StandardInput => {
                read_networks(io::stdin().lock(), &mut networks).map_err(Failure::Usage)?;
            }
        }
    }
    Ok(networks)
}

fn read_networks(mut from: impl BufRead, to: &mut Vec<Network>) -> Result<(), String> {
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = (&mut from).take(MAX_LINE).read_until(b'\n', &mut line);
        let wrong =
            |what: String| format!("standard input, line {number}: {what}; nothing was done");
        if read.map_err(|error| wrong(error.to_string()))? == 0 {
            break;
        }
        if line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n') {
            return Err(wrong(format!("longer than {MAX_LINE} bytes")));
        }
        let line = String::from_utf8_lossy(&line);
        let text = line.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        to.push(text.parse().map_err(|error: InvalidAddress| wrong(error.to_string()))?);
        if to.len() > MAX_ADDRESSES {
            return Err(wrong(format!("more than {MAX_ADDRESSES} addresses")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn addresses_are_read_one_a_line() {
        let read = |text: &str| {
            let mut networks = Vec::new();
            read_networks(text.as_bytes(), &mut networks)
                .map(|()| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(
            read("# list\n192.0.2.1\r\n\n  2001:db8::/64 # net\n192.0.2.2").unwrap(),
            "192.0.2.1 2001:db8::/64 192.0.2.2"
        );
        assert_eq!(read("").unwrap(), "");
        let told = read("192.0.2.1\n192.0.2.300\n").unwrap_err();
        assert!(told.contains("line 2") && told.contains("nothing was done"), "{told}");
        assert!(read("0.0.0.0/0").unwrap_err().contains("every address"));
        assert!(read(&"x".repeat(5000)).unwrap_err().contains("longer than"));
    }
}
