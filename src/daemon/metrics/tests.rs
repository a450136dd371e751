//! A day of guard's, simulated: what the metrics counted, and what history remembers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::daemon::pump::{Drained, drain};
use crate::firewall::Order;
use crate::model::{
    Address, Ban, BanTime, BlockRules, BlockType, Chain, Failure, HistoryQuery, JailRules,
    LiftedBy, Limits, Memory, PastBans, Policy, Ports, Position, Progress, ServiceId, SourceId,
    Timestamp, Until,
};
use crate::report::metrics::{Counted, Format, Snapshot};
use crate::store::Store;
use crate::warden::{
    BanRequest, Outcome, Settings, Surroundings, UnbanRequest, UnbanWhich, Warden,
};

const MINUTES: u32 = 24 * 60;
const JAILS: [(&str, u64); 3] = [("web", 600), ("ssh", 3600), ("mail", 90)];

/// guard without its edges: the warden, the database, the counters.
struct World {
    warden: Warden,
    store: Store,
    meters: Meters,
    now: Timestamp,
    random: u64,
    surroundings: Surroundings,
}

impl World {
    fn begin(now: Timestamp, memory: Memory, store: Store, random: u64) -> World {
        // Every ban begins at once.
        let settings = Settings { ban_burst: 0, ..Settings::default() };
        let warden = Warden::new(now, memory, settings);
        let surroundings = Surroundings::default();
        let meters = Meters::new(true);
        let mut world = World { warden, store, meters, now, random, surroundings };
        world.settle(None);
        world.warden.handle_surroundings(now, world.surroundings.clone());
        for (name, ban_time) in JAILS {
            world.jail(name, ban_time);
        }
        world
    }

    fn jail(&mut self, name: &str, ban_time: u64) {
        let ban_time = BanTime::For(Duration::from_secs(ban_time));
        let rules = JailRules {
            name: name.parse().unwrap(),
            service: ServiceId::Container(name.into()),
            limits: Limits { ban_time, ..Limits::default() },
            ignore: Vec::new(),
            block: BlockRules {
                chains: [Chain::DockerUser].into(),
                ports: Ports::All,
                block_type: BlockType::Reject,
            },
            dry_run: name == "mail",
            policy: Policy::default(),
        };
        self.warden.handle_jail(self.now, Arc::new(rules));
        self.settle(None);
    }

    /// The next of some numbers that look like chance.
    fn chance(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % below
    }

    fn somebody(&mut self) -> Network {
        let number = u32::try_from(self.chance(400)).unwrap();
        Network::from(Address::new(Ipv4Addr::from(0xcb00_7100 + number).into()))
    }

    /// What the pump does with effects, and a firewall that always succeeds.
    fn settle(&mut self, read: Option<Instant>) {
        let mut drained = Drained::default();
        drain(&mut self.warden, &mut drained, &self.meters, read);
        let blocked = drained.orders.iter().filter_map(|order| match order {
            Order::Block(ban) => Some((ban.jail.clone(), ban.network)),
            _ => None,
        });
        let in_force: Vec<_> = blocked.collect();
        self.store.write(drained.records);
        if !in_force.is_empty() {
            self.meters.in_force(&in_force, Instant::now());
            self.warden.handle_outcome(self.now, Outcome { in_force, held_back: Vec::new() });
        }
    }

    fn fail(&mut self, jail: &str, network: Network) {
        let failure = Failure {
            jail: jail.parse().unwrap(),
            network,
            forwarded: Vec::new(),
            at: self.now,
            source: SourceId::Journal,
            progress: Progress { resume: Position::OUTPUT_START, judged: Position::OUTPUT_START },
        };
        self.warden.handle_failure(self.now, failure);
        self.settle(Some(Instant::now()));
    }

    /// A minute with some forty failures, and now and then a person.
    fn minute(&mut self, minute: u32) {
        for _ in 0..self.chance(16) {
            let network = self.somebody();
            let (jail, _) = JAILS[usize::try_from(self.chance(3)).unwrap()];
            for _ in 0..=self.chance(8) {
                self.now = self.now.checked_add(Duration::from_millis(37)).unwrap();
                self.fail(jail, network);
            }
        }
        let somebody = self.somebody();
        if minute.is_multiple_of(7) {
            let (jail, time) = (Some("web".parse().unwrap()), None);
            let request = BanRequest { networks: vec![somebody], jail, time, force: false };
            // Unless it is one of the host's own.
            drop(self.warden.handle_ban(self.now, request));
        }
        if minute.is_multiple_of(5) {
            let which = UnbanWhich::Networks(vec![somebody]);
            self.warden.handle_unban(self.now, UnbanRequest { which, jail: None }).unwrap();
        }
        if minute.is_multiple_of(60) {
            // Somebody who is banned is the host's own from now on.
            let web = self.warden.jail(&"web".parse().unwrap()).unwrap();
            let of_lines = web.bans().find(|standing| standing.ban.failures > 0);
            let own = of_lines.map_or(somebody, |standing| standing.ban.network);
            self.surroundings.own.push(own.address());
            self.warden.handle_surroundings(self.now, self.surroundings.clone());
        }
        if minute.is_multiple_of(200) {
            // Gone with all its bans, and back.
            let mail = "mail".parse().unwrap();
            self.meters.sync(self.warden.jail(&mail));
            self.warden.handle_jail_left(self.now, &mail);
            self.settle(None);
            self.jail("mail", 90);
        }
        self.settle(None);
        self.now = self.now.checked_add(Duration::from_secs(60)).unwrap();
        while self.warden.next_wakeup().is_some_and(|wakeup| wakeup <= self.now) {
            self.warden.handle_time(self.now);
            self.settle(None);
        }
    }

