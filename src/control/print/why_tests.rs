use super::*;
use crate::control::protocol::{LineOf, Never, Reply, decode_reply, encode_reply};
use crate::model::{BanOrigin, Network, Timestamp, Until};

fn at(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn net(text: &str) -> Network {
    text.parse().unwrap()
}

fn known(network: &str, jails: Vec<KnownIn>) -> Known {
    Known {
        network: net(network),
        now: at("12:00:00"),
        jails,
        all_jails: 2,
        history: Vec::new(),
        more: 0,
        times: Vec::new(),
        problem: None,
    }
}

fn jail(name: &str) -> KnownIn {
    KnownIn {
        jail: name.parse().unwrap(),
        service: format!("shop/{name}"),
        maxretry: 3,
        findtime: 600,
        bantime: BanTime::For(std::time::Duration::from_secs(3600)),
        dry_run: false,
        never: None,
        bans: Vec::new(),
        more_bans: 0,
        failing: Vec::new(),
        more_failing: 0,
        forgiven_until: None,
        earlier_bans: 0,
        lines: Vec::new(),
    }
}

fn never() -> Option<Never> {
    Some(Never {
        entry: net("10.0.0.0/8"),
        reason: "in GUARD_IGNOREIP (10.0.0.0/8)".into(),
        remedy: "take it out".into(),
    })
}

fn check(known: Known, out: &str) {
    let reply = Reply::Why(Box::new(known));
    assert_eq!(decode_reply(&encode_reply(&reply)).unwrap(), reply);
    let text = super::super::text(&reply, &TimeZone::UTC);
    assert_eq!(anstream::adapter::strip_str(&text.out).to_string(), out);
}

#[test]
fn the_verdict_comes_first_and_then_what_to_do() {
    let mut web = jail("web");
    web.bans = vec![BanView {
        jail: "web".parse().unwrap(),
        network: net("203.0.113.9"),
        since: at("11:58:00"),
        until: Until::Time(at("12:58:00")),
        origin: BanOrigin::Failures,
        failures: 3,
        in_force: InForce::Yes,
    }];
    web.earlier_bans = 1;
    web.lines = vec![LineOf { network: net("203.0.113.9"), line: "login failed\u{1b}[2J".into() }];
    check(
        known("203.0.113.9", vec![web]),
        "\
203.0.113.9 is banned by web

Jail web (shop/web): 3 failures within 10m are a ban of 1h
  203.0.113.9 banned since 2026-03-01 11:58:00 UTC until 2026-03-01 12:58:00 UTC (3 failures)
    → guardctl unban 203.0.113.9 --jail web lifts it
  banned here 1 time, as far as is remembered
    | login failed\\x1b[2J
",
    );
    let mut web = jail("web");
    web.failing = vec![FailingView {
        network: net("203.0.113.9"),
        times: vec![at("11:59:00"), at("11:59:30")],
        needed: 1,
        until: at("12:09:00"),
        waits: None,
    }];
    web.forgiven_until = Some(at("11:50:00"));
    check(
        known("203.0.113.9", vec![web]),
        "\
203.0.113.9 is not banned, but has failed

Jail web (shop/web): 3 failures within 10m are a ban of 1h
  203.0.113.9: 2 failures count now, the last at 2026-03-01 11:59:30 UTC
    → 1 more failure until 2026-03-01 12:09:00 UTC leads to a ban of 1h
  what it did until 2026-03-01 11:50:00 UTC counts no more: a ban or an unban used it up
",
    );
}

#[test]
fn one_reason_for_all_jails_is_told_once() {
    let both = ["web", "ssh"].map(|name| KnownIn { never: never(), ..jail(name) });
    check(
        known("10.0.0.1", both.to_vec()),
        "10.0.0.1 is never banned: it is in GUARD_IGNOREIP (10.0.0.0/8)\n    → take it out\n",
    );
    let one = KnownIn { never: never(), ..jail("web") };
    check(
        known("10.0.0.1", vec![one]),
        "\
10.0.0.1 is not banned

Jail web (shop/web): 3 failures within 10m are a ban of 1h
  never banned here: it is in GUARD_IGNOREIP (10.0.0.0/8)
    → take it out
",
    );
}

#[test]
fn of_whom_nothing_is_known_is_said_so() {
    let unknown = known("198.51.100.1", Vec::new());
    assert!(is_unknown(&unknown));
    check(
        unknown,
        "198.51.100.1 is not banned: none of 2 jails knows anything of it, and it was never banned, \
         as far as is remembered\n",
    );
}
