//! Random histories against a naive reference: it keeps every line of every jail, and
//! works everything out anew from them each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use guard::model::{
    BanTime, Growth, IgnoreEntry, JailName, JailRules, Limits, Network, Policy, Prefixes,
    ServiceId, Until,
};
use guard::warden::{Settings, Surroundings};
use proptest::prelude::*;

use crate::properties;
use crate::world::{World, at};

const ADDRESSES: [&str; 7] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.114.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:0:1::1",
    "2001:db8:0:1::99",
];
const JAILS: [&str; 3] = ["a", "b", "c"];
const PARDON: i64 = 120;
const HISTORY: i64 = 4000;

#[derive(Clone, Debug)]
enum Op {
    Fail { jail: usize, address: usize, offset: i64 },
    Login { jail: usize, address: usize, offset: i64 },
    Unban { address: usize },
    Restart,
}

/// How one jail is in one history.
#[derive(Clone, Debug)]
struct Choice {
    max_retry: usize,
    find_time: i64,
    ban_time: i64,
    grows: bool,
    overall: bool,
    multipliers: Vec<u32>,
    max_time: Option<i64>,
    prefixes: (u8, u8),
    ignores: bool,
    dry_run: bool,
}

fn choices() -> impl Strategy<Value = Choice> {
    let numbers = (1..5usize, 0..700i64, 1..900i64);
    let growth = (
        any::<bool>(),
        any::<bool>(),
        prop_oneof![Just(vec![]), Just(vec![1, 3, 10])],
        prop::option::of(1..2000i64),
    );
    let rest = (
        prop_oneof![Just((32, 64)), Just((24, 128)), Just((32, 48))],
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    (numbers, growth, rest).prop_map(|(numbers, growth, rest)| Choice {
        max_retry: numbers.0,
        find_time: numbers.1,
        ban_time: numbers.2,
        grows: growth.0,
        overall: growth.1,
        multipliers: growth.2,
        max_time: growth.3,
        prefixes: rest.0,
        ignores: rest.1,
        dry_run: rest.2,
    })
}

fn ops() -> impl Strategy<Value = Op> {
    let offset = || prop_oneof![3 => Just(0i64), 1 => -800..60i64];
    let fail = (0..2usize, 0..ADDRESSES.len(), offset())
        .prop_map(|(jail, address, offset)| Op::Fail { jail, address, offset });
    let login = (0..2usize, 0..ADDRESSES.len(), offset())
        .prop_map(|(jail, address, offset)| Op::Login { jail, address, offset });
    let unban = (0..ADDRESSES.len()).prop_map(|address| Op::Unban { address });
    prop_oneof![40 => fail, 2 => login, 1 => unban, 1 => Just(Op::Restart)]
}

fn net(address: usize) -> Network {
    ADDRESSES[address].parse().unwrap()
}

fn never() -> Network {
    net(6)
}

impl Choice {
    fn rules(&self, jail: usize) -> JailRules {
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        let growth = self.grows.then(|| Growth {
            multipliers: self.multipliers.clone(),
            max_time: self.max_time.map(seconds),
            overall: self.overall,
            ..Growth::default()
        });
        let mut rules = properties::rules(0, 0);
        rules.name = JAILS[jail].parse().unwrap();
        rules.limits = Limits {
            max_retry: u32::try_from(self.max_retry).unwrap().try_into().unwrap(),
            find_time: seconds(self.find_time),
            ban_time: BanTime::For(seconds(self.ban_time)),
        };
        rules.ignore = self.ignores.then(|| IgnoreEntry::Network(never())).into_iter().collect();
        rules.dry_run = self.dry_run;
        let (v4, v6) = self.prefixes;
        rules.policy =
            Policy { growth, prefixes: Prefixes { v4, v6 }, recidive: jail == 2, notify: None };
        rules
    }

    fn widen(&self, network: Network) -> Network {
        let (v4, v6) = self.prefixes;
        let length = if network.is_ipv6() { v6 } else { v4 };
        Network::new(network.address(), length.min(network.length())).unwrap()
    }

    /// How long the ban is after so many.
    fn time(&self, earlier: u32) -> i64 {
        if !self.grows || earlier == 0 {
            return self.ban_time;
        }
        let factor = match self.multipliers.as_slice() {
            [] => 2i64.pow(earlier),
            some => i64::from(*some.get(earlier as usize).unwrap_or(some.last().unwrap())),
        };
        let raised = self.ban_time * factor;
        self.max_time.map_or(raised, |max| raised.min(max))
    }

    fn weight(&self, earlier: u32) -> usize {
        let weight = if !self.grows || earlier == 0 { 1 } else { 2usize.pow(earlier - 1) + 1 };
        weight.min(self.max_retry)
    }
}

/// A jail that remembers every line.
struct Naive {
    choice: Choice,
    /// Failures that were not consumed: of whom, when, and as how many.
    lines: Vec<(Network, i64, usize)>,
    /// Failures of these at or before the times count no more.
    floors: Vec<(Network, i64)>,
    logins: Vec<(Network, i64)>,
    bans: BTreeMap<Network, i64>,
    /// Bans ever made, and when the last of them ends.
    offences: BTreeMap<Network, (u32, i64)>,
    /// When bans began.
    began: Vec<i64>,
    minute: Option<(i64, usize)>,
    /// Whose bans wait, the longest first.
    held: Vec<Network>,
}

struct Model {
    jails: Vec<Naive>,
    burst: usize,
    /// Bans that recidive has not counted yet.
    fresh: Vec<Network>,
}

impl Naive {
    fn protected(&self, network: Network, line: i64) -> bool {
        let covers = |other: &Network| network.contains(other.address());
        let latest = |who: Network| {
            self.logins.iter().filter(|(other, _)| *other == who).map(|(_, at)| *at).max()
        };
        let mut inside = self.logins.iter().map(|(who, _)| *who).filter(covers);
        inside.any(|who| latest(who).is_some_and(|at| line < at + PARDON))
    }

    fn never(&self, network: Network) -> bool {
        self.choice.ignores && network.overlaps(never())
    }

    fn client(&self, network: Network, line: i64) -> Network {
        let prefix = self.choice.widen(network);
        let narrow = self.never(prefix) || self.protected(prefix, line);
        if prefix != network && narrow { network } else { prefix }
    }

    /// What counts of somebody's failures now, oldest first.
    fn window(&self, client: Network) -> Vec<i64> {
        let of = self.lines.iter().filter(|(who, _, _)| *who == client);
        let mut times: Vec<i64> =
            of.flat_map(|(_, at, weight)| std::iter::repeat_n(*at, *weight)).collect();
        times.sort_unstable();
        let newest = times.last().copied().unwrap_or(0);
        times.retain(|at| *at >= newest - self.choice.find_time);
        times.split_off(times.len().saturating_sub(self.choice.max_retry))
    }

    fn earlier(&self, now: i64, client: Network) -> u32 {
        let known = self.offences.get(&client);
        known.filter(|(_, until)| until + HISTORY > now).map_or(0, |(bans, _)| *bans)
    }
}

impl Model {
    fn expire(&mut self, now: i64) {
        for jail in &mut self.jails {
            jail.bans.retain(|_, until| *until > now);
        }
        self.release(now);
        self.count_bans(now);
    }

    fn count_bans(&mut self, now: i64) {
        for client in std::mem::take(&mut self.fresh) {
            self.fail(now, 2, client, now);
        }
    }

    fn fail(&mut self, now: i64, jail: usize, network: Network, line: i64) {
        let line = line.min(now);
        let this = &mut self.jails[jail];
        let hidden = this.never(network) || this.protected(network, line);
        let below = |(who, at): &(Network, i64)| {
            who.length() <= network.length() && who.overlaps(network) && line <= *at
        };
        if hidden || line < now - this.choice.find_time || this.floors.iter().any(below) {
            return;
        }
        let client = this.client(network, line);
        // All that was counted of it is too old: it starts anew.
        let held = this.held.contains(&client);
        let newest = this.window(client).last().copied();
        if !held && newest.is_some_and(|newest| newest < now - this.choice.find_time) {
            this.lines.retain(|(who, _, _)| *who != client);
        }
        let weight = this.choice.weight(this.earlier(now, client));
        this.lines.push((client, line, weight));
        if !held && this.window(client).len() >= this.choice.max_retry {
            self.sentence(now, jail, client);
        }
    }

    fn sentence(&mut self, now: i64, jail: usize, client: Network) {
        let burst = self.burst;
        let overall: u32 = self.jails.iter().map(|jail| jail.earlier(now, client)).sum();
        let this = &mut self.jails[jail];
        let last = *this.window(client).last().unwrap();
        let standing = this.bans.get(&client).copied();
        let own = this.earlier(now, client);
        let bans = if this.choice.overall { overall } else { own };
        let earlier = bans.saturating_sub(u32::from(standing.is_some()));
        let until = last + this.choice.time(earlier);
        let out_as_long = |(who, end): (&Network, &i64)| {
            who.length() <= client.length() && who.overlaps(client) && *end >= until
        };
        let is_none = until <= now || this.bans.iter().any(out_as_long) || this.never(client);
        let minute = this.minute.filter(|(since, _)| since + 60 > now);
        let too_many = burst > 0 && minute.is_some_and(|(_, count)| count >= burst);
        if !is_none && standing.is_none() && too_many {
            this.held.push(client);
            return;
        }
        this.lines.retain(|(who, _, _)| *who != client);
        this.floors.push((client, last));
        if is_none {
            return;
        }
        this.bans.insert(client, until);
        if standing.is_some() {
            this.offences.get_mut(&client).unwrap().1 = until;
            return;
        }
        this.began.push(now);
        let (since, count) = minute.unwrap_or((now, 0));
        this.minute = Some((since, count + 1));
        this.offences.insert(client, (own + 1, until));
        if !this.choice.dry_run && jail != 2 {
            self.fresh.push(client);
        }
    }

    fn release(&mut self, now: i64) {
        for jail in 0..self.jails.len() {
            loop {
                let burst = self.burst;
                let this = &mut self.jails[jail];
                let minute = this.minute.filter(|(since, _)| since + 60 > now);
                let too_many = burst > 0 && minute.is_some_and(|(_, count)| count >= burst);
                if too_many || this.held.is_empty() {
                    break;
                }
                let client = this.held.remove(0);
                let window = this.window(client);
                let fresh =
                    window.last().is_some_and(|newest| *newest >= now - this.choice.find_time);
                if fresh && window.len() >= this.choice.max_retry {
                    self.sentence(now, jail, client);
                }
            }
        }
    }

    fn login(&mut self, now: i64, jail: usize, network: Network, line: i64) {
        let line = line.min(now);
        let this = &mut self.jails[jail];
        if this.never(network) {
            return;
        }
        let prefix = this.choice.widen(network);
        this.logins.push((network, line));
        this.lines
            .retain(|(who, at, _)| (*who != network && *who != prefix) || *at >= line + PARDON);
        let held = std::mem::take(&mut this.held);
        let due = |who: &Network| this.window(*who).len() >= this.choice.max_retry;
        this.held = held.into_iter().filter(due).collect();
    }

    fn unban(&mut self, now: i64, network: Network) {
        for this in &mut self.jails {
            let prefix = this.choice.widen(network);
            for who in [network, prefix] {
                this.bans.remove(&who);
                this.lines.retain(|(other, _, _)| *other != who);
                this.held.retain(|other| *other != who);
                this.offences.remove(&who);
            }
            this.floors.push((prefix, now));
        }
    }

    /// guard starts again: it has forgotten who logged in, and how many it banned
    /// within this minute.
    fn restart(&mut self, now: i64) {
        for this in &mut self.jails {
            this.logins.clear();
            this.minute = None;
            // They wait in the order of their last failures now.
            let held = std::mem::take(&mut this.held);
            let mut held: Vec<_> =
                held.into_iter().map(|who| (this.window(who).last().copied(), who)).collect();
            held.sort_unstable();
            held.retain(|(_, who)| this.window(*who).len() >= this.choice.max_retry);
            this.held = held.into_iter().map(|(_, who)| who).collect();
        }
        self.expire(now);
    }

    fn bans(&self) -> Vec<(String, Network, Until)> {
        let each = self.jails.iter().zip(JAILS).flat_map(|(jail, name)| {
            jail.bans
                .iter()
                .map(move |(network, until)| (name.to_owned(), *network, Until::Time(at(*until))))
        });
        each.collect()
    }
}

fn world(choices: &[Choice; 3], burst: usize) -> World {
    let recidive = JailRules { service: ServiceId::BuiltIn, ..choices[2].rules(2) };
    let settings = Settings {
        pardon: Duration::from_secs(PARDON.unsigned_abs()),
        history: Duration::from_secs(HISTORY.unsigned_abs()),
        ban_burst: u32::try_from(burst).unwrap(),
        recidive: Some(Arc::new(recidive)),
        ..Settings::default()
    };
    let mut world = World::new(settings, Surroundings::default());
    for (jail, choice) in choices.iter().enumerate().take(2) {
        world.jail(0, choice.rules(jail));
    }
    world
}

fn bans(world: &World) -> Vec<(String, Network, Until)> {
    let all = world.warden.jails().flat_map(guard::warden::JailView::bans);
    all.map(|standing| &standing.ban)
        .map(|ban| (ban.jail.to_string(), ban.network, ban.until))
        .collect()
}

/// Lets time pass as a clock does: whatever is due happens when it is due.
fn pass(world: &mut World, model: &mut Model, from: i64, to: i64) {
    let ends = model.jails.iter().flat_map(|jail| {
        jail.minute.filter(|_| !jail.held.is_empty()).map(|(since, _)| since + 60)
    });
    let mut ends: Vec<i64> = ends.filter(|end| (from + 1..to).contains(end)).collect();
    ends.sort_unstable();
    if let Some(first) = ends.first() {
        world.input(*first, |_, _| ());
        model.expire(*first);
        pass(world, model, *first, to);
    }
}

proptest! {
    /// Window, ban times, growth, prefixes, ignoring, logins, recidive and the breaker
    /// at once, with lines out of order and of equal times, unbans and restarts.
    #[test]
    fn judges_as_the_naive_reference(
        history in prop::collection::vec((prop_oneof![2 => Just(0i64), 6 => 0..90i64, 1 => 0..3000i64], ops()), 1..120),
        choices in [choices(), choices(), choices()],
        burst in prop_oneof![2 => Just(0usize), 1 => Just(1), 1 => Just(2)],
    ) {
        let mut world = world(&choices, burst);
        let jails = choices.iter().map(|choice| Naive {
            choice: choice.clone(),
            lines: Vec::new(),
            floors: Vec::new(),
            logins: Vec::new(),
            bans: BTreeMap::new(),
            offences: BTreeMap::new(),
            began: Vec::new(),
            minute: None,
            held: Vec::new(),
        });
        let mut model = Model { jails: jails.collect(), burst, fresh: Vec::new() };
        let name = |jail: usize| JAILS[jail].parse::<JailName>().unwrap();
        let mut now = 0;
        for (step, (pause, op)) in history.iter().enumerate() {
            pass(&mut world, &mut model, now, now + pause);
            now += pause;
            world.input(now, |_, _| ());
            model.expire(now);
            match *op {
                Op::Fail { jail, address, offset } => {
                    world.fail(now, &name(jail), (net(address), &[]), now + offset);
                    model.fail(now, jail, net(address), now + offset);
                    model.count_bans(now);
                }
                Op::Login { jail, address, offset } => {
                    world.login(now, &name(jail), net(address), now + offset);
                    model.login(now, jail, net(address), now + offset);
                }
                Op::Unban { address } => {
                    properties::unban(&mut world, now, guard::warden::UnbanWhich::Networks(vec![net(address)]));
                    model.unban(now, net(address));
                }
                Op::Restart => {
                    world.restart(now);
                    for (jail, choice) in choices.iter().enumerate().take(2) {
                        world.jail(now, choice.rules(jail));
                    }
                    model.restart(now);
                }
            }
            model.expire(now);
            prop_assert_eq!(bans(&world), model.bans(), "step {} at {}: {:?}", step, now, op);
            for (jail, naive) in JAILS.iter().zip(&model.jails) {
                let view = world.warden.jail(&jail.parse().unwrap()).unwrap();
                prop_assert_eq!(view.held(), naive.held.len(), "held by {} at {}: {:?}", jail, now, op);
            }
            // No more than the breaker lets through in any of its minutes.
            for jail in &model.jails {
                for began in jail.began.iter().filter(|_| burst > 0) {
                    let within = jail.began.iter().filter(|at| (*began..began + 60).contains(at));
                    prop_assert!(within.count() <= 2 * burst, "{:?}", jail.began);
                }
            }
        }
    }
}
