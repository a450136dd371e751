//! The backend nftables: a table of guard's own beside Docker's, and the way from one
//! backend to another.

use guard::firewall::{BackendChoice, Settings};

use super::world::*;

mod backends;
mod mending;
mod sets;
mod traffic;

pub(crate) fn settings(backend: BackendChoice) -> Settings {
    Settings { backend, ..Settings::default() }
}

impl World {
    /// A host on which Docker 29 runs with its nftables backend: no DOCKER-USER.
    pub(crate) fn with_docker_on_nftables() -> World {
        let world = World::without_docker();
        world.nft(DOCKER_29);
        world
    }

    pub(crate) fn nft(&self, lines: &str) {
        self.host.feed("nft", &["-f", "-"], lines);
    }

    /// guard's table, without handles, counters and elements' times.
    pub(crate) fn table(&self) -> String {
        let ruleset = self.host.run("nft", &["-s", "list", "ruleset"]);
        let all = ruleset.split("\ntable ").map(|table| table.trim_start_matches("table "));
        let own: String = all.filter(|table| table.starts_with("inet guard ")).collect();
        own.lines().map(|line| without_times(line) + "\n").collect()
    }

    pub(crate) fn tables(&self) -> Vec<String> {
        self.host.run("nft", &["list", "tables"]).lines().map(str::to_owned).collect()
    }
}

fn without_times(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let is_time = |at: usize| {
        let before = at.checked_sub(1).map(|at| words[at]);
        ["timeout", "expires"].iter().any(|word| words[at] == *word || before == Some(word))
    };
    let kept = (0..words.len()).filter(|at| !line.contains("elements") || !is_time(*at));
    kept.map(|at| words[at]).collect::<Vec<_>>().join(" ")
}

/// As Docker 29 lays its tables out, with port 8080 published as 80 and 9090 as 90.
const DOCKER_29: &str = "
table ip docker-bridges {
    map filter-forward-in-jumps { type ifname : verdict; elements = { in : jump filter-forward-in__in }; }
    map filter-forward-out-jumps { type ifname : verdict; elements = { in : jump filter-forward-out__in }; }
    chain filter-FORWARD {
        type filter hook forward priority filter; policy accept;
        oifname vmap @filter-forward-in-jumps
        iifname vmap @filter-forward-out-jumps
    }
    chain nat-PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump nat-prerouting-and-output
    }
    chain nat-prerouting-and-output {
        iifname != in tcp dport 8080 counter dnat to 10.97.1.2:80 comment \"DNAT\"
        iifname != in tcp dport 9090 counter dnat to 10.97.1.2:90 comment \"DNAT\"
    }
    chain filter-forward-in__in {
        ct state established,related counter accept
        ip daddr 10.97.1.2 tcp dport { 80, 90 } counter accept
        counter drop comment \"UNPUBLISHED PORT DROP\"
    }
    chain filter-forward-out__in {
        ct state established,related counter accept
        counter accept comment \"OUTGOING\"
    }
}
table ip6 docker-bridges {
    chain filter-FORWARD { type filter hook forward priority filter; policy accept;
        ct state established,related counter accept
        ip6 daddr fd97::2 tcp dport { 80, 90 } counter accept
        iifname in counter accept
        oifname in counter drop
    }
    chain nat-PREROUTING { type nat hook prerouting priority dstnat; policy accept;
        iifname != in tcp dport 8080 counter dnat to [fd97::2]:80
        iifname != in tcp dport 9090 counter dnat to [fd97::2]:90
    }
}
";
