//! Docker hosts without DOCKER-USER: an engine that leaves the firewall alone, with
//! tables as Docker 29's own nftables backend makes them.

use crate::support::*;

const LABELS: [(&str, &str); 4] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h"), ("port", "published")];

const FIREWALL_OFF: &str = r#"{"iptables": false, "ip6tables": false, "userland-proxy": false}"#;

/// A host whose engine makes no rules; so none are made for its networks either.
fn host_without_dockers_rules(engine: &Engine) -> Host {
    let mut host = Host::without_engine(engine);
    host.start_engine_with(FIREWALL_OFF);
    host.import();
    host
}

/// Tables named and shaped as Docker 29's, which publish port 8080 of the host as 80
/// of a container.
fn docker_29(bridge: &str, container: &str) -> String {
    format!(
        "table ip docker-bridges {{
            map filter-forward-in-jumps {{ type ifname : verdict; elements = {{ {bridge} : jump filter-forward-in__{bridge} }}; }}
            map filter-forward-out-jumps {{ type ifname : verdict; elements = {{ {bridge} : jump filter-forward-out__{bridge} }}; }}
            chain filter-FORWARD {{
                type filter hook forward priority filter; policy accept;
                oifname vmap @filter-forward-in-jumps
                iifname vmap @filter-forward-out-jumps
            }}
            chain nat-PREROUTING {{
                type nat hook prerouting priority dstnat; policy accept;
                fib daddr type local counter jump nat-prerouting-and-output
            }}
            chain nat-prerouting-and-output {{
                iifname != {bridge} tcp dport 8080 counter dnat to {container}:80 comment \"DNAT\"
            }}
            chain filter-forward-in__{bridge} {{
                ct state established,related counter accept
                ip daddr {container} tcp dport 80 counter accept
                counter drop comment \"UNPUBLISHED PORT DROP\"
            }}
            chain filter-forward-out__{bridge} {{
                ct state established,related counter accept
                counter accept comment \"OUTGOING\"
            }}
        }}\n"
    )
}

#[test]
fn a_ban_stands_before_dockers_own_nftables() {
    on_every_engine("a_ban_stands_before_dockers_own_nftables", |engine| {
        let host = host_without_dockers_rules(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        Service::new("web").publish("8080:80").guarded(&LABELS).run(&host);
        let address = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
        let container = host.docker(&["inspect", "-f", address, "web"]);
        host.nft(&docker_29("docker0", &container));
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        guard.says(None, &["nftables; in force"]);
        mallory.v4().is_served(8080);
        let mut running = mallory.v4().open(8080).expect("not banned yet");
        mallory.v4().fail(8080, 2);
        mallory.v4().is_refused(8080);
        assert!(is_cut(&mut running));
        alice.v4().is_still_served(8080);
        let rules = host.run(&["nft", "list", "table", "inet", "guard"]);
        assert!(rules.contains("proto-dst 8080 jump f2b-web"), "{rules}");
        assert!(rules.contains(&mallory.v4().address.to_string()), "{rules}");

        // What someone flushes is put back, on the next look at the latest.
        host.nft("flush ruleset\n");
        host.nft(&docker_29("docker0", &container));
        mallory.v4().is_refused(8080);
        guard.says(None, &["repaired"]);

        guard.kill9();
        mallory.v4().is_still_refused(8080);
        guard.start_again();
        mallory.v4().is_refused(8080);
        guard.ctl_ok(&["unban", &mallory.v4().address.to_string()]);
        mallory.v4().is_served(8080);
        guard.sigterm();
        assert_eq!(host.traces_of_guard(), Vec::<String>::new());
        assert!(host.run(&["nft", "list", "tables"]).contains("docker-bridges"));
    });
}

/// guard's table works beside Docker's iptables, too, by the port before DNAT.
#[test]
fn nftables_beside_dockers_iptables() {
    on_every_engine("nftables_beside_dockers_iptables", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        let web = Service::new("web").dual().publish("8080:80").publish("8081:80");
        let labels = [&LABELS[..3], &[("port", "8080")]].concat();
        web.guarded(&labels).run(&host);
        let mut guard = Guard::start(&host, &[("GUARD_FIREWALL", "nftables")]);
        guard.has_jail("web");
        guard.says(None, &["nftables; in force"]);
        for family in Family::ALL {
            let attacker = mallory.of(family);
            attacker.is_served(8080);
            let mut running = attacker.open(8080).expect("not banned yet");
            attacker.fail(8080, 2);
            attacker.is_refused(8080);
            assert!(is_cut(&mut running));
            attacker.is_still_served(8081);
            alice.of(family).is_still_served(8080);
            let prefix = match family {
                Family::V4 => "10.98.3.0/24".to_owned(),
                Family::V6 => "2001:db8:3::/48".to_owned(),
            };
            guard.ctl_ok(&["ban", &prefix, "--jail", "web"]);
        }
        let rules = host.run(&["nft", "list", "table", "inet", "guard"]);
        for set in ["@f2b4-web/24", "@f2b6-web/48"] {
            assert!(rules.contains(set), "{rules}");
        }
        guard.restart();
        for family in Family::ALL {
            mallory.of(family).is_refused(8080);
        }
        guard.sigterm();
        assert_eq!(host.traces_of_guard(), Vec::<String>::new());
    });
}

