//! Help by example: what stands below a command's options, and `guardctl help`.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::{Arguments, Failure, Outcome};

/// What people come for, below the list of commands.
pub(crate) const TASKS: &str = "\
What people come for:
  How is guard, and what does each jail do?
    guardctl status
  One jail: what it reads, whom it bans, where each of its options was set
    guardctl status web
  Why is this address in, or out?
    guardctl why 203.0.113.9
  Let somebody in, now
    guardctl unban 203.0.113.9
  Keep somebody out of everything, for a day
    guardctl ban 203.0.113.9 --for 1d
  Who is banned now, and who was in the last day?
    guardctl banned
    guardctl history --since 24h
  Look on, live: a line an event, or the whole screen
    guardctl watch
    guardctl top
  Does my regex match my log?
    docker logs web 2>&1 | guardctl test --failregex 'login failed .* from <HOST>$' -
  Whom would these labels have banned?
    guardctl try web --maxretry 3 --since 24h
  Do notices reach me?
    guardctl notify test
  My jails are in fail2ban: what are they as labels?
    tar -h -C /etc -c fail2ban | docker exec -i guard guardctl import -
  Are bans in the kernel? (for health checks)
    guardctl ping

In guard's container: docker exec guard guardctl …  More examples: guardctl help COMMAND";

pub(crate) const STATUS: &str = "\
Examples:
  All jails at a glance; guard's own health; labels that were refused, and why:
    guardctl status

  One jail: what it reads, whom it bans, its options and where each was set:
    guardctl status web

  For programs: which jails have warnings?
    guardctl status --json | jq -r '.jails[] | select(.warnings != []) | .name'

  Where does each option of a jail come from?
    guardctl status web --json | jq -c '.written[]'";

pub(crate) const BANNED: &str = "\
Examples:
  Who is banned where, since when, until when?
    guardctl banned

  Is this address banned? The exit code says it, too (0 yes, 1 no):
    guardctl banned 203.0.113.9

  Everybody in a prefix:
    guardctl banned 203.0.113.0/24

  Only the addresses, for another firewall:
    guardctl banned --json | jq -r '.bans[].network'";

pub(crate) const WHY: &str = "\
Examples:
  What does guard know of this address: bans, failures that count, lines, history; is it
  never banned, and by which entry; what would let it in or out?
    guardctl why 203.0.113.9

  The same for all in a prefix:
    guardctl why 2001:db8:1:2::/64

Exit codes: 0 something is known, 1 nothing is.";

pub(crate) const BAN: &str = "\
Examples:
  From everything, for as long as the jail `manual` bans:
    guardctl ban 203.0.113.9

  A prefix, for ever:
    guardctl ban 203.0.113.0/24 --for -1

  Only from what the jail `web` closes:
    guardctl ban 203.0.113.9 --jail web --for 1h

  A list:
    guardctl ban - < bad-addresses.txt

Addresses of this host, of Docker and in ignoreip are refused; --force bans them.";

pub(crate) const UNBAN: &str = "\
Examples:
  Let an address in everywhere, and forget what it did:
    guardctl unban 203.0.113.9

  In one jail, all in a prefix:
    guardctl unban 203.0.113.0/24 --jail web

  Everybody, in one jail:
    guardctl unban --all --jail web";

pub(crate) const WATCH: &str = "\
Examples:
  Failures, bans, unbans and repairs as they happen:
    guardctl watch

  For programs, an object a line; who is banned from now on?
    guardctl watch --json | jq -r 'select(.event == \"banned\") | .ban.network'

Ends with exit code 3 when guard does.";

pub(crate) const TOP: &str = "\
Examples:
  On the host, or in guard's container (docker exec -it guard guardctl top):
    guardctl top

Keys: Tab goes to the other list, the arrows (j k), PgUp, PgDn, Home, End move in it, u
lifts the ban there (asks first), q quits. It needs a terminal.";

