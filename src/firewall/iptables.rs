//! Running the tools: `iptables-…-save`, `iptables-…-restore --noflush` and `nft -f -`,
//! nothing else.
//!
//! No shell; the arguments are constants, rules go through a pipe. Output and
//! time are bounded, so that a tool that hangs can't hang guard.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::kind::Kind;
use super::names::Family;

/// A tool waits 2 s for the lock of the tables; on a slow machine with many
/// rules the work itself takes some seconds more.
const PATIENCE: Duration = Duration::from_secs(15);

/// A table with 200,000 rules has about 30 MB.
const OUTPUT_MAX: u64 = 128 << 20;
const STDERR_MAX: u64 = 64 << 10;

/// Why a tool did not do its work. The words are for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// It is not there.
    #[error("{0} is not installed: install the package {package}", package = package(.0))]
    Missing(String),
    /// The kernel said no.
    #[error("{0} may not touch the firewall: give guard cap_add: [NET_ADMIN, NET_RAW]")]
    Denied(String),
    /// It ended with an error.
    #[error("{tool} failed: {message}")]
    Failed {
        /// Its name.
        tool: String,
        /// What it said.
        message: String,
    },
    /// It could not be run.
    #[error("{0} could not be run: {1}")]
    Io(String, io::Error),
    /// It took too long, or wrote too much.
    #[error("{0} did not end in time, or wrote without end")]
    Endless(String),
    /// What was written to a legacy table is not there.
    #[error("another program wrote the whole table at the same time")]
    Overwritten,
    /// It wrote what guard can't read.
    #[error("{0}: {1}")]
    Unreadable(String, super::rules::Unreadable),
}

/// Does the kernel hold legacy tables already? Merely calling a legacy tool
/// would make them, so it is asked first.
pub(crate) fn has_legacy_table(family: Family) -> bool {
    let list = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    std::fs::read_to_string(list).is_ok_and(|names| names.lines().any(|name| name == "filter"))
}

/// Has the kernel IPv6 at all?
pub(crate) fn has_ipv6() -> bool {
    std::fs::exists("/proc/thread-self/net/if_inet6").unwrap_or(false)
}

/// Debian's package that has a tool.
fn package(tool: &str) -> &'static str {
    if tool == NFT { "nftables" } else { "iptables" }
}

const NFT: &str = "nft";

/// Is nft there, and does it run?
pub(crate) fn has_nft() -> Result<(), ToolError> {
    run(NFT, &["--version"], String::new()).map(drop)
}

/// Has nft carry out lines, all or none.
pub(crate) fn nft(lines: &[String]) -> Result<(), ToolError> {
    run(NFT, &["-f", "-"], lines.join("\n") + "\n").map(drop)
}

fn tool(family: Family, kind: Kind, action: &str) -> String {
    let stem = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    format!("{stem}-{}-{action}", kind.as_str())
}

/// The filter table of one family and kind.
pub(crate) fn save(family: Family, kind: Kind) -> Result<super::rules::Table, ToolError> {
    let tool = tool(family, kind, "save");
    let listing = run(&tool, &["-t", "filter"], String::new())?;
    super::rules::Table::parse(&listing).map_err(|wrong| ToolError::Unreadable(tool, wrong))
}

/// The listing of the filter table with each rule's counters.
pub(crate) fn save_with_counters(family: Family, kind: Kind) -> Result<String, ToolError> {
    run(&tool(family, kind, "save"), &["-c", "-t", "filter"], String::new())
}

/// Applies lines to the filter table, all or none.
pub(crate) fn restore(family: Family, kind: Kind, lines: &[String]) -> Result<(), ToolError> {
    let tool = tool(family, kind, "restore");
    let mut input =
        String::with_capacity(lines.iter().map(|line| line.len() + 1).sum::<usize>() + 16);
    input.push_str("*filter\n");
    for line in lines {
        input.push_str(line);
        input.push('\n');
    }
    input.push_str("COMMIT\n");
    match run(&tool, &["--noflush", "-w", "2"], input) {
        Ok(_) => Ok(()),
        Err(ToolError::Failed { tool, message }) => {
            let message = with_line(&message, lines);
            Err(ToolError::Failed { tool, message })
        }
        Err(other) => Err(other),
    }
}

