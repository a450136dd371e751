//! `guardctl filters`: which filters there are, and how guard reads one.

use std::path::PathBuf;

use clap::Args;
use guard::control::print::Outcome;

use crate::Failure;

/// List the filters that there are, or show one as guard reads it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A filter to show, with options if need be: sshd, 'sshd[mode=aggressive]'
    #[arg(value_name = "NAME[OPTIONS]")]
    name: Option<String>,
    /// A folder with filters, looked into before all others; may be given several times
    #[arg(long, value_name = "DIR")]
    filter_path: Vec<PathBuf>,
}

/// Runs `guardctl filters`.
///
/// # Errors
/// No such filter, or something is wrong with it.
pub(crate) fn run(_options: &Options, _json: bool) -> Result<Outcome, Failure> {
    Ok(Outcome::Done)
}
