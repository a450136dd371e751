//! Gathered failures → bans, in simulated time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::{Failed, Replay};
use crate::model::{
    Ban, Failure, JailName, Login, Memory, Network, News, Position, Progress, SourceId, Timestamp,
    Tried, TriedBan, TriedJail, TriedNever,
};
use crate::warden::{Effect, Settings, Surroundings, Warden};

/// So many of the lines that led to a ban are shown, the last.
const MAX_LINES: usize = 3;

/// Most bans that are listed.
const MAX_BANS: usize = 10_000;

/// Most addresses that are listed as never banned.
const MAX_NEVER: usize = 100;

/// Where an address stands in a jail.
type Whose = (usize, Network);

impl Replay {
    /// What would have come of it by `now`, with these settings and surroundings.
    pub fn play(mut self, now: Timestamp, settings: Settings, around: Surroundings) -> Tried {
        for failed in &mut self.failures {
            // As when it is read: nothing counts in the future.
            failed.at = failed.at.min(now);
        }
        self.failures.sort_by_key(|failed| failed.at);
        let start = self.failures.first().map_or(now, |failed| failed.at);
        let mut stage = Stage::new(&self, start, settings, around);
        for failed in std::mem::take(&mut self.failures) {
            stage.fail(failed);
        }
        stage.end(now);
        stage.tried(&self)
    }
}

/// A warden in simulated time, and what it said.
struct Stage {
    warden: Warden,
    names: Vec<JailName>,
    /// The last lines of each.
    recent: HashMap<Whose, VecDeque<Box<str>>>,
    never: HashMap<Whose, (u64, String)>,
    tallies: Vec<Tally>,
    bans: Vec<TriedBan>,
    /// Where the last ban of each is in the list.
    standing: HashMap<Whose, usize>,
    more_bans: u64,
}

#[derive(Clone, Default)]
struct Tally {
    failures: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    addresses: BTreeSet<Network>,
    bans: u64,
    banned: BTreeSet<Network>,
}

impl Stage {
    fn new(replay: &Replay, start: Timestamp, settings: Settings, around: Surroundings) -> Stage {
        let mut warden = Warden::new(start, Memory::default(), settings);
        warden.handle_surroundings(start, around);
        for jail in &replay.jails {
            warden.handle_jail(start, jail.rules.clone());
        }
        while warden.poll_effect().is_some() {}
        Stage {
            warden,
            names: replay.jails.iter().map(|jail| jail.rules.name.clone()).collect(),
            recent: HashMap::new(),
            never: HashMap::new(),
            tallies: vec![Tally::default(); replay.jails.len()],
            bans: Vec::new(),
            standing: HashMap::new(),
            more_bans: 0,
        }
    }

    fn fail(&mut self, failed: Failed) {
        let Failed { at, jail, network, forwarded, line, login } = failed;
        self.pass(at);
        if login {
            return self.log_in(at, jail, network);
        }
        let tally = &mut self.tallies[jail];
        tally.failures += 1;
        tally.first = tally.first.or(Some(at));
        tally.last = Some(at);
        tally.addresses.insert(network);
        if let Some((count, _)) = self.never.get_mut(&(jail, network)) {
            *count += 1;
        }
        if let Some(line) = line {
            let recent = self.recent.entry((jail, network)).or_default();
            recent.push_back(line);
            if recent.len() > MAX_LINES {
                recent.pop_front();
            }
        }
        let place = Progress { resume: Position::File(None), judged: Position::File(None) };
        let source = SourceId::File("".into());
        let jail = self.names[jail].clone();
        let failure = Failure { jail, network, forwarded, at, source, progress: place };
        self.warden.handle_failure(at, failure);
        self.listen();
    }

    fn log_in(&mut self, at: Timestamp, jail: usize, network: Network) {
        let place = Progress { resume: Position::File(None), judged: Position::File(None) };
        let source = SourceId::File("".into());
        let jail = self.names[jail].clone();
        self.warden.handle_login(at, Login { jail, network, at, source, progress: place });
        self.listen();
    }

