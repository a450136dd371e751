use std::net::TcpListener;

use super::*;
use crate::report::notify::targets;

#[path = "../../../tests/notices/smtp.rs"]
mod server;

use server::{Script, Server, dribble, forever, hang_up, refuse};

const PLAIN: &str = "&encryption=none";
const LOGIN: &str = "&encryption=none&name=login";
const STARTTLS: &str = "";
const ALL: [&str; 3] = ["me@x.example", "gone@x.example", "she@x.example"];

fn letter(text: &str) -> Letter {
    Letter { subject: "guard on h: ban".into(), text: text.into() }
}

/// What comes of a mail to all three, by a target with `more` in its URL.
fn deliver(patience: Duration, more: &str, server: &Server) -> Vec<Outcome> {
    let (user, to) = (if more == LOGIN { "guard:SECRETmail@" } else { "" }, ALL.join(","));
    let target =
        format!("smtp://{user}127.0.0.1:{}/?from=guard@x.example&to={to}{more}", server.port);
    let target = targets(&[&target]).unwrap().remove(0);
    let Service::Mail(mail) = &target.service else { panic!() };
    let parcels = ALL.map(|to| Parcel { to, letter: letter("it happened") });
    let postman = Postman { patience, ..Postman::new("host.example.org".into(), None) };
    postman.deliver(&target.service, mail, &parcels)
}

fn server(script: Script) -> Server {
    Server::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
}

fn sent() -> Outcome {
    Outcome::Sent("250 queued".into())
}

fn all_fail(why: &str) -> Vec<Outcome> {
    vec![Outcome::Failed { why: why.into(), after: None }; 3]
}

#[test]
fn a_mail_has_its_headers_and_nobody_elses() {
    let target = "smtp://m.x/?from=guard@x.example&to=a@y.example,b@y.example";
    let target = targets(&[target]).unwrap().remove(0);
    let Service::Mail(mail) = &target.service else { panic!() };
    let text = ".\r\nQUIT\r\nBcc: evil@example.org\n".to_owned();
    let letter = Letter { subject: "guard on h: ban\r\nBcc: evil@example.org".into(), text };
    let parcel = Parcel { to: "b@y.example", letter };
    let formatted = envelope(mail, &parcel).unwrap().formatted();
    let text = String::from_utf8(formatted).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    for line in ["From: guard@x.example", "To: b@y.example", "Auto-Submitted: auto-generated"] {
        assert!(head.lines().any(|own| own == line), "{head}");
    }
    assert!(head.contains("Date: "), "{head}");
    let id = head.lines().find(|line| line.starts_with("Message-ID: <"));
    assert!(id.is_some_and(|id| id.ends_with("@x.example>")), "{head}");
}

#[test]
fn one_recipient_who_is_refused_does_not_keep_it_from_the_others() {
    for (answer, for_ever) in [
        ("550 5.1.1 no such user", true),
        ("553 no such mailbox", true),
        ("450 4.2.0 greylisted", false),
        ("554 5.7.1 relaying denied", false),
        ("550 5.7.26 not from there", false),
        ("530 5.7.0 log in first", false),
    ] {
        let server = server(refuse("gone@", answer));
        let outcomes = deliver(PATIENCE, PLAIN, &server);
        assert_eq!((&outcomes[0], &outcomes[2]), (&sent(), &sent()), "{answer}");
        match &outcomes[1] {
            Outcome::Refused(why) if for_ever => assert!(why.contains(&answer[4..]), "{why}"),
            Outcome::Failed { why, .. } if !for_ever => {
                assert!(why.contains(&answer[4..]), "{why}")
            }
            other => panic!("{answer}: {other:?}"),
        }
        let mails = server.seen().mails;
        let to: Vec<_> = mails.iter().map(|(to, _)| to.join(" ")).collect();
        assert_eq!(to, ["<me@x.example>", "<she@x.example>"], "{answer}");
        assert!(mails[1].1.contains("it happened"), "{mails:?}");
    }
}