    /// What a scrape would say, by the words before the number.
    fn scraped(&self) -> BTreeMap<String, f64> {
        for jail in self.warden.jails() {
            self.meters.sync(Some(jail));
        }
        let counted = Counted::of(&self.meters.lock());
        let text = Snapshot { counted, ..Snapshot::default() }.text(Format::Prometheus).unwrap();
        let values = text.lines().filter(|line| !line.starts_with('#'));
        let values = values.filter_map(|line| line.rsplit_once(' '));
        values.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }
}

/// What history says of a part of the day, in the metrics' words.
fn remembered(past: &PastBans, from: Timestamp, to: Timestamp) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    let mut add = |name: String| *counts.entry(name).or_default() += 1.0;
    let within = |at: Timestamp| from <= at && at < to;
    for entry in &past.entries {
        let Ban { jail, since, until, .. } = &entry.ban;
        if within(*since) {
            add(format!("guard_bans_total{{jail=\"{jail}\"}}"));
        }
        let ended = match (entry.lifted, entry.lifted_by, until) {
            (Some(at), Some(LiftedBy::Hand), _) => Some((at, "hand")),
            (Some(at), Some(LiftedBy::NeverBan), _) => Some((at, "never_ban")),
            (_, _, Until::Time(at)) => Some((*at, "over")),
            (_, _, Until::Forever) => None,
        };
        if let Some((_, reason)) = ended.filter(|(at, _)| within(*at)) {
            add(format!("guard_unbans_total{{jail=\"{jail}\",reason=\"{reason}\"}}"));
        }
    }
    counts
}

fn agree(scraped: &BTreeMap<String, f64>, remembered: &BTreeMap<String, f64>) -> f64 {
    let bans_and_unbans = scraped.iter().filter(|(name, value)| {
        **value > 0.0 && (name.starts_with("guard_bans_total") || name.starts_with("guard_unbans"))
    });
    let mut counted = BTreeMap::new();
    for (name, number) in bans_and_unbans {
        // In history a ban to which a person gave another end is his; who began it, only
        // the metrics say.
        let name = match name.split_once(",origin=") {
            Some((jail, _)) => format!("{jail}}}"),
            None => name.clone(),
        };
        *counted.entry(name).or_default() += number;
    }
    assert_eq!(&counted, remembered, "metrics (left) and history (right) differ");
    let bans = counted.iter().filter(|(name, _)| name.starts_with("guard_bans_total"));
    bans.map(|(_, count)| count).sum()
}

#[tokio::test]
async fn a_day_of_bans_is_in_the_metrics_to_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let day = Duration::from_secs(u64::from(MINUTES) * 60);
    let morning = Timestamp::now().checked_sub(day * 2).unwrap();
    let opened = crate::store::open(folder.path()).unwrap();
    let mut world = World::begin(morning, opened.memory, opened.store, 7);
    for minute in 1..MINUTES / 2 {
        world.minute(minute);
    }
    // At noon guard is started again: its counters begin anew, its bans go on.
    let noon = world.now;
    let before_noon = world.scraped();
    world.store.committed().await.unwrap();
    let random = world.random;
    world.store.stop().unwrap();
    let opened = crate::store::open(folder.path()).unwrap();
    assert!(opened.memory.bans.len() > 10, "nothing stood at noon");
    let mut world = World::begin(noon, opened.memory, opened.store, random);
    for minute in MINUTES / 2..MINUTES {
        world.minute(minute);
    }
    let after_noon = world.scraped();
    world.store.committed().await.unwrap();
    let query = HistoryQuery { network: None, jail: None, since: None, limit: usize::MAX };
    let past = world.store.history(&query).unwrap();
    assert_eq!(past.more, 0);

    let first = agree(&before_noon, &remembered(&past, morning, noon));
    let second = agree(&after_noon, &remembered(&past, noon, world.now));
    assert_eq!(first + second, past.entries.len() as f64);
    assert!(first > 500.0 && second > 500.0, "{first} and {second} bans are no day");
    for (part, name) in [
        (&before_noon, "guard_unbans_total{jail=\"ssh\",reason=\"hand\"}"),
        (&after_noon, "guard_unbans_total{jail=\"web\",reason=\"never_ban\"}"),
        (&after_noon, "guard_failures_total{jail=\"mail\"}"),
        (&after_noon, "guard_failures_ignored_total{jail=\"web\"}"),
        (&after_noon, "guard_line_to_kernel_seconds_count"),
    ] {
        assert!(part[name] > 0.0, "{name}");
    }
    // Only what lines led to, and only what goes into the kernel.
    let measured =
        |jail| after_noon[&format!("guard_bans_total{{jail=\"{jail}\",origin=\"failures\"}}")];
    assert_eq!(after_noon["guard_line_to_kernel_seconds_count"], measured("web") + measured("ssh"));
    let standing = world.warden.jails().map(JailView::banned_now).sum::<usize>();
    let left = past
        .entries
        .iter()
        .filter(|entry| entry.lifted.is_none() && !entry.ban.until.is_over(world.now));
    assert_eq!(standing, left.count(), "bans that stand at midnight");
}
