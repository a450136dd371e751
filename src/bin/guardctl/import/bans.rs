//! `guardctl import --bans`: fail2ban's bans, handed to a running guard.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use guard::control::client::Client;
use guard::control::print::{self, Outcome};
use guard::control::protocol::{BanRefused, RefusedKind, Reply, Request};
use guard::model::{ForeignBan, JailName};
use guard::store::fail2ban::{self, MAX_FILE, Remembered};

use crate::{Failure, show};

/// So many bans go in one request.
const AT_ONCE: usize = 2000;

/// `OLD=NEW`.
#[derive(Clone, Debug)]
pub(super) struct Renamed {
    old: String,
    new: String,
}

impl FromStr for Renamed {
    type Err = String;

    fn from_str(text: &str) -> Result<Renamed, String> {
        match text.split_once('=') {
            Some((old, new)) if !old.is_empty() && !new.is_empty() => {
                Ok(Renamed { old: old.to_owned(), new: new.to_owned() })
            }
            _ => Err("write fail2ban's jail and guard's: sshd=host-ssh".to_owned()),
        }
    }
}

/// Takes over the bans in a database.
pub(super) fn run(
    database: &Path,
    renamed: &[Renamed],
    (socket, json): (&Path, bool),
) -> Result<Outcome, Failure> {
    let Remembered { bans, strange, strangers } = if database.as_os_str() == "-" {
        standard_input().map_err(|why| Failure::Input(format!("standard input: {why}")))?
    } else {
        fail2ban::read(database).map_err(Failure::Input)?
    };
    let mut by_jail: BTreeMap<String, Vec<ForeignBan>> = BTreeMap::new();
    for (jail, ban) in bans {
        by_jail.entry(jail).or_default().push(ban);
    }
    let unused = renamed.iter().find(|renamed| !by_jail.contains_key(&renamed.old));
    if let Some(Renamed { old, .. }) = unused {
        let known: Vec<&str> = by_jail.keys().map(String::as_str).take(20).collect();
        let what =
            format!("no ban of a jail `{old}` is in the database; it has {}", known.join(", "));
        return Err(Failure::Usage(what));
    }
    let mut client = Client::connect(socket)?;
    let mut replies = Vec::new();
    let mut unknown = false;
    for (old, bans) in by_jail {
        let named = renamed.iter().filter(|renamed| renamed.old == old);
        let mut jails: Vec<&str> = named.map(|renamed| renamed.new.as_str()).collect();
        if jails.is_empty() {
            jails.push(&old);
        }
        for jail in jails {
            let reply = hand_over(&mut client, jail, &bans)?;
            let reply = match reply {
                Reply::Refused { kind: kind @ RefusedKind::NotFound, message } => {
                    unknown = true;
                    let count = match bans.len() {
                        1 => "1 ban of fail2ban's jail".to_owned(),
                        count => format!("{count} bans of fail2ban's jail"),
                    };
                    let message = format!(
                        "left out: {count} `{old}`: {message}. Say which jail has them now: \
                     --jail {old}=JAIL"
                    );
                    Reply::Refused { kind, message }
                }
                reply => reply,
            };
            replies.push((old.clone(), reply));
        }
    }
    if json {
        anstream::stdout().write_all(as_json(&replies, strangers).as_bytes())?;
    } else {
        for (_, reply) in &replies {
            show(reply, false)?;
        }
        told_strangers(&strange, strangers)?;
        if replies.is_empty() {
            writeln!(anstream::stderr(), "fail2ban remembers no bans")?;
        }
    }
    let refused = replies.iter().any(|(_, reply)| print::outcome(reply) != Outcome::Done);
    Ok(if refused || unknown || strangers > 0 { Outcome::Refused } else { Outcome::Done })
}

/// Hands over a jail's bans, in pieces; what guard says of them all.
fn hand_over(client: &mut Client, jail: &str, bans: &[ForeignBan]) -> Result<Reply, Failure> {
    let mut sum = Sum::default();
    for piece in bans.chunks(AT_ONCE) {
        let request = Request::ImportBans { jail: jail.to_owned(), bans: piece.to_vec() };
        match client.ask(request)? {
            Reply::Imported {
                jail,
                banned,
                standing,
                ended,
                refused,
                only_in_memory,
                not_in_kernel,
            } => {
                sum.jail = Some(jail);
                sum.numbers =
                    [sum.numbers[0] + banned, sum.numbers[1] + standing, sum.numbers[2] + ended];
                sum.refused.extend(refused);
                sum.only_in_memory = sum.only_in_memory.or(only_in_memory);
                sum.not_in_kernel = sum.not_in_kernel.or(not_in_kernel);
            }
            other => return Ok(other),
        }
    }
    let Sum { jail, numbers: [banned, standing, ended], refused, only_in_memory, not_in_kernel } =
        sum;
    Ok(match jail {
        Some(jail) => Reply::Imported {
            jail,
            banned,
            standing,
            ended,
            refused,
            only_in_memory,
            not_in_kernel,
        },
        None => Reply::Refused { kind: RefusedKind::Usage, message: "no bans".to_owned() },
    })
}

#[derive(Default)]
struct Sum {
    jail: Option<JailName>,
    numbers: [u64; 3],
    refused: Vec<BanRefused>,
    only_in_memory: Option<String>,
    not_in_kernel: Option<String>,
}

fn told_strangers(strange: &[(String, String)], count: u64) -> io::Result<()> {
    let mut out = anstream::stderr();
    for (jail, whom) in strange {
        writeln!(
            out,
            "{}",
            print::escape(&format!("left out: `{whom}` of jail {jail} is no address"))
        )?;
    }
    match count.saturating_sub(strange.len() as u64) {
        0 => Ok(()),
        more => writeln!(out, "left out: {more} more that are no addresses"),
    }
}

fn as_json(replies: &[(String, Reply)], strangers: u64) -> String {
    let one =
        |(old, reply): &(String, Reply)| serde_json::json!({ "fail2ban": old, "reply": reply });
    let jails: Vec<_> = replies.iter().map(one).collect();
    let text = serde_json::json!({ "jails": jails, "no_addresses": strangers });
    format!("{}\n", print::safe_json(&text.to_string()))
}

/// Reads standard input into a file, where SQLite can go to and fro in it.
fn standard_input() -> Result<Remembered, String> {
    let folder = std::env::temp_dir();
    let room = |error| format!("no room for it in {} ({error}): set TMPDIR", folder.display());
    let (copy, mut file) = Copy::new(&folder).map_err(room)?;
    let mut input = io::stdin().lock().take(MAX_FILE + 1);
    io::copy(&mut input, &mut file).map_err(room)?;
    fail2ban::read_copy(&copy.0)
}

/// A file that is gone when it is no longer needed.
struct Copy(PathBuf);

impl Copy {
    fn new(folder: &Path) -> io::Result<(Copy, File)> {
        let path = folder.join(format!("guardctl-import-{}", std::process::id()));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((Copy(path), file))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // If it stays, it is a copy that only we can read.
        let _ = fs::remove_file(&self.0);
    }
}