/// An engine that is started anew without its firewall, and with it again.
#[test]
fn guard_follows_an_engine_that_gives_its_firewall_up() {
    on_every_engine("guard_follows_an_engine_that_gives_its_firewall_up", |engine| {
        let mut host = Host::start(engine);
        let mallory = host.attacker();
        Service::new("web")
            .publish("8080:80")
            .option("--restart", "always")
            .guarded(&LABELS)
            .run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        guard.says(None, &["ipset, iptables"]);
        mallory.v4().is_served(8080);
        mallory.v4().fail(8080, 2);
        mallory.v4().is_refused(8080);
        host.stop_engine();
        // An engine that is off leaves its old rules and chains; a reboot would not.
        for tool in ["iptables", "ip6tables"] {
            host.run(&[tool, "-F"]);
            host.run(&[tool, "-P", "FORWARD", "ACCEPT"]);
        }
        host.start_engine_with(FIREWALL_OFF);
        guard.says(None, &["nftables; in force"]);
        let rules = host.run(&["nft", "list", "table", "inet", "guard"]);
        assert!(rules.contains(&mallory.v4().address.to_string()), "{rules}");
        assert_eq!(host.run(&["ipset", "list", "-n"]), "");
        host.stop_engine();
        host.start_engine();
        guard.says(None, &["ipset, iptables"]);
        let tables = host.run(&["nft", "list", "tables"]);
        assert!(!tables.contains("guard"), "{tables}");
        mallory.v4().is_refused(8080);
    });
}

/// Without nft guard says what to install, and protects what it can.
#[test]
fn without_nft_guard_says_what_to_install() {
    on_every_engine("without_nft_guard_says_what_to_install", |engine| {
        let host = host_without_dockers_rules(engine);
        let mallory = host.attacker();
        let chain = [&LABELS[..3], &[("chain", "INPUT")]].concat();
        Service::new("web").option("--network", "host").guarded(&chain).run(&host);
        // A folder with the tools of iptables alone.
        let tools = host.folder().join("tools");
        std::fs::create_dir(&tools).unwrap();
        for stem in ["iptables", "ip6tables"] {
            for action in ["save", "restore"] {
                let tool = format!("{stem}-nft-{action}");
                std::os::unix::fs::symlink(find(&tool).unwrap(), tools.join(tool)).unwrap();
            }
        }
        let guard = Guard::start(&host, &[("PATH", tools.to_str().unwrap())]);
        guard.has_jail("web");
        guard.says(None, &["nft is not installed: install the package nftables"]);
        mallory.v4().is_served(80);
        mallory.v4().fail(80, 2);
        mallory.v4().is_refused(80);
    });
}
