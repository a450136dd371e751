use proptest::prelude::*;

use super::*;
use crate::report::notify::Message;
use crate::report::notify::service::request;

fn read(text: &str) -> Target {
    let mut all = targets(&[text]).unwrap_or_else(|flaws| panic!("{text}: {}", flaws[0].1));
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

/// The service's word, where it is, and all its secrets.
fn check(text: &str, word: &str, place: &str, secrets: &[&str]) {
    let target = read(text);
    assert_eq!((target.service.word(), target.place.as_str()), (word, place), "{text}");
    assert_eq!(target.service.secrets(), secrets, "{text}");
}

#[test]
fn each_service() {
    check("https://h.example/x?a=b%20c", "webhook", "h.example", &["https://h.example/x?a=b%20c"]);
    check(
        "json://u:p@10.0.0.1:8080",
        "webhook",
        "10.0.0.1:8080",
        &["http://10.0.0.1:8080/", "Basic dTpw"],
    );
    check("ntfy://ntfy.sh/alerts", "ntfy", "ntfy.sh", &["https://ntfy.sh/", "alerts"]);
    check(
        "ntfy+http://tk_abc@127.0.0.1:80/alerts",
        "ntfy",
        "127.0.0.1:80",
        &["http://127.0.0.1:80/", "alerts", "Bearer tk_abc"],
    );
    check("ntfy://:tk_abc@x/t", "ntfy", "x", &["https://x/", "t", "Bearer tk_abc"]);
    check("ntfy://u:p%40@x/t", "ntfy", "x", &["https://x/", "t", "Basic dTpwQA=="]);
    check(
        "gotify://g.example/sub/Atoken",
        "gotify",
        "g.example",
        &["https://g.example/sub/message", "Atoken"],
    );
    let discord = "https://discord.com/api/webhooks/12/tok-en";
    for text in ["discord://12/tok-en", "discord://tok-en@12", discord] {
        check(text, "discord", "discord.com", &[discord]);
    }
    let slack = "https://hooks.slack.com/services/T1/B2/c3";
    for text in ["slack://T1/B2/c3", "slack://hook:T1-B2-c3@webhook", slack] {
        check(text, "slack", "hooks.slack.com", &[slack]);
    }
    check("slack+http://mm.example/hooks/x", "slack", "mm.example", &["http://mm.example/hooks/x"]);
    let mattermost = ["https://mm.example/hooks/x1y"];
    check("mattermost://mm.example/x1y", "mattermost", "mm.example", &mattermost);
    check(
        "mattermost+http://mm.example:8065/sub/hooks/x1y",
        "mattermost",
        "mm.example:8065",
        &["http://mm.example:8065/sub/hooks/x1y"],
    );
    let rocket = ["https://r.example/hooks/6a/2X_c"];
    for text in ["rocketchat://r.example/6a/2X_c", "rocketchat+https://r.example/hooks/6a/2X_c"] {
        check(text, "rocketchat", "r.example", &rocket);
    }
    let telegram = ["https://api.telegram.org/bot1:a_B/sendMessage", "-100"];
    for text in
        ["telegram://1:a_B/-100", "tgram://1:a_B/-100", "telegram://1:a_B@telegram?chats=-100"]
    {
        check(text, "telegram", "api.telegram.org", &telegram);
    }
    check(
        "telegram+http://localhost:1/1:a/@me",
        "telegram",
        "localhost:1",
        &["http://localhost:1/bot1:a/sendMessage", "@me"],
    );
    check(
        "smtps://me%40x.example:pw@mail.example/?from=g@x.example&to=a@y.example",
        "mail",
        "mail.example",
        &["me@x.example", "pw"],
    );
}

#[test]
fn choices_and_names() {
    let target = read("https://x/?events=trouble&level=error&name=night&y=z");
    assert_eq!((target.name.as_str(), target.level), ("night", Level::Error));
    assert!(!target.kinds.contains(&NoticeKind::Banned));
    assert_eq!(target.service.secrets(), ["https://x/?y=z"]);
    let all = targets(&["# mine\nntfy://a/b ntfy://c/d\n\n", "  # x://y\nntfy://e/f?name=third"]);
    let names: Vec<_> = all.unwrap().into_iter().map(|target| target.name).collect();
    assert_eq!(names, ["ntfy", "ntfy-2", "third"]);
}

#[test]
fn every_mistake_at_once_and_no_secret_in_any() {
    let bad = [
        "SECRET",
        "nfty://SECRET@host/SECRET",
        "ntfy://SECRET@host",
        "ntfy://SECRET:SECRET@host:SECRET/topic",
        "ntfy://host/SECRET?event=SECRET",
        "gotify://host/",
        "ntfy+http://SECRET%C3%A4@host/topic",
        "http://host/SECRET\"b<c>|{}x?u=^SECRET",
        "mattermost://host/SECRET/SECRET",
        "mattermost://SECRET@host/SECRET",
        "mattermost+https://host/hooks/SECRET?SECRET",
        "rocketchat://host/SECRET",
        "discord://SECRET/SECRET",
        "slack://SECRET/SECRET",
        "telegram://SECRET/SECRET",
        "telegram://1:SECRET/chat:SECRET",
        "https://host/SECRET?level=SECRET",
        "https://host/SECRET?events=SECRET",
        "https://host/?name=SECRET%20",
        "https://host/?level=error&events=bans",
        "smtp://me:SECRET@mail.example/?to=a@b",
    ];
    let wrong = |some: &[&str]| {
        let flaws = targets(&[&some.join("\n")]).unwrap_err();
        let numbers: Vec<_> = flaws.iter().map(|(_, flaw)| flaw.number).collect();
        assert_eq!(numbers, (1..=some.len()).collect::<Vec<_>>());
        flaws
    };
    let flaws: Vec<_> = bad.chunks(MOST_TARGETS).flat_map(wrong).collect();
    for (_, flaw) in &flaws {
        assert!(!flaw.to_string().contains("SECRET"), "{flaw}");
    }
    let same = targets(&["https://a/?name=x https://b/?name=x"]).unwrap_err();
    assert_eq!(same.len(), 1);
    let many = "https://a/ ".repeat(MOST_TARGETS + 1);
    assert_eq!(targets(&[&many]).unwrap_err().len(), 1);
}

#[test]
fn nothing_shows_a_secret() {
    for text in [
        "https://u:SECRET@x/SECRET",
        "ntfy://SECRET@x/SECRET",
        "gotify://x/SECRET",
        "discord://12/SECRET",
        "slack://T/B/SECRET",
        "mattermost://x/SECRET",
        "rocketchat+http://x/hooks/6a/SECRET",
        "telegram://1:SECRET/1",
        "smtps://u:SECRET@x/?from=a@b.c&to=d@e.f",
    ] {
        let target = read(text);
        let debug = format!("{target:?}");
        assert!(!debug.contains("SECRET"), "{debug}");
        let echo = target.service.scrub(&format!("you sent {text} and SECRET"));
        assert!(!echo.contains("SECRET"), "{text}: {echo}");
    }
}

/// A server says `said` of this target: how it is shown.
fn shows(target: &str, said: &str, shown: &str) {
    assert_eq!(read(target).service.scrub(said), shown, "{target}");
}

#[test]
fn a_login_is_not_shown_in_the_clear() {
    for target in ["http://admin:hunter2pw@x/", "ntfy://admin:hunter2pw@x/t"] {
        shows(target, "wrong login admin:hunter2pw", "wrong login …");
        shows(target, "admin, not hunter2pw", "…, not …");
    }
    // What is within another one does not save the rest of it.
    shows("http://hunter:hunter2pw@x/", "hunter2pw", "…");
}

#[test]
fn the_login_of_mail_is_not_shown_as_it_went_over_the_line() {
    let target = "smtps://me%40x.example:hunter2pw@m.x/?from=a@b.c&to=d@e.f";
    let plain = "AG1lQHguZXhhbXBsZQBodW50ZXIycHc=";
    shows(target, &format!("unrecognized: AUTH PLAIN {plain}"), "unrecognized: AUTH PLAIN …");
    shows(target, plain.trim_end_matches('='), "…");
    // `AUTH LOGIN` sends them one by one.
    shows(target, "bWVAeC5leGFtcGxl and aHVudGVyMnB3", "… and …");
    shows(target, "me@x.example and hunter2pw", "… and …");
}

#[test]
fn pieces_of_the_url_are_not_shown_decoded() {
    let target = "https://x/hook/my%2Fsecretpath99?key=so+se%63ret";
    shows(target, "/hook/my/secretpath99", "/hook/…");
    shows(target, "/hook/my%2Fsecretpath99", "/hook/…");
    shows(target, "no key so+secret nor so secret", "no key … nor …");
    shows("https://x/secret%0a99", "no secret\n99", "no …");
}

/// Does what sends take its address and its headers?
fn is_sendable(service: &Service) -> bool {
    let message = Message::test(crate::model::Timestamp::UNIX_EPOCH);
    let Some(request) = request(service, &message, "h") else { return true };
    let header = request.header.is_none_or(|(_, value)| {
        ureq::http::HeaderValue::from_str(value.tell()).is_ok_and(|value| value.to_str().is_ok())
    });
    header && request.url.tell().parse::<ureq::http::Uri>().is_ok()
}

proptest! {
    /// Whatever stands there, it is a target or a mistake that shows none of it.
    #[test]
    fn anything_is_a_target_or_a_mistake(
        scheme in prop::sample::select(vec![
            "https", "ntfy", "gotify+http", "discord", "slack", "mattermost", "rocketchat+http", "tgram", "smtp", "x",
        ]),
        rest in "[a-z0-9@:/?&=%#+.,\\[\\]_<|^-]{0,60}",
        any in "\\PC{0,60}",
    ) {
        for text in [format!("{scheme}://SECRET{rest}"), any] {
            let shown = match targets(&[&text]) {
                Ok(all) => {
                    for target in &all {
                        prop_assert!(is_sendable(&target.service), "{}", text);
                    }
                    format!("{all:?}")
                }
                Err(flaws) => format!("{flaws:?}"),
            };
            prop_assert!(!shown.contains("SECRET"), "{}", shown);
        }
    }
}
