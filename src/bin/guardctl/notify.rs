//! `guardctl notify test`.

use std::path::Path;

use clap::{Args, Subcommand};
use guard::control::client::Client;
use guard::control::print::{self, Outcome};
use guard::control::protocol::Request;

use crate::{Failure, show};

/// What to do with notices.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Send a test through the running guard
    Test {
        /// Only to the target of this name [default: all]
        target: Option<String>,
    },
}

/// Asks guard for a test, and prints what came of it.
pub(crate) fn run(options: Options, socket: &Path, json: bool) -> Result<Outcome, Failure> {
    let What::Test { target } = options.what;
    let reply = Client::connect(socket)?.ask_long(&Request::Notify { target }, |_| {})?;
    show(&reply, json)?;
    Ok(print::outcome(&reply))
}
