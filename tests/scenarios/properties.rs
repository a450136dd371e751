//! Random histories against simple truths about the warden.

use std::collections::BTreeSet;
use std::time::Duration;

use guard::model::{
    BanTime, BlockRules, BlockType, Chain, DockerNetwork, IgnoreEntry, JailName, JailRules, Limits,
    Network, Policy, Ports, ServiceId, Timestamp, Until,
};
use guard::warden::{
    BanRequest, Effect, FoundBan, Settings, Surroundings, UnbanRequest, UnbanWhich, Warden,
};
use proptest::prelude::*;

use crate::world::{World, at};

/// What can happen. Addresses, jails and surroundings are few, so that they meet.
#[derive(Clone, Debug)]
enum Op {
    Fail { jail: usize, network: usize, offset: i64 },
    Ban { network: usize, seconds: u64, force: bool },
    Unban { network: usize },
    UnbanAll,
    Rules { jail: usize, variant: usize },
    Left { jail: usize },
    Look { variant: usize },
    Nothing,
}

const NETWORKS: [&str; 8] = [
    "203.0.113.1",
    "203.0.113.2",
    "198.51.100.0/24",
    "172.18.0.5",
    "172.18.0.1",
    "172.16.0.0/12",
    "2001:db8::1",
    "127.0.0.1",
];
const JAILS: [&str; 2] = ["a", "b"];

fn net(index: usize) -> Network {
    NETWORKS[index].parse().unwrap()
}

fn name(index: usize) -> JailName {
    JAILS[index].parse().unwrap()
}

pub(crate) fn rules(jail: usize, variant: usize) -> JailRules {
    let limits = |max_retry: u32, find_time, ban_time| Limits {
        max_retry: max_retry.try_into().unwrap(),
        find_time: Duration::from_secs(find_time),
        ban_time: BanTime::For(Duration::from_secs(ban_time)),
    };
    JailRules {
        name: name(jail),
        service: ServiceId::Container("test".into()),
        limits: [limits(3, 600, 300), limits(2, 600, 900), limits(3, 100, 5)][variant % 3],
        ignore: match variant {
            1 => vec![IgnoreEntry::Network(net(0))],
            _ => Vec::new(),
        },
        block: BlockRules {
            chains: BTreeSet::from([Chain::DockerUser]),
            ports: Ports::All,
            block_type: BlockType::Drop,
        },
        dry_run: variant == 3,
        policy: Policy::default(),
    }
}

fn surroundings(variant: usize) -> Surroundings {
    let docker = DockerNetwork {
        name: "web".to_owned(),
        subnets: vec!["172.18.0.0/16".parse().unwrap()],
        gateways: vec!["172.18.0.1".parse().unwrap()],
    };
    let own = [vec![], vec!["203.0.113.2".parse().unwrap()]];
    let names = Default::default();
    match variant {
        0 => Surroundings::default(),
        1 => Surroundings { networks: vec![docker], ..Surroundings::default() },
        _ => Surroundings {
            own: own[variant % 2].clone(),
            networks: vec![docker],
            names,
            ..Surroundings::default()
        },
    }
}

fn failures() -> impl Strategy<Value = Op> {
    (0..2usize, 0..8usize, prop_oneof![Just(0i64), -700..50i64])
        .prop_map(|(jail, network, offset)| Op::Fail { jail, network, offset })
}

fn requests() -> impl Strategy<Value = Op> {
    let ban = (0..8usize, 1..900u64, any::<bool>()).prop_map(|(network, seconds, force)| Op::Ban {
        network,
        seconds,
        force,
    });
    let unban = (0..8usize).prop_map(|network| Op::Unban { network });
    prop_oneof![4 => ban, 4 => unban, 1 => Just(Op::UnbanAll)]
}

fn changes() -> impl Strategy<Value = Op> {
    let rules = (0..2usize, 0..4usize).prop_map(|(jail, variant)| Op::Rules { jail, variant });
    let left = (0..2usize).prop_map(|jail| Op::Left { jail });
    let look = (0..4usize).prop_map(|variant| Op::Look { variant });
    prop_oneof![2 => rules, 1 => left, 1 => look]
}