#[test]
fn who_had_it_when_the_server_hung_up_had_it() {
    let mails = std::sync::atomic::AtomicU32::new(0);
    let second = move |step: &str| {
        step == "." && mails.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1
    };
    let outcomes = deliver(PATIENCE, PLAIN, &server(hang_up(second)));
    assert_eq!(outcomes[0], sent());
    for outcome in &outcomes[1..] {
        assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    }
}

#[test]
fn what_a_server_says_has_a_bound() {
    let long = [b"250-".as_slice(), &[b'x'; 900], b"\r\n"].concat();
    for (step, what, most) in [
        ("banner", b"aaaaaaaaaaaaaaaa".to_vec(), "32 KiB"),
        ("EHLO", b"250-".to_vec(), "32 KiB"),
        ("RCPT", b"250-\r\n".to_vec(), "500 lines"),
        (".", long, "32 KiB"),
    ] {
        let script: Script = Box::new(move |at, stream| match at.starts_with(step) {
            true => forever(stream, &what),
            false => Ok(None),
        });
        let outcomes = deliver(PATIENCE, PLAIN, &server(script));
        let why = format!("network error: the server said more than {most}");
        assert_eq!(outcomes, all_fail(&why), "{step}");
    }
}

#[test]
fn a_try_ends_however_slowly_the_server_speaks() {
    let slow = Duration::from_millis(300);
    for step in ["banner", "EHLO", "RCPT", "."] {
        let script: Script = Box::new(move |at, stream| match at.starts_with(step) {
            true => dribble(stream),
            false => Ok(None),
        });
        assert_eq!(
            deliver(slow, PLAIN, &server(script)),
            all_fail("not done within 0.3 s"),
            "{step}"
        );
    }
}

#[test]
fn what_is_put_behind_the_answer_to_starttls_is_not_said_in_tls() {
    let script: Script = Box::new(|step, stream| match step {
        "STARTTLS" => {
            use std::io::{Read, Write};
            stream.write_all(b"220 go on\r\n250-here\r\n250 AUTH PLAIN\r\n")?;
            stream.read_to_end(&mut Vec::new()).map(|_| None)
        }
        step => Ok(step.starts_with("EHLO").then(|| "250-here\r\n250 STARTTLS".to_owned())),
    });
    // It is no TLS, which is noticed at once.
    for outcome in deliver(PATIENCE, STARTTLS, &server(script)) {
        let Outcome::Failed { why, .. } = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("corrupt message"), "{why}");
    }
}

#[test]
fn a_server_that_repeats_the_login_does_not_show_it() {
    let repeat: Script = Box::new(|step, _| {
        Ok(step.starts_with("AUTH").then(|| format!("500 5.5.2 unrecognized: \"{step}\"")))
    });
    let server = server(repeat);
    let why = "permanent error (500): 5.5.2 unrecognized: \"AUTH PLAIN …\"";
    assert_eq!(deliver(PATIENCE, LOGIN, &server), all_fail(why));
    assert!(server.seen().lines.iter().any(|line| line == "AUTH PLAIN AGd1YXJkAFNFQ1JFVG1haWw="));
}

#[test]
fn guard_greets_by_a_name_that_others_can_know() {
    let server = server(Box::new(|_, _| Ok(None)));
    assert_eq!(deliver(PATIENCE, PLAIN, &server), vec![sent(); 3]);
    assert_eq!(server.seen().lines[0], "EHLO host.example.org");
    let check = |host: &str, from: &str, greeting: &str| {
        assert_eq!(hello(host, from.parse().unwrap()).to_string(), greeting, "{host}");
    };
    check("a-b.example", "10.0.0.5", "a-b.example");
    check("3f2a99", "10.0.0.5", "[10.0.0.5]");
    for no_name in ["this host", "a_b.example", "-a.example", "a..example", "a.example.", ""] {
        check(no_name, "2001:db8::5", "[IPv6:2001:db8::5]");
    }
}
