//! The bed itself: what the other tests take for granted about it.

use crate::support::*;

/// Without guard every attacker is served, is seen with its own address, and a rule
/// in the place where guard puts its own keeps it out.
#[test]
fn attackers_are_seen_with_their_own_addresses() {
    on_every_engine("attackers_are_seen_with_their_own_addresses", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        Service::new("web").dual().publish("8080:80").arguments(FLASK).run(&host);
        for family in Family::ALL {
            alice.of(family).is_served(8080);
            mallory.of(family).fail(8080, 1);
            let seen = format!("[IP: {}]", mallory.first(family));
            eventually("the line is logged", || {
                let log = host.docker(&["logs", "web"]);
                ensure(log.contains(&seen), log)
            });
        }
        let mut running = mallory.v4().open(8080).expect("not banned yet");
        let address = mallory.first(Family::V4).to_string();
        host.run(&["iptables", "-I", "DOCKER-USER", "-s", &address, "-j", "REJECT"]);
        mallory.v4().is_still_refused(8080);
        assert!(is_cut(&mut running));
        mallory.at(mallory.address(Family::V4, 77)).is_still_served(8080);
        alice.v4().is_still_served(8080);
    });
}

/// An engine that was stopped and started again serves as before.
#[test]
fn an_engine_starts_again() {
    on_every_engine("an_engine_starts_again", |engine| {
        let mut host = Host::start(engine);
        let alice = host.attacker();
        let web = Service::new("web").dual().publish("8080:80").option("--restart", "always");
        web.run(&host);
        for family in Family::ALL {
            alice.of(family).is_served(8080);
        }
        host.stop_engine();
        eventually("its containers are gone", || {
            let outcome = alice.v4().visit(8080);
            ensure(!outcome.is_answer(), outcome)
        });
        host.start_engine();
        for family in Family::ALL {
            alice.of(family).is_served(8080);
        }
    });
}