fn do_it(world: &mut World, second: i64, op: &Op) {
    match *op {
        Op::Fail { jail, network, offset } => {
            world.fail(second, &name(jail), (net(network), &[]), second + offset);
        }
        Op::Ban { network, seconds, force } => {
            let request = BanRequest {
                networks: vec![net(network)],
                jail: Some(name(0)),
                time: Some(BanTime::For(Duration::from_secs(seconds))),
                force,
            };
            world.input(second, |warden, now| drop(warden.handle_ban(now, request)));
        }
        Op::Unban { network } => unban(world, second, UnbanWhich::Networks(vec![net(network)])),
        Op::UnbanAll => unban(world, second, UnbanWhich::All),
        Op::Rules { jail, variant } => world.jail(second, rules(jail, variant)),
        Op::Left { jail } => {
            world.input(second, |warden, now| warden.handle_jail_left(now, &name(jail)));
        }
        Op::Look { variant } => {
            world.surroundings = surroundings(variant);
            let seen = surroundings(variant);
            world.input(second, |warden, now| warden.handle_surroundings(now, seen));
        }
        Op::Nothing => world.input(second, |_, _| ()),
    }
}

pub(crate) fn unban(world: &mut World, second: i64, which: UnbanWhich) {
    let request = UnbanRequest { which, jail: None };
    world.input(second, |warden, now| drop(warden.handle_unban(now, request)));
}

fn world(track_max: usize) -> World {
    let settings = Settings { track_max, ..Settings::default() };
    let mut world = World::new(settings, surroundings(1));
    for jail in 0..JAILS.len() {
        world.jail(0, rules(jail, 0));
    }
    world
}

/// What must be the same however often guard was started: bans and their ends,
/// totals, and the failures that can still count.
fn essence(world: &World) -> impl PartialEq + std::fmt::Debug + use<> {
    let bans: Vec<_> =
        world.disk.bans.values().map(|ban| (ban.jail.clone(), ban.network, ban.until)).collect();
    let totals: Vec<_> = world
        .warden
        .jails()
        .map(|jail| (jail.name().clone(), jail.found(), jail.banned()))
        .collect();
    let fresh = |times: &&Vec<Timestamp>| times.last().is_some_and(|t| *t >= at(world.clock - 100));
    let failures: Vec<_> = world
        .disk
        .failures
        .iter()
        .filter(|(_, times)| fresh(times))
        .map(|(key, times)| (key.clone(), times.clone()))
        .collect();
    (bans, totals, failures, world.disk.history.len())
}

/// guard dies after the firewall heard of what just happened and before the disk
/// did; started again, it reads the same line again.
fn crash(world: &mut World, second: i64, op: &Op) {
    let disk = world.disk.clone();
    do_it(world, second, op);
    let kernel = std::mem::take(&mut world.kernel);
    world.disk = disk;
    world.restart(second);
    for jail in 0..JAILS.len() {
        world.jail(second, rules(jail, 0));
    }
    let found: Vec<FoundBan> = kernel
        .into_iter()
        .filter(|(key, _)| !world.kernel.contains_key(key))
        .map(|((jail, network), until)| FoundBan { jail, network, until })
        .collect();
    let left_over = found.iter().map(|ban| ((ban.jail.clone(), ban.network), ban.until));
    world.kernel.extend(left_over.collect::<Vec<_>>());
    world.input(second, |warden, now| warden.handle_found(now, found));
}

