//! An attacker is banned: from output and files, over IPv4 and IPv6.

use jiff::Timestamp;

use crate::support::*;

/// One guarded service: the name of its jail, and the port at which it is published.
struct Case {
    jail: &'static str,
    port: u16,
    /// The last part of the address from which it is attacked.
    attacker: u16,
}

/// The Flask application that logs to its output, the one that logs to a file on a
/// named volume, and ownCloud with its log among its files.
const CASES: [Case; 3] = [
    Case { jail: "flask", port: 8080, attacker: 10 },
    Case { jail: "flask-file", port: 8081, attacker: 11 },
    Case { jail: "owncloud", port: 8082, attacker: 12 },
];

fn run_services(host: &Host) {
    let limits = [("maxretry", "3"), ("findtime", "600"), ("bantime", "3600")];
    let flask = |name: &str, port: &str| {
        let service = Service::new(name).dual().publish(port).arguments(FLASK);
        service.guarded(&limits).guarded(&[("failregex", FLASK_REGEX)])
    };
    flask("flask", "8080:80").run(host);
    flask("flask-file", "8081:80")
        .mount("flask-log:/var/log/flask")
        .guarded(&[("logpath", "/var/log/flask/*.log")])
        .arguments(&["--file", "/var/log/flask/login.log"])
        .run(host);
    Service::new("owncloud")
        .dual()
        .publish("8082:80")
        .mount("owncloud-data:/mnt/data")
        .arguments(OWNCLOUD)
        .guarded(&limits)
        .guarded(&[("failregex", OWNCLOUD_REGEX), ("logpath", "/mnt/data/files/owncloud.log")])
        .run(host);
}

#[test]
fn an_attacker_is_banned_and_nobody_else() {
    on_every_engine("an_attacker_is_banned_and_nobody_else", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        run_services(&host);
        let guard = Guard::start(&host, &[]);
        for case in &CASES {
            guard.has_jail(case.jail);
            for (family, found_before) in Family::ALL.into_iter().zip([0, 4]) {
                let attacker = mallory.at(mallory.address(family, case.attacker));
                is_banned_and_freed(&host, &guard, case, attacker, &alice.of(family), found_before);
            }
        }
    });
}

/// The whole of a ban, from the first wrong password to the unban and after.
fn is_banned_and_freed(
    host: &Host,
    guard: &Guard,
    case: &Case,
    attacker: Client,
    alice: &Client,
    found_before: u64,
) {
    let &Case { jail, port, .. } = case;
    attacker.is_served(port);
    let mut running = attacker.open(port).expect("not banned yet");
    assert!(goes_on(&mut running));

    attacker.fail(port, 2);
    assert_eq!(attacker.ask(port, "GET /ok?user=bob").0, Outcome::Answered(200));
    guard.has_found(jail, found_before + 2);
    attacker.is_still_served(port);

    attacker.fail(port, 1);
    attacker.is_refused(port);
    guard.has_banned(jail, &attacker.address);
    assert!(is_cut(&mut running), "{attacker:?}: the running connection goes on");
    alice.is_still_served(port);
    let status = guard.jail(jail).expect("it was just there");
    assert_eq!((status.total_failed, status.banned), (found_before + 3, 1), "{status:?}");
    jump_is_at_head(host, jail, attacker.address.is_ipv6());

    guard.ctl_ok(&["unban", &attacker.address.to_string()]);
    attacker.is_served(port);
    // What was sent on it while it was cut arrives now: the kernel kept on trying.
    let (outcome, _) = running.answer(PATIENCE);
    assert_eq!(outcome, Outcome::Answered(200), "the running connection after the unban");
    guard.has_unbanned(jail, &attacker.address);

    // Its old failures are forgiven, and with them, as far as a date in whole seconds
    // goes, all of the second of the unban.
    a_second_passes();
    attacker.fail(port, 1);
    guard.has_found(jail, found_before + 4);
    attacker.is_still_served(port);
}

/// Waits until a clock without fractions shows another time.
fn a_second_passes() {
    let second = || Timestamp::now().as_second();
    let before = second();
    eventually("the second is over", || ensure(second() > before, before));
}

