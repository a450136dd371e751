//! Filters by name: guard's own, and those in folders.

use std::fs;

use crate::support::*;

/// sshd in a container prints its lines with no syslog in front of them.
#[test]
fn a_filter_for_syslog_takes_bare_lines() {
    on_every_engine("a_filter_for_syslog_takes_bare_lines", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let labels = [("filter", "sshd"), ("maxretry", "3"), ("bantime", "1h")];
        Service::new("ssh").dual().publish("8080:80").guarded(&labels).run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("ssh");
        for client in [mallory.v4(), mallory.of(Family::V6)] {
            client.is_served(8080);
            let address = client.address;
            client.log(8080, &format!("Failed password for root from {address} port 4022 ssh2"));
            client.log(8080, &format!("Accepted publickey for joe from {address} port 4030 ssh2"));
            client.log(8080, &format!("Invalid user admin from {address} port 4023"));
            client.is_still_served(8080);
            client.log(8080, &format!("Failed password for bob from {address} port 4024 ssh2"));
            client.is_refused(8080);
            guard.has_banned("ssh", &address);
        }
        guard.has_found("ssh", 6);
        // Who claims to be somebody else by his name is banned himself.
        let liar = mallory.at(mallory.address(Family::V4, 20));
        let victim = mallory.address(Family::V4, 21);
        for port in 1..=3 {
            let name = format!("x from {victim} port {port} ssh2");
            let from = liar.address;
            liar.log(
                8080,
                &format!("Failed password for invalid user {name} from {from} port {port} ssh2"),
            );
        }
        liar.is_refused(8080);
        mallory.at(victim).is_served(8080);
    });
}

/// A filter of one's own builds on guard's `common.conf`, and has a `.local` beside it.
#[test]
fn a_filter_of_ones_own_from_a_folder() {
    on_every_engine("a_filter_of_ones_own_from_a_folder", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let folder = host.folder().join("filter.d");
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write(
            "shop.conf",
            "[INCLUDES]\nbefore = common.conf\n[DEFAULT]\n_daemon = shop\n[Definition]\n\
             failregex = ^%(__prefix_line)sbad <kind> from <HOST>$\nkind = login\n",
        );
        write("shop.local", "[Definition]\nfailregex = %(known/failregex)s\n    ^no <HOST>$\n");
        write("broken.conf", "[Definition]\nfailregex = ^(bad <HOST>$\n");
        let labels = |filter| [("filter", filter), ("maxretry", "2"), ("bantime", "1h")];
        let service = |name: &str, port: &str| Service::new(name).dual().publish(port);
        service("shop", "8080:80").guarded(&labels("shop[kind=coupon]")).run(&host);
        service("broken", "8081:80").guarded(&labels("broken")).run(&host);
        service("typo", "8082:80").guarded(&labels("shopp")).run(&host);
        let path = folder.display().to_string();
        let guard = Guard::start(&host, &[("GUARD_FILTER_PATH", &path)]);
        guard.has_jail("shop");
        guard.says(None, &["broken.conf:2: failregex 1: unclosed group"]);
        guard.says(None, &["no filter `shopp`", "did you mean `shop`?"]);
        let client = mallory.v4();
        client.is_served(8080);
        let address = client.address;
        client.log(8080, &format!("Jun 15 07:08:09 web shop[7]: bad login from {address}"));
        client.log(8080, &format!("Jun 15 07:08:09 web shop[7]: bad coupon from {address}"));
        client.is_still_served(8080);
        client.log(8080, &format!("no {address}"));
        client.is_refused(8080);
    });
}
