//! `guardctl backup` and `guardctl restore`: all that guard remembers, in one file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use guard::control::client::Client;
use guard::control::print::{self, Outcome};
use guard::control::protocol::{Reply, Request};

use crate::{Failure, show};

/// So much of a file goes into one request, which may have a mebibyte.
const PIECE: u64 = 512 * 1024;

/// Standard input or output.
const DASH: &str = "-";

const BACKUP: &str = "\
Examples:
  From guard's container, which can't write, into a file of the host:
    docker exec guard guardctl backup - > guard.backup

  Where guardctl runs on the host:
    guardctl backup /var/backups/guard.backup

  Every night, by cron:
    docker exec guard guardctl backup - > /var/backups/guard-$(date +\\%F).backup

The file is an SQLite database with bans, history, offenders, counts and places in logs, as
they were at one moment; guard goes on meanwhile. It has the addresses of your users.";

const RESTORE: &str = "\
Examples:
  Into guard's container, from a file of the host (-i: it reads standard input):
    docker exec -i guard guardctl restore - < guard.backup

  Where guardctl runs on the host:
    guardctl restore /var/backups/guard.backup

Bans, history and offenders are those of then: who was banned since is let in, who was
unbanned since is banned again, if his time is not over and he may be banned at all. Counts
of failures, places in logs and the options of jails stay as they are. What guard remembered
before is kept, and its name is told.

Exit codes: 0 restored, 1 refused: nothing is changed, 3 no guard answers.";

/// Write all that guard remembers into one file, while it runs
///
/// A file is written whole or not at all, and is for its owner alone (0600).
#[derive(Debug, Args)]
#[command(after_long_help = BACKUP)]
pub(super) struct Backup {
    /// Where to; `-` is standard output
    #[arg(value_name = "FILE", default_value = DASH)]
    file: PathBuf,
}

/// Return to a backup, while guard runs: its bans are in force at once
#[derive(Debug, Args)]
#[command(after_long_help = RESTORE)]
pub(super) struct Restore {
    /// Where from; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs `guardctl backup`.
///
/// # Errors
/// guard can't be asked, or the file can't be written.
pub(super) fn backup(options: &Backup, socket: &Path, json: bool) -> Result<Outcome, Failure> {
    if options.file == Path::new(DASH) {
        if io::stdout().is_terminal() {
            let message = "a backup is no text: name a file, or send it into one (> guard.backup)";
            return Err(Failure::Usage(message.to_owned()));
        }
        let reply = receive(socket, &mut io::stdout().lock())?;
        tell(&reply, json)?;
        return Ok(print::outcome(&reply));
    }
    if fs::symlink_metadata(&options.file).is_ok_and(|there| !there.is_file()) {
        return Err(Failure::Usage(format!(
            "{} is no regular file: to send the backup elsewhere, write `-`",
            options.file.display()
        )));
    }
    let part = Part::create(&options.file).map_err(|error| cannot(&options.file, &error))?;
    let reply = receive(socket, &mut &part.file)?;
    if let Reply::BackedUp(_) = reply {
        part.finish(&options.file).map_err(|error| cannot(&options.file, &error))?;
    }
    show(&reply, json)?;
    Ok(print::outcome(&reply))
}

/// Writes the pieces as they come, and gives the last word.
fn receive(socket: &Path, to: &mut dyn Write) -> Result<Reply, Failure> {
    let mut written = Ok(0);
    let reply = Client::connect(socket)?.ask_long(&Request::Backup, |told| {
        if let (Reply::BackupPiece { piece }, Ok(length)) = (told, &mut written) {
            match to.write_all(piece) {
                Ok(()) => *length += piece.len() as u64,
                Err(error) => written = Err(error),
            }
        }
    })?;
    // Here a closed pipe is a failure: half a backup is none.
    let written = written.and_then(|length| to.flush().map(|()| length));
    let length = written.map_err(|error| Failure::Input(format!("can't write it: {error}")))?;
    match &reply {
        Reply::BackedUp(backup) if backup.bytes != length => {
            Err(Failure::Input(format!("only {length} of {} bytes came: try again", backup.bytes)))
        }
        _ => Ok(reply),
    }
}

/// Standard output has the backup: what is to be said goes to standard error.
fn tell(reply: &Reply, json: bool) -> io::Result<()> {
    let mut err = anstream::stderr().lock();
    if json {
        return err.write_all(print::json(reply).as_bytes());
    }
    let text = print::text(reply, &jiff::tz::TimeZone::system());
    err.write_all(text.out.as_bytes())?;
    err.write_all(text.err.as_bytes())
}

/// A file on its way; what is not finished is removed.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn create(target: &Path) -> io::Result<Part> {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let path = PathBuf::from(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Part { path, file })
    }

    fn finish(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After `finish` it has another name, and is not found.
        let _ = fs::remove_file(&self.path);
    }
}

/// Runs `guardctl restore`.
///
/// # Errors
/// guard can't be asked, or the file can't be read.
pub(super) fn restore(options: &Restore, socket: &Path, json: bool) -> Result<Outcome, Failure> {
    let mut source: Box<dyn Read> = if options.file == Path::new(DASH) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&options.file).map_err(|error| cannot(&options.file, &error))?)
    };
    let mut bytes = 0;
    loop {
        let mut piece = Vec::new();
        let read = source.by_ref().take(PIECE).read_to_end(&mut piece);
        read.map_err(|error| cannot(&options.file, &error))?;
        if piece.is_empty() {
            break;
        }
        let length = piece.len() as u64;
        // A connection for each: who types a passphrase upstream keeps none open.
        let reply = Client::connect(socket)?.ask(Request::Upload { at: bytes, piece })?;
        if !matches!(reply, Reply::Uploaded { .. }) {
            show(&reply, json)?;
            return Ok(print::outcome(&reply));
        }
        bytes += length;
    }
    if bytes == 0 && options.file == Path::new(DASH) {
        let message = "nothing came from standard input (docker exec passes it on with -i)";
        return Err(Failure::Input(message.to_owned()));
    }
    let reply = Client::connect(socket)?.ask_long(&Request::Restore { bytes }, |_| {})?;
    show(&reply, json)?;
    Ok(print::outcome(&reply))
}

fn cannot(file: &Path, error: &io::Error) -> Failure {
    Failure::Input(format!("{}: {error}", file.display()))
}
