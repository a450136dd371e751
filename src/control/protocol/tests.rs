use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{Ban, BanOrigin, News, Until};

fn net(text: &str) -> Network {
    text.parse().unwrap()
}

/// The wire form is a promise to scripts: both directions are checked.
fn check_request(request: &Request, line: &str) {
    assert_eq!(String::from_utf8(encode_request(request)).unwrap(), format!("{line}\n"));
    assert_eq!(&decode_request(line.as_bytes()).unwrap(), request);
}

fn check_reply(reply: &Reply, line: &str) {
    assert_eq!(String::from_utf8(encode_reply(reply)).unwrap(), format!("{line}\n"));
    assert_eq!(&decode_reply(line.as_bytes()).unwrap(), reply);
}

#[test]
fn requests_on_the_wire() {
    let hour = Some(BanTime::For(Duration::from_secs(3600)));
    let networks = vec![net("192.0.2.7"), net("2001:db8::/64")];
    check_request(&Request::Ping, r#"{"version":1,"request":"ping"}"#);
    check_request(
        &Request::Status { jail: Some("web".into()) },
        r#"{"version":1,"request":"status","jail":"web"}"#,
    );
    check_request(&Request::Banned { network: None }, r#"{"version":1,"request":"banned"}"#);
    check_request(
        &Request::Ban { networks: networks.clone(), jail: None, time: hour, force: false },
        r#"{"version":1,"request":"ban","networks":["192.0.2.7","2001:db8::/64"],"time":3600,"force":false}"#,
    );
    check_request(
        &Request::Unban { which: Which::Networks(networks), jail: None },
        r#"{"version":1,"request":"unban","which":{"networks":["192.0.2.7","2001:db8::/64"]}}"#,
    );
    check_request(
        &Request::Unban { which: Which::All, jail: Some("web".into()) },
        r#"{"version":1,"request":"unban","which":"all","jail":"web"}"#,
    );
}

#[test]
fn requests_as_scripts_write_them() {
    let check = |line: &str, request: Request| {
        assert_eq!(decode_request(line.as_bytes()).unwrap(), request, "{line}");
    };
    check(
        r#"{"request":"ban","networks":["::ffff:192.0.2.7/128"],"time":-1,"later":[{}],"version":1}"#,
        Request::Ban {
            networks: vec![net("192.0.2.7")],
            jail: None,
            time: Some(BanTime::Forever),
            force: false,
        },
    );
    check(
        " {\"version\" : 1, \"request\":\"status\", \"jail\":null}\r\n",
        Request::Status { jail: None },
    );
}

#[test]
fn requests_that_can_not_be() {
    let check = |line: &str, expected: &str| {
        let told = decode_request(line.as_bytes()).unwrap_err().to_string();
        assert!(told.contains(expected), "{line}: {told}");
    };
    check("", "not understood");
    check("ping", "not understood");
    check(r#"{"request":"ping"}"#, "missing field `version`");
    check(r#"{"version":2,"request":"new words"}"#, "version 2 of the protocol is spoken there");
    check(r#"{"version":1,"request":"dance"}"#, "unknown variant `dance`");
    check(r#"{"version":1,"request":"ban","networks":["0.0.0.0/0"]}"#, "every address there is");
    check(r#"{"version":1,"request":"ban","networks":["x"]}"#, "`x` is no IP address");
    check(r#"{"version":1,"request":"ban","networks":[],"time":0}"#, "-1 for ever");
    check(r#"{"version":1,"request":"ban","networks":[],"time":-2}"#, "-1 for ever");
    let long = "x".repeat(257);
    check(&format!(r#"{{"version":1,"request":"status","jail":"{long}"}}"#), "name that long");
    let deep = "[".repeat(100_000);
    check(&format!(r#"{{"version":1,"request":"ping","x":{deep}"#), "not understood");
}

#[test]
fn too_many_networks_are_refused() {
    let check = |count: usize, expected: bool| {
        let which = Which::Networks(vec![net("192.0.2.7"); count]);
        let line = encode_request(&Request::Unban { which, jail: None });
        assert_eq!(decode_request(&line).is_ok(), expected, "{count}");
    };
    check(MAX_NETWORKS, true);
    check(MAX_NETWORKS + 1, false);
}

#[test]
fn replies_on_the_wire() {
    let ban = Ban {
        jail: "web".parse().unwrap(),
        network: net("192.0.2.7"),
        since: "2025-05-26T11:57:27Z".parse().unwrap(),
        until: Until::Forever,
        origin: BanOrigin::Hand,
        failures: 0,
    };
    check_reply(
        &Reply::Version { guard: "0.1.0".into() },
        r#"{"version":1,"reply":"version","guard":"0.1.0"}"#,
    );
    check_reply(
        &Reply::Ban {
            banned: vec![BanView::new(&ban, InForce::DryRun)],
            refused: vec![BanRefused { network: net("127.0.0.1"), message: "no".into() }],
            only_in_memory: None,
            not_in_kernel: None,
        },
        concat!(
            r#"{"version":1,"reply":"ban","banned":[{"jail":"web","network":"192.0.2.7","#,
            r#""since":"2025-05-26T11:57:27Z","until":null,"origin":"hand","failures":0,"in_force":"dry_run"}],"#,
            r#""refused":[{"network":"127.0.0.1","message":"no"}]}"#
        ),
    );
    check_reply(
        &Reply::Event(Event { at: ban.since, news: News::Banned { ban, dry_run: false } }),
        concat!(
            r#"{"version":1,"reply":"event","at":"2025-05-26T11:57:27Z","event":"banned","#,
            r#""ban":{"jail":"web","network":"192.0.2.7","since":"2025-05-26T11:57:27Z","until":null,"#,
            r#""origin":"hand","failures":0},"dry_run":false}"#
        ),
    );
    check_reply(&Reply::Watching, r#"{"version":1,"reply":"watching"}"#);
    check_reply(
        &Reply::refused(RefusedKind::NotFound, "no jail `x`"),
        r#"{"version":1,"reply":"refused","kind":"not_found","message":"no jail `x`"}"#,
    );
}

fn any_network() -> impl Strategy<Value = Network> {
    (any::<std::net::IpAddr>(), 1..=128_u8).prop_map(|(ip, length)| {
        let address = crate::model::Address::new(ip);
        Network::new(address, length).unwrap_or_else(|| Network::from(address))
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    let networks = || prop::collection::vec(any_network(), 0..5);
    let jail = || prop::option::of(".{0,60}");
    let time = prop::option::of((-1..i64::MAX).prop_filter_map("no time", ban_time::from_seconds));
    prop_oneof![
        Just(Request::Ping),
        Just(Request::Version),
        Just(Request::Flush),
        Just(Request::Watch),
        jail().prop_map(|jail| Request::Status { jail }),
        prop::option::of(any_network()).prop_map(|network| Request::Banned { network }),
        (prop::option::of(any_network()), jail(), prop::option::of(0..99_i64), any::<u32>())
            .prop_map(|(network, jail, since, limit)| {
                let since = since.and_then(|at| Timestamp::from_second(at).ok());
                Request::History { network, jail, since, limit }
            }),
        (networks(), jail(), time, any::<bool>())
            .prop_map(|(networks, jail, time, force)| Request::Ban { networks, jail, time, force }),
        (prop::option::of(networks()), jail()).prop_map(|(networks, jail)| {
            Request::Unban { which: networks.map_or(Which::All, Which::Networks), jail }
        }),
    ]
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(request in any_request()) {
        let line = encode_request(&request);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert_eq!(decode_request(&line).unwrap(), request);
    }

    #[test]
    fn a_refusal_is_read_as_it_was_written(message in any::<String>()) {
        let reply = Reply::refused(RefusedKind::Busy, message);
        let line = encode_reply(&reply);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert_eq!(decode_reply(&line).unwrap(), reply);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (decode_request(&bytes), decode_reply(&bytes));
    }

    #[test]
    fn no_json_makes_it_panic(
        word in prop::sample::select(vec!["ping", "ban", "unban", "banned", "status", "event"]),
        key in prop::sample::select(vec!["networks", "jail", "time", "which", "network", "at"]),
        value in prop::sample::select(vec![
            "null", "1e400", "-1", "[]", "{}", "\"\"", "[\"1.2.3.4/0\"]", "{\"networks\":null}",
            "\"\\ud800\"", "18446744073709551616", "true",
        ]),
    ) {
        let line = format!(r#"{{"version":1,"request":"{word}","reply":"{word}","{key}":{value}}}"#);
        let _ = (decode_request(line.as_bytes()), decode_reply(line.as_bytes()));
    }
}
