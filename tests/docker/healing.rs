//! Whoever rebuilds the rules, bans stand.

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

/// A front end's own rules, as it writes them at a reload: all others are gone.
const FRONT_END: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:front-input - [0:0]\n-A INPUT -j front-input\n-A front-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A front-input -i lo -j ACCEPT\nCOMMIT\n";

fn reload_front_end(host: &Host) {
    let rules = host.folder().join("front-end.rules");
    std::fs::write(&rules, FRONT_END).expect("the host's folder can be written");
    let rules = rules.display().to_string();
    for tool in ["iptables-restore", "ip6tables-restore"] {
        host.run(&[tool, &rules]);
    }
}

#[test]
fn bans_stand_whoever_rebuilds_the_rules() {
    on_every_engine("bans_stand_whoever_rebuilds_the_rules", |engine| {
        let mut host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        let web = Service::new("web").dual().publish("8080:80").option("--restart", "always");
        web.guarded(&LABELS).run(&host);
        Service::new("node")
            .option("--network", "host")
            .option("--restart", "always")
            .arguments(&["--port", "8090"])
            .guarded(&LABELS)
            .run(&host);
        let guard = Guard::start(&host, &[]);
        for (jail, port) in [("web", 8080), ("node", 8090)] {
            guard.has_jail(jail);
            for family in Family::ALL {
                mallory.of(family).is_served(port);
                mallory.of(family).fail(port, 2);
                mallory.of(family).is_refused(port);
            }
        }
        // A ban of `web` closes DOCKER-USER, one of `node` INPUT.
        let stands = |what: &str| {
            for family in Family::ALL {
                for port in [8080, 8090] {
                    eprintln!("  {what}: {family:?}, port {port}");
                    alice.of(family).is_served(port);
                    mallory.of(family).is_refused(port);
                    mallory.of(family).is_still_refused(port);
                }
            }
            let healthy = || guard.json(&["status"])["firewall"]["healthy"] == true;
            eventually("guard is well", || ensure(healthy(), guard.ctl(&["status"]).out));
        };
        type Harm<'a> = (&'a str, &'a dyn Fn(&Host));
        let harms: [Harm<'_>; 4] = [
            ("the engine is restarted", &|_| {}),
            ("a front end reloads", &reload_front_end),
            ("the whole ruleset is flushed", &|host| {
                host.run(&["nft", "flush", "ruleset"]);
            }),
            ("chains are flushed and deleted", &|host| {
                // guard may be faster, and have them in use again.
                let tries = |words: [&str; 2]| {
                    let _ = try_run(host.namespace().command(words[0]).arg(words[1]));
                };
                for tool in ["iptables", "ip6tables"] {
                    tries([tool, "-F"]);
                    tries([tool, "-X"]);
                }
                tries(["ipset", "destroy"]);
            }),
        ];
        for (what, harm) in harms {
            harm(&host);
            // Docker's own rules come back with it, and its jump goes above all others.
            host.stop_engine();
            host.start_engine();
            stands(what);
        }

        // Docker's networks come and go; someone's rule lets in whom Docker would.
        host.docker(&["network", "create", "other"]);
        host.run(&["iptables", "-I", "FORWARD", "1", "-p", "tcp", "-j", "ACCEPT"]);
        host.run(&["ip6tables", "-I", "FORWARD", "1", "-p", "tcp", "-j", "ACCEPT"]);
        stands("a rule above Docker's jump");
        let status = guard.json(&["status"]);
        assert!(status["firewall"]["repairs"].as_u64() > Some(0), "{status}");
        assert!(status["firewall"]["heard"].as_u64() > Some(0), "{status}");
    });
}

/// Clients that reach a container by docker-proxy pass INPUT, not DOCKER-USER; the log
/// shows the gateway, which is never banned, and the status says so.
#[test]
fn clients_behind_docker_proxy_are_told_of_and_bans_by_hand_reach_them() {
    on_every_engine(
        "clients_behind_docker_proxy_are_told_of_and_bans_by_hand_reach_them",
        |engine| {
            let host = Host::start(engine);
            let mallory = host.attacker();
            host.docker(&["network", "create", "--subnet", "172.29.0.0/16", "only4"]);
            Service::new("web")
                .option("--network", "only4")
                .publish("8080:80")
                .guarded(&LABELS)
                .run(&host);
            let guard = Guard::start(&host, &[]);
            guard.has_jail("web");
            let attacker = mallory.of(Family::V6);
            attacker.is_served(8080);
            attacker.fail(8080, 5);
            guard.says(Some("web"), &["172.29.0.1", "hidden", "IPv6"]);
            attacker.is_still_served(8080);
            assert_eq!(guard.jail("web").expect("it is there").banned, 0);
            // The jail for bans by hand closes INPUT as well, where docker-proxy listens.
            guard.ctl_ok(&["ban", &attacker.address.to_string()]);
            attacker.is_still_refused(8080);
        },
    );
}

#[test]
fn published_ports_follow_their_containers() {
    on_every_engine("published_ports_follow_their_containers", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let mallory = mallory.v4();
        let run = |name: &str, port: u16, labels: &[(&str, &str)]| {
            let service = Service::compose("shop", name, 1).dual();
            service.publish(&format!("{port}:80")).guarded(labels).run(&host);
        };
        let own = [LABELS.as_slice(), &[("port", "published")]].concat();
        let behind = [LABELS.as_slice(), &[("port", "published:proxy")]].concat();
        run("web", 8080, &own);
        run("app", 8081, &behind);
        run("proxy", 8082, &[]);
        let guard = Guard::start(&host, &[]);
        for jail in ["shop-web", "shop-app"] {
            guard.has_jail(jail);
        }
        mallory.is_served(8080);
        let address = mallory.address.to_string();
        guard.ctl_ok(&["ban", &address, "--jail", "shop-web"]);
        mallory.is_still_refused(8080);
        mallory.is_still_served(8081);
        mallory.is_still_served(8082);
        // The service is recreated at another port: the ban goes with it.
        host.docker(&["rm", "--force", "shop-web-1"]);
        run("web", 9080, &own);
        mallory.is_refused(9080);
        mallory.is_still_served(8082);
        guard.ctl_ok(&["unban", &address]);
        mallory.is_served(9080);

        guard.ctl_ok(&["ban", &address, "--jail", "shop-app"]);
        mallory.is_still_refused(8082);
        mallory.is_still_served(8081);
        host.docker(&["rm", "--force", "shop-proxy-1"]);
        run("proxy", 9082, &[]);
        mallory.is_refused(9082);
        mallory.is_still_served(8081);
    });
}
