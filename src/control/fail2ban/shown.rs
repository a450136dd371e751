//! Answers for people, in the words of `fail2ban-client`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Write;

use super::{Command, Value};

/// An answer to `command` as `fail2ban-client` prints it, without the last line's
/// end. Texts in it may hold anything: the caller escapes what a terminal follows.
pub fn shown(command: &Command, answer: &Value) -> String {
    match command {
        Command::Ping => format!("Server replied: {}", plain(answer)),
        Command::FlushLogs => format!("logs: {}", plain(answer)),
        Command::Echo(_) => joined(answer, " "),
        Command::Status => tree("Status", answer),
        Command::StatusJail(jail, _) => tree(&format!("Status for the jail: {jail}"), answer),
        Command::BanList { with_time, .. } => joined(answer, if *with_time { "\n" } else { " " }),
        Command::Option(_, option) => option_text(option, answer),
        Command::Server(option) => server_text(option, answer),
        Command::Version
        | Command::StatusAll(_)
        | Command::Banned
        | Command::BannedIn(_)
        | Command::JailBanned(..)
        | Command::Ban(..)
        | Command::Unban { .. }
        | Command::UnbanAll => plain(answer),
    }
}

/// A text as it is, anything else as Python writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

fn joined(value: &Value, between: &str) -> String {
    match value {
        Value::List(items) => items.iter().map(plain).collect::<Vec<_>>().join(between),
        other => plain(other),
    }
}

/// Named values, one a line, those inside others below them.
fn tree(title: &str, answer: &Value) -> String {
    let mut text = title.to_owned();
    branches(&mut text, "", answer);
    text
}

fn branches(text: &mut String, before: &str, answer: &Value) {
    let Value::List(entries) = answer else { return };
    for (at, entry) in entries.iter().enumerate() {
        let Value::Tuple(pair) = entry else { continue };
        let [name, value] = pair.as_slice() else { continue };
        let last = at + 1 == entries.len();
        let head = if last { "`-" } else { "|-" };
        let is_branch = |value: &Value| {
            matches!(value, Value::List(items)
                if items.first().is_some_and(|item| matches!(item, Value::Tuple(_))))
        };
        let name = plain(name);
        if is_branch(value) {
            let _ = write!(text, "\n{before}{head} {name}");
            branches(text, &format!("{before}{}", if last { "   " } else { "|  " }), value);
        } else {
            let _ = write!(text, "\n{before}{head} {name}:\t{}", joined(value, " "));
        }
    }
}

/// A title and a list, or what is said of an empty one.
fn listed(title: &str, empty: &str, answer: &Value, numbered: bool) -> String {
    let Value::List(items) = answer else { return plain(answer) };
    if items.is_empty() {
        return empty.to_owned();
    }
    let mut text = title.to_owned();
    for (at, item) in items.iter().enumerate() {
        let head = if at + 1 == items.len() { "`-" } else { "|-" };
        let number = if numbered { format!("[{at}]: ") } else { String::new() };
        let _ = write!(text, "\n{head} {number}{}", plain(item));
    }
    text
}

fn option_text(option: &str, answer: &Value) -> String {
    match option {
        "logpath" => listed(
            "Current monitored log file(s):",
            "No file is currently monitored",
            answer,
            false,
        ),
        "ignoreip" => listed(
            "These IP addresses/networks are ignored:",
            "No IP address/network is ignored",
            answer,
            false,
        ),
        "failregex" | "ignoreregex" => listed(
            "The following regular expression are defined:",
            "No regular expression is defined",
            answer,
            true,
        ),
        "logencoding" => format!("Current log encoding is set to:\n{}", plain(answer)),
        "datepattern" if *answer == Value::None => {
            "Current date pattern set to: Not set/required".to_owned()
        }
        "datepattern" => format!("Current date pattern set to: {}", plain(answer)),
        "journalmatch" => match answer {
            Value::List(items) if items.is_empty() => "No journal match filter set".to_owned(),
            Value::List(items) => {
                let terms: Vec<_> = items.iter().map(|item| joined(item, " ")).collect();
                format!("Current match filter:\n{}", terms.join(" + "))
            }
            other => plain(other),
        },
        _ => plain(answer),
    }
}

