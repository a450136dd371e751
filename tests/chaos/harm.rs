//! What other programs and people do to a firewall, by intent or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use guard::firewall::BackendChoice;

use crate::world::{Kind, World, docker_chains};

/// Numbers by chance, the same for the same seed (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// One below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

/// Does harm to a world.
pub(crate) struct Harm<'a> {
    world: &'a World,
    backend: BackendChoice,
    /// How often a rule that lets all in was put above guard's jump; from the third
    /// on within a minute guard gives in to whoever does it, as it should.
    pushed: BTreeMap<(u8, &'static str), u32>,
}

/// The rules of others that are there from the beginning, besides Docker's.
const OTHERS: &str = ":f2b-sshd - [0:0]\n-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd\n-A INPUT -i lo -j ACCEPT\n-A OUTPUT -s 198.51.100.1/32 -j ACCEPT\n-A f2b-sshd -s 198.51.100.7/32 -j DROP\n-A f2b-sshd -j RETURN";

/// guard's part of a table, without the rules of single bans.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Own {
    /// The rules of each of its chains, in their order.
    chains: BTreeMap<String, Vec<String>>,
    /// The jumps in chains that are not its own, sorted.
    jumps: Vec<String>,
}

impl Own {
    /// Are the chains the same, and as many jumps?
    pub(crate) fn is_like(&self, other: &Own) -> bool {
        self.chains == other.chains && self.jumps.len() == other.jumps.len()
    }
}

/// guard's part of a listing.
pub(crate) fn guards(saved: &str) -> Own {
    let mut own = Own { chains: BTreeMap::new(), jumps: Vec::new() };
    for line in saved.lines() {
        let is_chain = line.starts_with(":f2b-") && line != ":f2b-sshd";
        if let Some(chain) = line.strip_prefix(':').filter(|_| is_chain) {
            own.chains.entry(chain.to_owned()).or_default();
        }
        let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        if let Some(rules) = own.chains.get_mut(chain) {
            let is_ban = rule.starts_with("-s ") || rule.starts_with("-d ");
            rules.extend((!is_ban).then(|| rule.to_owned()));
        } else if rule.contains("--comment guard") {
            own.jumps.push(line.to_owned());
        }
    }
    own.jumps.sort();
    own
}

/// The lines of others, each chain's in their order.
fn others(saved: &str) -> BTreeMap<String, Vec<String>> {
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in saved.lines().filter(|line| !line.contains("--comment guard")) {
        if let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' '))
        {
            chains.entry(chain.to_owned()).or_default().push(rule.to_owned());
        }
    }
    chains
}

impl<'a> Harm<'a> {
    pub(crate) fn new(world: &'a World, backend: BackendChoice) -> Harm<'a> {
        let harm = Harm { world, backend, pushed: BTreeMap::new() };
        for family in [4, 6] {
            harm.filter(family, OTHERS);
        }
        harm
    }

    pub(crate) fn others(&self) -> [BTreeMap<String, Vec<String>>; 2] {
        [4, 6].map(|family| others(&self.world.saved(family)))
    }

    /// Does one thing to the firewall, whole or in pieces.
    pub(crate) fn something(&mut self, random: &mut Random) {
        let family = *random.one_of(&[4, 6]);
        let own = *random.one_of(&["f2b-ssh", "f2b-web"]);
        match random.below(11) {
            0 => self.filter(family, &format!("-F {own}")),
            1 => self.filter(family, &format!("-D {own} -m comment --comment guard -j RETURN")),
            2 => self.jumps_away(family),
            3 => self.mix(family, own, random),
            4 => self.firewall_reload(family),
            5 => self.push(family, random),
            6 => self.sets(random),
            7 => self.gone(family, own),
            8 => self.everything(random),
            9 => self.neighbour(family, random),
            _ => self.docker_again(family),
        }
    }

    /// Restores what can be restored: things may be gone already.
    fn filter(&self, family: u8, lines: &str) {
        let stem = if family == 4 { "iptables-restore" } else { "ip6tables-restore" };
        let tool = self.world.kind.tool(stem);
        self.run(&tool, &["--noflush", "-w"], &format!("*filter\n{lines}\nCOMMIT\n"));
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) {
        self.world.host.inside(|| {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // It may end before it has read all.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            let _ = child.wait().unwrap();
        });
    }

    /// Somebody deletes guard's jumps, wherever they are now.
    fn jumps_away(&self, family: u8) {
        let saved = self.world.saved(family);
        let jumps = saved.lines().filter(|line| line.contains("--comment guard -j f2b-"));
        for jump in jumps {
            self.filter(family, &jump.replacen("-A", "-D", 1));
        }
    }

    /// The last rule of a chain becomes its first, or its first comes twice.
    fn mix(&self, family: u8, own: &str, random: &mut Random) {
        let saved = self.world.saved(family);
        let prefix = format!("-A {own} ");
        let rules: Vec<&str> =
            saved.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).collect();
        let (Some(first), Some(last)) = (rules.first(), rules.last()) else { return };
        let lines = match random.below(2) {
            0 => format!("-D {own} {last}\n-I {own} 1 {last}"),
            _ => format!("-A {own} {first}"),
        };
        self.filter(family, &lines);
    }

