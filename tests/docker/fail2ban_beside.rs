//! A real fail2ban on the same host, with jails of the same names, one of them in
//! Docker's own chain: neither touches what the other made.

use crate::fail2ban::{Fail2ban, package};
use crate::support::*;

const REGEX: &str = "Login failed for user '.*' \\[IP: <HOST>\\]";
/// Jails, their ports and fail2ban's actions: rules in INPUT, a set in DOCKER-USER.
const JAILS: [(&str, u16, &str); 2] = [
    ("node", 8090, "iptables[type=allports, name=node, chain=INPUT, protocol=tcp]"),
    ("web", 8080, "iptables-ipset[type=allports, name=web, chain=DOCKER-USER, protocol=tcp]"),
];

/// What is fail2ban's of the firewall.
fn of_fail2ban(host: &Host) -> Vec<String> {
    let rules = host.run(&["iptables", "-S"]);
    let rules = rules.lines().filter(|line| line.starts_with("-A ") && line.contains("f2b-"));
    let rules = rules.filter(|line| !line.contains("guard"));
    let set = host.run(&["ipset", "-o", "save", "list", "f2b-web"]);
    let without_times = |line: &str| line.split(" timeout").next().unwrap_or_default().to_owned();
    rules.map(str::to_owned).chain(set.lines().map(without_times)).collect()
}

#[test]
fn fail2ban_beside_guard() {
    const NAME: &str = "fail2ban_beside_guard";
    let package = match package() {
        Ok(package) => package,
        Err(reason) => return skip(NAME, "fail2ban", reason),
    };
    // Each call of its client starts a Python: one engine is enough.
    let Some(engine) = engines(NAME).pop() else { return };
    let host = Host::start(&engine);
    let labels = [("failregex", REGEX), ("maxretry", "2"), ("bantime", "1h")];
    Service::new("web").publish("8080:80").guarded(&labels).run(&host);
    let node = Service::new("node").option("--network", "host").arguments(&["--port", "8090"]);
    node.guarded(&labels).run(&host);
    let (alice, guards, theirs) = (host.attacker(), host.attacker(), host.attacker());
    let mut guard = Guard::start(&host, &[]);
    for (jail, port, _) in JAILS {
        guard.has_jail(jail);
        guards.v4().is_served(port);
    }
    guards.v4().fail(8080, 2);
    guards.v4().fail(8090, 2);

    let actions = JAILS.map(|(jail, _, action)| (jail, action));
    let fail2ban = Fail2ban::start(&host, package, REGEX, &actions);
    let fail2ban_bans = || {
        for (jail, port, _) in JAILS {
            for _ in 0..2 {
                let address = theirs.v4().address;
                fail2ban.log(jail, &format!("Login failed for user 'x' [IP: {address}]"));
            }
            theirs.v4().is_refused(port);
        }
    };
    fail2ban_bans();
    let each_keeps_its_own_out = |what: &str| {
        for (_, port, _) in JAILS {
            eprintln!("{what}: port {port}");
            guards.v4().is_refused(port);
            theirs.v4().is_still_refused(port);
            alice.v4().is_still_served(port);
        }
    };
    each_keeps_its_own_out("both have banned");
    let (ours, his) = (guards.v4().address.to_string(), theirs.v4().address.to_string());
    let made = of_fail2ban(&host);
    assert!(
        made.iter().any(|line| line.starts_with("-A f2b-node") && line.contains(&his)),
        "{made:?}"
    );
    assert!(made.contains(&format!("add f2b-web {his}")), "{made:?}");
    assert!(!made.iter().any(|line| line.contains(&ours)), "{made:?}");
    assert!(guard.ctl_ok(&["banned"]).contains(&ours) && !guard.ctl_ok(&["banned"]).contains(&his));
    eventually("guard is well beside it", || {
        let well = guard.json(&["status"])["firewall"]["healthy"] == true;
        ensure(well, guard.ctl(&["status"]).out)
    });

    // Each unbans its own.
    guard.ctl_ok(&["unban", &ours]);
    guards.v4().is_served(8080);
    guards.v4().is_served(8090);
    theirs.v4().is_still_refused(8080);
    theirs.v4().is_still_refused(8090);
    guards.v4().fail(8080, 2);
    guards.v4().fail(8090, 2);
    each_keeps_its_own_out("guard banned again");
    let (code, said) = fail2ban.says(&fail2ban.real(), &format!("unban {his}"));
    assert_eq!((code, said.as_str()), (Some(0), "2\n"));
    theirs.v4().is_served(8080);
    theirs.v4().is_served(8090);
    guards.v4().is_still_refused(8080);
    guards.v4().is_still_refused(8090);
    fail2ban_bans();
    each_keeps_its_own_out("fail2ban banned again");

    // Each stops by itself.
    assert_eq!(of_fail2ban(&host), made);
    guard.sigterm();
    assert_eq!(of_fail2ban(&host), made, "guard has taken its own away");
    let rules = host.run(&["iptables", "-S"]) + &host.run(&["ip6tables", "-S"]);
    assert!(!rules.contains("guard"), "{rules}");
    assert_eq!(host.run(&["ipset", "list", "-n"]), "f2b-web\n");
    theirs.v4().is_still_refused(8080);
    theirs.v4().is_still_refused(8090);
    guards.v4().is_served(8080);
    guard.start_again();
    each_keeps_its_own_out("guard has come back");
    assert_eq!(of_fail2ban(&host), made);
    let (code, said) = fail2ban.says(&fail2ban.real(), "stop");
    assert_eq!(code, Some(0), "{said}");
    theirs.v4().is_served(8080);
    theirs.v4().is_served(8090);
    guards.v4().is_still_refused(8080);
    guards.v4().is_still_refused(8090);
    let rules = host.run(&["iptables", "-S"]);
    let left: Vec<&str> = rules.lines().filter(|line| line.contains("-A f2b-")).collect();
    assert!(left.iter().all(|line| line.contains("guard")), "{left:?}");
    let log = std::fs::read_to_string(fail2ban.folder.join("log")).expect("its log");
    assert!(!log.contains(" ERROR "), "{log}");
}
