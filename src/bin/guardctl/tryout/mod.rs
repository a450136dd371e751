//! `guardctl try`: what guard would have done with a log.
//!
//! Of a service the running guard reads what Docker still has; files are read here, and
//! no guard has to run. Both judge by the same filter and the same warden.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use guard::control::client::Client;
use guard::control::print::{self, Outcome};
use guard::control::protocol::{Reply, Request};

use crate::{Failure, show};
pub(crate) use options::Options;

mod files;
mod options;

/// Runs `guardctl try`.
///
/// # Errors
/// Wrong options, a file that can't be read, no guard where one is asked.
pub(crate) fn run(options: &Options, socket: &Path, json: bool) -> Result<Outcome, Failure> {
    let reply = match &options.service {
        None => Reply::Tried(Box::new(files::tried(options)?)),
        Some(service) => {
            let request = Request::Try {
                service: service.clone(),
                options: options.given(),
                since: options.since,
            };
            asked(&request, socket)?
        }
    };
    show(&reply, json)?;
    Ok(print::outcome(&reply))
}

/// Asks guard, and tells on a terminal how far it is.
fn asked(request: &Request, socket: &Path) -> Result<Reply, Failure> {
    let mut told = false;
    let talks = io::stderr().is_terminal();
    let reply = Client::connect(socket)?.ask_long(request, |reply| {
        if let (Reply::Trying { lines }, true) = (reply, talks) {
            told = true;
            // The answer comes whether or not anyone can be told.
            let _ = write!(io::stderr(), "\r{lines} lines\x1b[K");
        }
    });
    if told {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    Ok(reply?)
}