/// `iptables -L DOCKER-USER -n --line-numbers` shows the jump before all that is not
/// guard's. Engines before 27 have no such chain for IPv6: there the packets must do.
fn jump_is_at_head(host: &Host, jail: &str, ipv6: bool) {
    let tool = if ipv6 { "ip6tables" } else { "iptables" };
    let rules = host.rules(tool, "DOCKER-USER");
    if ipv6 && rules.is_empty() {
        return;
    }
    let chain = format!("f2b-{jail}");
    let target = |rule: &String| rule.split_whitespace().nth(1).map(str::to_owned);
    let guards: Vec<String> =
        rules.iter().filter_map(target).take_while(|target| target.starts_with("f2b-")).collect();
    assert!(guards.contains(&chain), "no jump to {chain} at the head:\n{}", rules.join("\n"));
}

#[test]
fn a_ban_ends_by_itself() {
    on_every_engine("a_ban_ends_by_itself", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        Service::new("web")
            .dual()
            .publish("8080:80")
            .publish("9000:9000/udp")
            .arguments(&["--udp", "9000"])
            .guarded(&[("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "6s")])
            .run(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        for family in Family::ALL {
            let mallory = mallory.of(family);
            mallory.is_served(8080);
            assert_eq!(mallory.ping(9000), Outcome::Answered(200));
            mallory.fail(8080, 2);
            mallory.is_refused(8080);
            assert_eq!(mallory.ping(9000), Outcome::Refused, "UDP is closed, too");
            mallory.is_served(8080);
            guard.has_unbanned("web", &mallory.address);
        }
        guard.until("web", "two bans in all", |status| status.total_banned == 2);

        // Even when guard is dead.
        let mallory = mallory.at(mallory.address(Family::V4, 20));
        mallory.fail(8080, 2);
        mallory.is_refused(8080);
        guard.kill9();
        mallory.is_served(8080);
        guard.start_again();
        guard.has_unbanned("web", &mallory.address);
        mallory.is_still_served(8080);
    });
}

#[test]
fn with_a_port_only_that_port_is_closed() {
    on_every_engine("with_a_port_only_that_port_is_closed", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        let limits = [("maxretry", "2"), ("failregex", FLASK_REGEX)];
        Service::new("web")
            .dual()
            .publish("8081:80")
            .publish("8082:8080")
            .publish("9000:9000/udp")
            .arguments(&["--port", "80", "--port", "8080", "--udp", "9000"])
            .guarded(&limits)
            .guarded(&[("port", "8081")])
            .run(&host);
        Service::new("published")
            .dual()
            .publish("8083:80")
            .guarded(&limits)
            .guarded(&[("port", "published")])
            .run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        guard.has_jail("published");
        for family in Family::ALL {
            let web = mallory.of(family);
            web.is_served(8081);
            let mut open = web.open(8082).expect("not banned yet");
            web.fail(8081, 2);
            web.is_refused(8081);
            web.is_still_served(8082);
            web.is_still_served(8083);
            assert!(goes_on(&mut open), "a connection to another port was cut");
            assert_eq!(web.ping(9000), Outcome::Answered(200));

            let published = mallory.at(mallory.address(family, 10));
            published.fail(8083, 2);
            published.is_refused(8083);
            published.is_still_served(8081);
            alice.of(family).is_still_served(8081);
            alice.of(family).is_still_served(8083);
        }
        let rules = host.rules("iptables", "DOCKER-USER");
        let of_web = rules.iter().find(|rule| rule.contains("f2b-web"));
        let port = of_web.is_some_and(|rule| rule.contains("ctorigdstport 8081"));
        assert!(port, "no jump by the original port:\n{}", rules.join("\n"));
    });
}

#[test]
fn what_a_container_opened_itself_stays_alive() {
    on_every_engine("what_a_container_opened_itself_stays_alive", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        Service::new("web")
            .dual()
            .publish("8080:80")
            .guarded(&[("failregex", FLASK_REGEX), ("maxretry", "2")])
            .run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        for family in Family::ALL {
            let (alice, attacker) = (alice.of(family), mallory.of(family));
            let connect = format!("GET /connect?to={}", mallory.echo(family).address);
            alice.is_served(8080);
            let (outcome, id) = alice.ask(8080, &connect);
            assert_eq!(outcome, Outcome::Answered(200), "{id}");
            attacker.fail(8080, 2);
            attacker.is_refused(8080);
            let exchange = format!("GET /exchange?id={id}");
            assert_eq!(alice.ask(8080, &exchange).0, Outcome::Answered(200));
            // Nor is the container kept from opening another one.
            assert_eq!(alice.ask(8080, &connect).0, Outcome::Answered(200));
            attacker.is_still_refused(8080);
        }
    });
}