fn server_text(option: &str, answer: &Value) -> String {
    match (option, answer) {
        ("loglevel", answer) => {
            format!("Current logging level is {}", Value::text(plain(answer)))
        }
        ("logtarget", answer) => format!("Current logging target is:\n`- {}", plain(answer)),
        ("syslogsocket", answer) => format!("Current syslog socket is:\n`- {}", plain(answer)),
        ("dbfile" | "dbpurgeage", Value::None) => "Database currently disabled".to_owned(),
        ("dbfile", answer) => format!("Current database file is:\n`- {}", plain(answer)),
        ("dbpurgeage", answer) => {
            format!("Current database purge age is:\n`- {}seconds", plain(answer))
        }
        (_, answer) => plain(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a test is read more easily")]
    fn show(words: &str, answer: Value) -> String {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        shown(&Command::parse(&words).unwrap(), &answer)
    }

    #[test]
    fn a_jails_status_is_fail2bans_tree() {
        let answer = Value::List(vec![
            Value::named(
                "Filter",
                Value::List(vec![
                    Value::named("Currently failed", Value::Number(1)),
                    Value::named("Total failed", Value::Number(5)),
                    Value::named("File list", Value::texts(["/var/log/auth.log"])),
                ]),
            ),
            Value::named(
                "Actions",
                Value::List(vec![
                    Value::named("Currently banned", Value::Number(2)),
                    Value::named("Total banned", Value::Number(3)),
                    Value::named("Banned IP list", Value::texts(["192.0.2.1", "2001:db8::1"])),
                ]),
            ),
        ]);
        assert_eq!(
            show("status sshd", answer),
            "Status for the jail: sshd\n\
             |- Filter\n\
             |  |- Currently failed:\t1\n\
             |  |- Total failed:\t5\n\
             |  `- File list:\t/var/log/auth.log\n\
             `- Actions\n\
             \u{20}  |- Currently banned:\t2\n\
             \u{20}  |- Total banned:\t3\n\
             \u{20}  `- Banned IP list:\t192.0.2.1 2001:db8::1"
        );
        let jails = Value::List(vec![
            Value::named("Number of jail", Value::Number(2)),
            Value::named("Jail list", Value::text("nginx, sshd")),
        ]);
        assert_eq!(
            show("status", jails),
            "Status\n|- Number of jail:\t2\n`- Jail list:\tnginx, sshd"
        );
    }

    #[test]
    fn other_answers_have_fail2bans_words() {
        let check = |words: &str, answer: Value, text: &str| {
            assert_eq!(show(words, answer), text, "{words}");
        };
        check("ping", Value::text("pong"), "Server replied: pong");
        check("set web banip 192.0.2.1", Value::Number(1), "1");
        check("get web banip", Value::texts(["192.0.2.1", "192.0.2.2"]), "192.0.2.1 192.0.2.2");
        check("get web bantime", Value::Number(-1), "-1");
        check("get web logpath", Value::List(vec![]), "No file is currently monitored");
        check(
            "get web logpath",
            Value::texts(["/a", "/b"]),
            "Current monitored log file(s):\n|- /a\n`- /b",
        );
        check(
            "get web failregex",
            Value::texts(["x <HOST>", "y <HOST>"]),
            "The following regular expression are defined:\n|- [0]: x <HOST>\n`- [1]: y <HOST>",
        );
        check("get loglevel", Value::text("INFO"), "Current logging level is 'INFO'");
        check(
            "banned",
            Value::List(vec![Value::Map(vec![("web".into(), Value::texts(["192.0.2.1"]))])]),
            "[{'web': ['192.0.2.1']}]",
        );
    }
}