    /// Time passes.
    fn pass(&mut self, now: Timestamp) {
        loop {
            self.warden.handle_time(now);
            self.listen();
            if self.warden.next_wakeup().is_none_or(|wakeup| wakeup > now) {
                return;
            }
        }
    }

    fn listen(&mut self) {
        while let Some(effect) = self.warden.poll_effect() {
            let Effect::Tell(event) = effect else { continue };
            match event.news {
                News::Banned { ban, dry_run } => self.banned(ban, dry_run),
                News::Prolonged { ban, .. } => self.prolonged(ban),
                News::Ignored { jail, network, reason } => {
                    if let Some(jail) = self.place(&jail) {
                        self.never.entry((jail, network)).or_insert((1, reason));
                    }
                }
                News::Found { .. }
                | News::Reaches { .. }
                | News::LoggedIn { .. }
                | News::Narrowed { .. }
                | News::Unbanned { .. }
                | News::JailStarted { .. }
                | News::JailStopped { .. }
                | News::Repaired { .. }
                | News::Trouble { .. } => {}
            }
        }
    }

    fn place(&self, jail: &JailName) -> Option<usize> {
        self.names.iter().position(|name| name == jail)
    }

    fn banned(&mut self, ban: Ban, dry_run: bool) {
        let Some(jail) = self.place(&ban.jail) else { return };
        let whose = (jail, ban.network);
        let tally = &mut self.tallies[jail];
        tally.bans += 1;
        tally.banned.insert(ban.network);
        let lines = self.recent.remove(&whose).unwrap_or_default();
        if self.bans.len() >= MAX_BANS {
            self.standing.remove(&whose);
            self.more_bans += 1;
            return;
        }
        self.standing.insert(whose, self.bans.len());
        let lines = lines.into_iter().map(String::from).collect();
        self.bans.push(TriedBan { ban, prolonged: false, dry_run, lines });
    }

    fn prolonged(&mut self, ban: Ban) {
        let Some(jail) = self.place(&ban.jail) else { return };
        if let Some(known) = self.standing.get(&(jail, ban.network)) {
            let known = &mut self.bans[*known];
            known.ban = ban;
            known.prolonged = true;
        }
    }

    /// Nothing more is read; time goes on to the present.
    fn end(&mut self, now: Timestamp) {
        self.pass(now);
    }

    fn tried(self, replay: &Replay) -> Tried {
        let mut ignored: BTreeMap<usize, u64> = BTreeMap::new();
        for ((jail, _), (count, _)) in &self.never {
            *ignored.entry(*jail).or_default() += count;
        }
        let all = replay.jails.iter().zip(self.tallies).enumerate();
        let jails = all.map(|(place, (jail, tally))| TriedJail {
            name: jail.rules.name.clone(),
            find_time: jail.rules.limits.find_time.as_secs(),
            max_retry: jail.rules.limits.max_retry.get(),
            lines: jail.lines,
            failures: tally.failures,
            first: tally.first,
            last: tally.last,
            addresses: tally.addresses.len() as u64,
            bans: tally.bans,
            banned: tally.banned.len() as u64,
            ignored: ignored.get(&place).copied().unwrap_or(0),
            nobody: jail.nobody,
        });
        let names = &self.names;
        let never = self.never.into_iter().map(|((jail, network), (failures, reason))| {
            TriedNever { jail: names[jail].clone(), network, failures, reason }
        });
        let mut never: Vec<_> = never.collect();
        never.sort_by(|a, b| b.failures.cmp(&a.failures).then(a.network.cmp(&b.network)));
        let mut notes = Vec::new();
        if let more @ 1.. = never.len().saturating_sub(MAX_NEVER) {
            notes.push(format!("{more} more addresses are never banned"));
            never.truncate(MAX_NEVER);
        }
        if replay.dropped > 0 {
            notes.push(format!(
                "{} failures were too many to be looked at: try a shorter time with --since",
                replay.dropped
            ));
        }
        Tried { jails: jails.collect(), bans: self.bans, more_bans: self.more_bans, never, notes }
    }
}