proptest! {
    /// Whatever happens, the kernel and the disk are copies of what the warden
    /// says, nobody is banned who must not be, the memory is bounded, and after
    /// each turn the next one is later ([`World`] looks after all that).
    #[test]
    fn nothing_contradicts_itself(
        history in prop::collection::vec(
            (
                prop_oneof![8 => 0..200i64, 1 => -2000..-1i64],
                prop_oneof![12 => failures(), 3 => requests(), 3 => changes(), 1 => Just(Op::Nothing)],
                prop::bool::weighted(0.05),
            ),
            1..150,
        ),
        track_max in 1..6usize,
    ) {
        let mut world = world(track_max);
        let mut second = 0;
        for (pause, op, restart) in history {
            second += pause;
            do_it(&mut world, second, &op);
            if restart {
                world.restart(second);
            }
        }
    }

    /// A restart at any point loses nothing and doubles nothing.
    #[test]
    fn a_restart_changes_nothing(
        history in prop::collection::vec(
            (0..100i64, prop_oneof![12 => failures(), 2 => requests()], prop::bool::weighted(0.2)),
            1..100,
        ),
    ) {
        let (mut steady, mut restarted) = (world(1000), world(1000));
        let mut second = 0;
        for (pause, op, restart) in history {
            second += pause;
            do_it(&mut steady, second, &op);
            do_it(&mut restarted, second, &op);
            if restart {
                restarted.restart(second);
                for jail in 0..JAILS.len() {
                    restarted.jail(second, rules(jail, 0));
                }
            }
            prop_assert_eq!(essence(&steady), essence(&restarted), "at {} {:?}", second, op);
            prop_assert_eq!(&steady.disk.bans, &restarted.disk.bans);
        }
    }

    /// Nor does a crash between the firewall and the disk.
    #[test]
    fn a_crash_changes_nothing(
        history in prop::collection::vec((0..100i64, failures(), prop::bool::weighted(0.3)), 1..100),
    ) {
        let (mut steady, mut crashed) = (world(1000), world(1000));
        let mut second = 0;
        for (pause, op, is_crash) in history {
            second += pause;
            do_it(&mut steady, second, &op);
            if is_crash {
                crash(&mut crashed, second, &op);
            }
            do_it(&mut crashed, second, &op);
            prop_assert_eq!(essence(&steady), essence(&crashed), "at {} {:?}", second, op);
        }
    }

    /// One address against the naive model, which remembers every line.
    #[test]
    fn bans_as_the_naive_model(
        history in prop::collection::vec((0..300i64, -700..50i64), 1..150),
        max_retry in 1u32..6,
        find_time in 0..700i64,
        ban_time in 1..900i64,
    ) {
        let jail = name(0);
        let mut rules = rules(0, 0);
        rules.limits = Limits {
            max_retry: max_retry.try_into().unwrap(),
            find_time: Duration::from_secs(find_time.unsigned_abs()),
            ban_time: BanTime::For(Duration::from_secs(ban_time.unsigned_abs())),
        };
        let mut world = World::new(Settings::default(), Surroundings::default());
        world.jail(0, rules);
        let mut model = Naive { times: Vec::new(), floor: i64::MIN, until: 0 };
        let mut now = 0;
        for (pause, offset) in history {
            now += pause;
            world.fail(now, &jail, (net(0), &[]), now + offset);
            model.fail(now, now + offset, (max_retry as usize, find_time, ban_time));
            let until = world.warden.bans_on(net(0)).next().map(|standing| standing.ban.until);
            let expected = (model.until > now).then(|| Until::Time(at(model.until)));
            prop_assert_eq!(until, expected, "at {}", now);
        }
    }
}

struct Naive {
    times: Vec<i64>,
    floor: i64,
    until: i64,
}

impl Naive {
    fn fail(&mut self, now: i64, line: i64, (max_retry, find_time, ban_time): (usize, i64, i64)) {
        let line = line.min(now);
        if line < now - find_time || line <= self.floor {
            return;
        }
        if self.times.iter().all(|time| *time < now - find_time) {
            self.times.clear();
        }
        self.times.push(line);
        let newest = self.times.iter().copied().max().unwrap();
        if self.times.iter().filter(|time| **time >= newest - find_time).count() >= max_retry {
            self.times.clear();
            self.floor = newest;
            self.until = self.until.max(newest + ban_time);
        }
    }
}

#[test]
fn so_many_bans_may_end_at_once() {
    let mut warden = Warden::new(at(0), Default::default(), Settings::default());
    let address = |n: u32| std::net::IpAddr::from((0xCB00_0000 + n).to_be_bytes());
    let networks = (0..100_000).map(|n| Network::from(guard::model::Address::new(address(n))));
    let time = Some(BanTime::For(Duration::from_secs(60)));
    let request = BanRequest { networks: networks.collect(), jail: None, time, force: false };
    assert!(warden.handle_ban(at(0), request).iter().all(Result::is_ok));
    while warden.poll_effect().is_some() {}
    assert_eq!(warden.next_wakeup(), Some(at(60)));

    let mut released = BTreeSet::new();
    while warden.next_wakeup().is_some_and(|wakeup| wakeup <= at(60)) {
        warden.handle_time(at(60));
        let mut in_this_turn = 0;
        while let Some(effect) = warden.poll_effect() {
            if let Effect::Release(_, network) = effect {
                in_this_turn += 1;
                assert!(released.insert(network), "{network} twice");
            }
        }
        assert!((1..=1000).contains(&in_this_turn), "{in_this_turn} in one turn");
    }
    assert_eq!(released.len(), 100_000);
    assert_eq!(warden.next_wakeup(), None);
}

#[test]
fn many_idle_jails_do_not_starve_the_last() {
    let mut world = World::new(Settings::default(), Surroundings::default());
    for number in 0..1500 {
        let mut rules = rules(0, 0);
        rules.name = format!("jail-{number:04}").parse().unwrap();
        world.jail(0, rules);
    }
    let last: JailName = "jail-1499".parse().unwrap();
    for _ in 0..3 {
        world.fail(1, &last, (net(0), &[]), 1);
    }
    assert_eq!(world.kernel.len(), 1);
    world.input(301, |_, _| ());
    assert_eq!(world.kernel.len(), 0);
}