/// Adds the text of the line whose number the tool complains of.
fn with_line(message: &str, lines: &[String]) -> String {
    let number = message.split_once("line ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    });
    // Line 1 is the table's name.
    match number.and_then(|number| lines.get(number.checked_sub(2)?)) {
        Some(line) => format!("{message} (`{line}`)"),
        None => message.to_owned(),
    }
}

fn run(tool: &str, arguments: &[&str], input: String) -> Result<String, ToolError> {
    const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let failed = |error| ToolError::Io(tool.to_owned(), error);
    let mut command = Command::new(tool);
    command.args(arguments).env_clear().env("LC_ALL", "C");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| USUAL.into()));
    if let Some(lock) = std::env::var_os("XTABLES_LOCKFILE") {
        command.env("XTABLES_LOCKFILE", lock);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ToolError::Missing(tool.to_owned()),
        _ => failed(error),
    })?;
    talk(tool, child, input)
}

/// Writes the input, reads the output, and waits for the end.
fn talk(tool: &str, mut child: Child, input: String) -> Result<String, ToolError> {
    let endless = || ToolError::Endless(tool.to_owned());
    let failed = |error| ToolError::Io(tool.to_owned(), error);
    let outputs = pump(&mut child, input);
    let deadline = Instant::now() + PATIENCE;
    let mut texts = [None, None];
    while texts.iter().any(Option::is_none) {
        match outputs.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((at, Some(text))) => texts[at] = Some(text),
            // Too slow or too much: it must not be left behind.
            Ok((_, None)) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(endless());
            }
        }
    }
    let status = child.wait().map_err(failed)?;
    let [stdout, stderr] = texts.map(Option::unwrap_or_default);
    if status.success() {
        return Ok(stdout);
    }
    Err(refusal(tool, &stderr, &format!("it ended with {status}")))
}

/// Threads that move the bytes: a pipe holds little, and all three must flow at once.
fn pump(child: &mut Child, input: String) -> mpsc::Receiver<(usize, Option<String>)> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that stops reading ends with an error of its own.
        std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    }
    let read = |at: usize, pipe: Option<Box<dyn Read + Send>>, most: u64| {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let fits = pipe.is_some_and(|pipe| {
                let end = pipe.take(most).read_to_end(&mut bytes);
                end.is_ok() && (bytes.len() as u64) < most
            });
            let text = fits.then(|| String::from_utf8_lossy(&bytes).into_owned());
            // Nobody listens any more after a timeout.
            let _ = sender.send((at, text));
        });
    };
    read(0, child.stdout.take().map(|pipe| Box::new(pipe) as _), OUTPUT_MAX);
    read(1, child.stderr.take().map(|pipe| Box::new(pipe) as _), STDERR_MAX);
    receiver
}

fn refusal(tool: &str, stderr: &str, otherwise: &str) -> ToolError {
    // The last is what a rule with a set says without NET_RAW.
    let denials = ["ermission denied", "not permitted", "Can't open socket to ipset"];
    if denials.iter().any(|denial| stderr.contains(denial)) {
        return ToolError::Denied(tool.to_owned());
    }
    // Some versions begin with their own name alone on a line.
    let says = |line: &&str| {
        !line.is_empty() && !line.starts_with("# Warning") && !line.ends_with("(nf_tables):")
    };
    let message = stderr.lines().map(str::trim).find(says).unwrap_or(otherwise);
    let message = message.strip_prefix(tool).unwrap_or(message);
    let message = message.trim_start_matches([':', ' ']).chars().take(300).collect();
    ToolError::Failed { tool: tool.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_the_tools_words() {
        let check = |stderr: &str, told: &str| {
            assert_eq!(refusal("iptables-nft-restore", stderr, "it ended").to_string(), told);
        };
        check(
            "iptables-nft-restore: line 2 failed: No chain/target/match by that name.\n",
            "iptables-nft-restore failed: line 2 failed: No chain/target/match by that name.",
        );
        check(
            "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: CHAIN_DEL failed (Device or resource busy): chain f2b-web\n",
            "iptables-nft-restore failed: line 2: CHAIN_DEL failed (Device or resource busy): chain f2b-web",
        );
        check(
            "# Warning: iptables-legacy tables present\n\n",
            "iptables-nft-restore failed: it ended",
        );
        check(
            "iptables v1.8.9: Could not fetch rule set generation id: Permission denied (you must be root)\n",
            "iptables-nft-restore may not touch the firewall: give guard cap_add: [NET_ADMIN, NET_RAW]",
        );
    }

    #[test]
    fn the_line_complained_of_is_shown() {
        let lines = ["-A X -j DROP".to_owned()];
        assert_eq!(with_line("line 2 failed", &lines), "line 2 failed (`-A X -j DROP`)");
        assert_eq!(with_line("line 1 failed", &lines), "line 1 failed");
        assert_eq!(with_line("no number", &lines), "no number");
    }

    #[test]
    fn a_tool_that_is_missing_is_named() {
        let error = run("no-such-iptables-save", &[], String::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-iptables-save is not installed: install the package iptables"
        );
    }
}