pub(crate) const PING: &str = "\
Examples:
  As a health check (guard's image has it):
    guardctl ping";

pub(crate) const VERSION: &str = "\
Examples:
  Are guardctl and the running guard of one release?
    guardctl version";

pub(crate) const FLUSH: &str = "\
Examples:
  Let everybody in who is banned, in all jails:
    guardctl flush";

pub(crate) const SET: &str = "\
Examples:
  As one did with fail2ban-client:
    guardctl set web banip 203.0.113.9
    guardctl set web unbanip 203.0.113.9

Options of a jail are labels: change them in docker-compose.yml.";

pub(crate) const GET: &str = "\
Examples:
  As one did with fail2ban-client:
    guardctl get web banip --with-time
    guardctl get web bantime
    guardctl get web failregex";

pub(crate) const HISTORY: &str = "\
Examples:
  The last hundred bans:
    guardctl history

  All of an address, with the lines that led to each:
    guardctl history 203.0.113.9

  Of one jail, in the last week:
    guardctl history --jail web --since 7d --limit 10000";

pub(crate) const NOTIFY: &str = "\
Examples:
  Do notices reach every target of GUARD_NOTIFY?
    guardctl notify test

  One of them, by the name that `guardctl status` shows:
    guardctl notify test ntfy

  For programs: which ones fail, and why?
    guardctl notify test --json | jq -r '.targets[] | select(.ok | not) | .name, .answer'

Exit codes: 0 all have taken it, 1 one has not.";

pub(crate) const SUGGEST: &str = "\
Examples:
  Which containers could be protected, and by which labels?
    guardctl suggest";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  For this shell only:
    guardctl completions bash > /tmp/guardctl.bash

  For everybody on a host where guardctl runs in guard's container:
    docker exec guard guardctl completions bash > /etc/bash_completion.d/guardctl";

pub(crate) const HELP: &str = "\
Examples:
  What people come for, and all commands:
    guardctl help

  One command, with examples:
    guardctl help ban

  All labels, with what each takes and does:
    guardctl help labels";

/// Prints the help on a command, on the labels, or on all.
pub(crate) fn help(topic: Option<&str>) -> Result<Outcome, Failure> {
    let mut command = Arguments::command();
    command.build();
    let text = match topic {
        None => command.render_long_help().to_string(),
        Some("labels") => crate::table_of_labels(),
        Some(topic) => match command.find_subcommand_mut(topic) {
            Some(command) => command.render_long_help().to_string(),
            None => return Err(Failure::Usage(format!("no help on `{topic}`: see guardctl help"))),
        },
    };
    writeln!(anstream::stdout(), "{}", text.trim_end())?;
    Ok(Outcome::Done)
}

/// Prints what makes a shell complete guardctl's words.
pub(crate) fn completions(shell: clap_complete::Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "guardctl", &mut script);
    io::stdout().write_all(&script)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// The words as a shell would have them, up to a pipe or a redirection.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (quote, c) {
                (None, '|' | '<' | '>' | '\\') => break,
                (None, '\'') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (Some(q), c) if q == c => quote = None,
                (None, ' ') => words.extend(word.take()),
                (_, c) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn every_command_has_examples_and_each_is_understood() {
        let mut all = vec![("guardctl".to_owned(), TASKS.to_owned())];
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name().to_owned();
            let after = command.get_after_long_help().or(command.get_after_help());
            let after = after.map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Examples:\n"), "{name} has none");
            all.push((name, after));
        }
        for (name, text) in all {
            let (mut count, mut own) = (0, false);
            for line in text.lines().filter(|line| line.starts_with("    ")) {
                let Some(at) = line.find("guardctl ") else { continue };
                let words = words(&line[at..]);
                own |= words.get(1) == Some(&name);
                count += 1;
                if let Err(error) = Arguments::try_parse_from(&words) {
                    panic!("{name}: {words:?}: {error}");
                }
            }
            assert!(count > 0 && (own || name == "guardctl"), "{name}: {count} examples");
        }
    }

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        use clap_complete::Shell;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "guardctl", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in Arguments::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
