//! `guardctl doctor` and `guardctl suggest`.

use std::path::{Path, PathBuf};

use clap::Args;
use guard::control::client::{Client, ClientError};
use guard::control::print::{self, Outcome};
use guard::control::protocol::{Reply, Request};
use guard::doctor;

use crate::{Failure, show};

/// Shown below the options by `guardctl help doctor`.
const CODES: &str = "\
Examples:
  What keeps guard from its work, and what to do about it:
    guardctl doctor

  As a check, after an upgrade of Docker:
    guardctl doctor --json

Exit codes: 0 neither an error nor a warning (notes don't count), 1 at least one, 3 no guard
answers: what can be seen without it is looked at all the same. JSON has the worst level.";

/// Find what keeps guard from doing its work, and what to do about it
///
/// Looks at the engine and what it allows, guard's own container and process, the firewall,
/// the database, and at each jail: are its clients' addresses hidden, can its logs be read,
/// do they match, do its bans keep anybody out? Without a guard it looks at what it can.
#[derive(Debug, Args)]
#[command(after_long_help = CODES)]
pub(super) struct Options {}

/// Runs `guardctl doctor`.
///
/// # Errors
/// No guard answers: after what was found without it was told.
pub(super) fn run(socket: &Path, json: bool) -> Result<Outcome, Failure> {
    let lost = match Client::connect(socket) {
        Ok(mut client) => {
            let reply = client.ask_long(&Request::Doctor, |_| {})?;
            show(&reply, json)?;
            return Ok(print::outcome(&reply));
        }
        Err(error @ ClientError::NoDaemon { .. }) => error,
        Err(error) => return Err(error.into()),
    };
    let findings = alone(&lost.to_string())?;
    show(&Reply::Doctor { worst: doctor::worst(&findings), findings }, json)?;
    Err(lost.into())
}

fn alone(why: &str) -> Result<Vec<guard::model::Finding>, Failure> {
    let data = std::env::var_os("GUARD_DATA").filter(|path| !path.is_empty());
    let data = data.map_or_else(|| PathBuf::from("/var/lib/guard"), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(guard::daemon::doctor::alone(&data, why)))
}

/// Runs `guardctl suggest`.
///
/// # Errors
/// No guard answers.
pub(super) fn suggest(socket: &Path, json: bool) -> Result<Outcome, Failure> {
    let reply = Client::connect(socket)?.ask_long(&Request::Suggest, |_| {})?;
    show(&reply, json)?;
    Ok(print::outcome(&reply))
}