    /// As a firewall's front end reloads: its chains flushed, its rules written anew.
    fn firewall_reload(&self, family: u8) {
        self.filter(family, "-F INPUT\n-F OUTPUT");
        let lines = OTHERS.split_once('\n').unwrap().1;
        self.filter(family, &format!("-F f2b-sshd\n{lines}"));
    }

    /// Somebody lets everything in, above guard.
    fn push(&mut self, family: u8, random: &mut Random) {
        let chain = *random.one_of(&["INPUT", "OUTPUT", "FORWARD", "DOCKER-USER"]);
        let times = self.pushed.entry((family, chain)).or_default();
        *times += 1;
        if *times <= 2 {
            self.filter(family, &format!("-I {chain} 1 -j ACCEPT"));
        }
    }

    fn sets(&self, random: &mut Random) {
        if self.backend != BackendChoice::Ipset {
            return;
        }
        let set = *random.one_of(&["f2b4-ssh", "f2b6-ssh", "f2b4-web", "f2b6-web"]);
        match random.below(3) {
            0 => self.run("ipset", &["flush"], ""),
            1 => self.run("ipset", &["flush", set], ""),
            _ => {
                let one = if set.contains('6') { "2001:db8::ff" } else { "203.0.113.200" };
                self.run("ipset", &["add", set, one], "");
            }
        }
    }

    /// Chain, jumps and set are all gone.
    fn gone(&self, family: u8, own: &str) {
        self.jumps_away(family);
        self.filter(family, &format!("-F {own}\n-X {own}"));
        self.run("ipset", &["destroy", &own.replace("f2b-", &format!("f2b{family}-"))], "");
    }

    /// Every rule of the host is gone, and those who had some write them again.
    fn everything(&mut self, random: &mut Random) {
        if self.world.kind == Kind::Nft && random.below(2) == 0 {
            self.run("nft", &["flush", "ruleset"], "");
        } else {
            for family in [4, 6] {
                let stem = if family == 4 { "iptables" } else { "ip6tables" };
                let tool = self.world.kind.tool(stem);
                self.run(&tool, &["-w", "-F"], "");
                self.run(&tool, &["-w", "-X"], "");
            }
        }
        if random.below(2) == 0 {
            self.run("ipset", &["destroy"], "");
        }
        self.write_others();
    }

    fn write_others(&mut self) {
        self.pushed.retain(|_, times| *times >= 2);
        for family in [4, 6] {
            self.filter(family, OTHERS);
        }
        let docker = docker_chains();
        let docker = docker.trim_start_matches("*filter\n").trim_end_matches("COMMIT\n").trim_end();
        self.filter(4, docker);
        self.filter(
            6,
            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -i out -j ACCEPT",
        );
    }

    /// Another program's rule comes, below or above guard's.
    fn neighbour(&self, family: u8, random: &mut Random) {
        let chain = *random.one_of(&["INPUT", "OUTPUT", "FORWARD"]);
        let address = if family == 4 { "198.51.100.9/32" } else { "2001:db8:ffff::9/128" };
        let command = *random.one_of(&["-A", "-I"]);
        let verdict = *random.one_of(&["DROP", "REJECT"]);
        self.filter(family, &format!("{command} {chain} -s {address} -j {verdict}"));
    }

    /// As an engine that starts: its jump goes to the head of FORWARD.
    fn docker_again(&self, family: u8) {
        if family == 4 {
            self.filter(4, "-D FORWARD -j DOCKER-USER");
            self.filter(
                4,
                ":DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\n-I FORWARD 1 -j DOCKER-USER",
            );
        }
    }

    /// At the end all others' rules are as they were at the beginning.
    pub(crate) fn restore_others(&mut self) {
        for family in [4, 6] {
            let stem = if family == 4 { "iptables" } else { "ip6tables" };
            let tool = self.world.kind.tool(stem);
            self.run(&tool, &["-w", "-F"], "");
            self.run(&tool, &["-w", "-X"], "");
        }
        self.write_others();
    }

    /// Who is banned in a jail's chain, as the kernel has it.
    pub(crate) fn banned(&self, jail: &str, family: u8) -> BTreeSet<String> {
        if self.backend == BackendChoice::Ipset {
            let set = format!("f2b{family}-{jail}");
            let listing = self.world.host.run("ipset", &["list", &set]);
            let elements = listing.lines().skip_while(|line| !line.starts_with("Members:")).skip(1);
            return elements.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        }
        let saved = self.world.saved(family);
        let prefix = format!("-A f2b-{jail} -s ");
        let sources = saved.lines().filter_map(|line| line.strip_prefix(prefix.as_str()));
        sources.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect()
    }
}
