//! Looking at a family's filter table, and what it means if that fails.
//!
//! The tools run on a thread of their own. With the backend ipset the keeper waits
//! for it only a moment ([`Keeper::has_looked`]): who is in the sets never waits for
//! a tool that is slow or hangs.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Ipv6;
use super::iptables::{self, ToolError, has_legacy_table};
use super::keeper::{Backend, Keeper};
use super::kind::{self, DockerHook, Kind};
use super::names::Family;
use super::nft::Nft;
use super::rules::Table;

/// Most rules of a table that is remembered.
const MAX_REMEMBERED: usize = 4096;

/// Elements wait so long for a look…
const SOON: Duration = Duration::from_secs(1);
/// …and it is asked for this often after that.
const POLL: Duration = Duration::from_millis(50);

/// What is done to chains and jumps is mended within this time.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// Where guard hears of changes, a look is followed by a pause so many times as long…
const CHECK_COST: u32 = 20;
/// …but by none that is longer than this.
const CHECK_LATEST: Duration = Duration::from_secs(60);
/// Putting right and a margin, within [`CHECK_EVERY`].
const MARGIN: Duration = Duration::from_secs(1);

/// How long no look is due after one that cost so much.
///
/// Where changes are `heard`, looks cost a twentieth of the time. Where nobody tells
/// (legacy tables), what is done to them is to be mended within 10 s: the next look
/// ends so long after this one began, unless looks would take more than half the time.
pub(crate) fn pause(cost: Duration, heard: bool) -> Duration {
    if heard {
        return (cost * CHECK_COST).clamp(CHECK_EVERY, CHECK_LATEST);
    }
    (CHECK_EVERY - MARGIN).saturating_sub(cost * 2).max(cost)
}

/// A look, and nftables' generation right before it: as long as that is the same, so is
/// the table, and no tool needs to be run to know.
#[derive(Debug)]
pub(crate) struct Seen {
    generation: u32,
    look: Look,
}

/// A look that the tools are run for.
#[derive(Debug)]
pub(crate) struct UnderWay {
    /// nftables' generation right before it.
    generation: Option<u32>,
    answer: mpsc::Receiver<Answer>,
    /// What came of it, and how long it took; `None`: nothing yet.
    found: Option<Answer>,
}

type Answer = (Result<Look, ToolError>, Duration);

impl UnderWay {
    /// In the network namespace of the thread that calls this.
    fn begin(
        family: Family,
        legacy: bool,
        in_use: Option<Kind>,
        generation: Option<u32>,
    ) -> UnderWay {
        let (sender, answer) = mpsc::channel();
        let begun = Instant::now();
        let run = move || {
            // Nobody waits any more when guard ends or takes another backend.
            let _ = sender.send((run_tools(family, legacy, in_use), begun.elapsed()));
        };
        // Without a thread there is no sender, and the look has failed.
        if let Err(error) = thread::Builder::new().name("firewall-look".to_owned()).spawn(run) {
            tracing::error!("a thread could not be started: {error}");
        }
        UnderWay { generation, answer, found: None }
    }

    /// Is it at its end, at the latest at `deadline`?
    fn is_done(&mut self, deadline: Instant) -> bool {
        if self.found.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            self.found = match self.answer.recv_timeout(left) {
                Ok(answer) => Some(answer),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => Some(no_answer()),
            };
        }
        self.found.is_some()
    }

    /// Waits for its end; its tools' time is bounded.
    fn end(self) -> (Option<u32>, Answer) {
        let found =
            self.found.unwrap_or_else(|| self.answer.recv().unwrap_or_else(|_| no_answer()));
        (self.generation, found)
    }
}

fn no_answer() -> Answer {
    (Err(ToolError::Endless("the look".to_owned())), Duration::ZERO)
}

/// One family's filter table, as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// The kind of iptables in use.
    pub(crate) kind: Kind,
    /// Its table.
    pub(crate) table: Table,
    /// The table of the other kind, if it is there.
    pub(crate) other: Option<Table>,
    /// Where forwarded traffic is caught.
    pub(crate) hook: DockerHook,
}

impl Keeper {
    /// Begins what a look needs, and waits a moment for it. `false`: a tool takes its time,
    /// and is asked for again soon. Only sets can do without: rules for each ban that are
    /// written meanwhile would not be in what the tool shows. The first look is waited for.
    pub(crate) fn has_looked(&mut self) -> bool {
        if !matches!(self.backend, Some(Backend::Ipset(_))) {
            self.awaited = None;
            return true;
        }
        let wait = if self.awaited.is_some() { Duration::ZERO } else { SOON };
        let mut to_look_at = Vec::new();
        for family in Family::ALL {
            let wanted = family == Family::V4 || self.wants_ipv6();
            let state = &self.families[family as usize];
            if state.looked && wanted {
                if state.under_way.is_none() && !self.is_seen(family) {
                    let begun = self.begin(family);
                    self.families[family as usize].under_way = Some(begun);
                }
                to_look_at.push(family);
            }
        }
        let deadline = Instant::now() + wait;
        let done = to_look_at.into_iter().all(|family| {
            let under_way = &mut self.families[family as usize].under_way;
            under_way.as_mut().is_none_or(|under_way| under_way.is_done(deadline))
        });
        self.awaited = (!done).then(|| Instant::now() + POLL);
        done
    }

    /// One family's table; `None`: the family is off, or it failed and that was noted.
    pub(crate) fn look(&mut self, family: Family) -> Option<Look> {
        let off = family == Family::V6 && !self.wants_ipv6();
        self.families[family as usize].off = off;
        if off {
            self.stop_family(family);
            self.sweep(family);
            return None;
        }
        self.families[family as usize].swept = None;
        let looked = self.try_look(family);
        let state = &mut self.families[family as usize];
        state.looked = true;
        match looked {
            Ok(look) => {
                state.kind = Some(look.kind);
                state.worked = true;
                let jump = |table| kind::docker_jump(table).is_some();
                state.docker_jump =
                    Some(jump(&look.table) || look.other.as_ref().is_some_and(jump));
                Some(look)
            }
            Err(error) => {
                self.family_failed(family, &error);
                None
            }
        }
    }

    /// Is IPv6 to be kept as well?
    pub(crate) fn wants_ipv6(&mut self) -> bool {
        match self.settings.ipv6 {
            Ipv6::On => true,
            Ipv6::Off => false,
            Ipv6::Auto if iptables::has_ipv6() => true,
            Ipv6::Auto => {
                self.findings.notes.insert("IPv6 is left alone: this host has none".to_owned());
                false
            }
        }
    }

    /// Nothing is known of the family's chains any more.
    pub(crate) fn stop_family(&mut self, family: Family) {
        self.families[family as usize].kind = None;
        self.families[family as usize].under_way = None;
        for placed in self.placed.values_mut() {
            placed.ready[family as usize] = false;
            placed.suspect[family as usize] = true;
        }
    }

    fn try_look(&mut self, family: Family) -> Result<Look, ToolError> {
        if self.families[family as usize].under_way.is_none() && self.is_seen(family) {
            let seen = self.families[family as usize].seen.as_ref();
            if let Some(seen) = seen {
                return Ok(seen.look.clone());
            }
        }
        let begun = self.families[family as usize].under_way.take();
        let (generation, (look, took)) = begun.unwrap_or_else(|| self.begin(family)).end();
        self.look_cost += took;
        let look = look?;
        let rules: usize = look.table.chains.iter().map(|chain| chain.rules.len()).sum();
        self.families[family as usize].seen = generation
            .filter(|_| look.kind == Kind::Nft && rules <= MAX_REMEMBERED)
            .map(|generation| Seen { generation, look: look.clone() });
        Ok(look)
    }

    fn begin(&mut self, family: Family) -> UnderWay {
        let legacy = has_legacy_table(family);
        let generation = self.generation(legacy);
        let state = &mut self.families[family as usize];
        state.seen = None;
        UnderWay::begin(family, legacy, state.kind, generation)
    }

    fn generation(&mut self, legacy: bool) -> Option<u32> {
        match &mut self.backend {
            Some(Backend::Ipset(sets)) if !legacy => sets.rules_generation(),
            _ => None,
        }
    }

    /// Is the table as it was at the last look?
    fn is_seen(&mut self, family: Family) -> bool {
        let generation = self.generation(has_legacy_table(family));
        let seen = &self.families[family as usize].seen;
        seen.as_ref().is_some_and(|seen| Some(seen.generation) == generation)
    }

    /// The next look is not at what was remembered.
    pub(crate) fn forget_seen(&mut self) {
        for family in &mut self.families {
            family.seen = None;
        }
    }

    /// Notes a failure. What was known of the family goes on, and elements do as well: only
    /// its structure waits. Where IPv6 never worked and nobody asked for it, that is
    /// how this host is, and no reason to call guard unwell.
    pub(crate) fn family_failed(&mut self, family: Family, error: &ToolError) {
        let state = &mut self.families[family as usize];
        let optional = family == Family::V6
            && self.settings.ipv6 == Ipv6::Auto
            && !state.worked
            && !matches!(error, ToolError::Denied(_))
            // What an earlier guard made there can't be left alone.
            && !Nft::has_jail_chains(family).unwrap_or(false);
        state.off = optional;
        if optional {
            self.stop_family(family);
            self.findings.notes.insert(format!("IPv6 is not protected: {error}"));
        } else {
            self.findings.problem(&format!("{}: {error}", family.as_str()));
            self.failed = true;
        }
    }
}

/// Looks at both kinds.
fn run_tools(family: Family, legacy: bool, in_use: Option<Kind>) -> Result<Look, ToolError> {
    let nft = iptables::save(family, Kind::Nft);
    choose(family, nft, legacy.then(|| iptables::save(family, Kind::Legacy)), in_use)
}

/// Chooses one of them. That the one `in_use` can't be shown is no reason to go over to
/// the other; nor is it at first that nft's can't, without a sign of Docker in the other.
fn choose(
    family: Family,
    nft: Result<Table, ToolError>,
    legacy: Option<Result<Table, ToolError>>,
    in_use: Option<Kind>,
) -> Result<Look, ToolError> {
    let shown = legacy.as_ref().and_then(|legacy| legacy.as_ref().ok());
    let is_broken = |looked: &Result<Table, ToolError>| {
        looked.as_ref().is_err_and(|error| !matches!(error, ToolError::Missing(_)))
    };
    let kind = match in_use {
        Some(Kind::Nft) if is_broken(&nft) => Kind::Nft,
        Some(Kind::Legacy) if legacy.as_ref().is_some_and(is_broken) => Kind::Legacy,
        None if is_broken(&nft) && shown.is_none_or(|it| kind::docker_jump(it).is_none()) => {
            Kind::Nft
        }
        _ => kind::choose(nft.as_ref().ok(), shown),
    };
    let (chosen, other) = match (kind, legacy) {
        (Kind::Legacy, Some(legacy)) => (legacy, nft.ok()),
        (_, legacy) => (nft, legacy.and_then(Result::ok)),
    };
    let table = chosen?;
    let hook = kind::docker_hook(family, &table);
    Ok(Look { kind, table, other, hook })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_can_t_be_shown_is_not_left() {
        let table = |docker: bool| {
            let jump =
                if docker { ":DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n" } else { "" };
            let text =
                format!("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n{jump}COMMIT\n");
            Ok(Table::parse(&text).unwrap())
        };
        let broken = || Err(ToolError::Endless("it".to_owned()));
        let missing = || Err(ToolError::Missing("it".to_owned()));
        let check = |nft, legacy, in_use, kind: Option<Kind>| {
            assert_eq!(choose(Family::V4, nft, legacy, in_use).ok().map(|look| look.kind), kind);
        };
        let (nft, legacy) = (Some(Kind::Nft), Some(Kind::Legacy));
        check(broken(), Some(table(false)), nft, None);
        check(broken(), Some(table(true)), nft, None);
        check(broken(), Some(table(false)), None, None);
        check(broken(), Some(table(true)), None, legacy);
        check(table(true), Some(broken()), legacy, None);
        check(table(true), Some(broken()), nft, nft);
        check(missing(), Some(table(false)), nft, legacy);
        // Docker went from the one to the other.
        check(table(true), Some(table(false)), legacy, nft);
        check(table(false), Some(table(true)), nft, legacy);
    }

    #[test]
    fn the_next_look_is_in_time_and_not_all_the_time() {
        let check = |millis: u64, heard: bool, wanted: u64| {
            let pause = pause(Duration::from_millis(millis), heard);
            assert_eq!(pause, Duration::from_millis(wanted), "{millis} ms, heard: {heard}");
        };
        check(0, false, 9_000);
        check(20, false, 8_960);
        // Its end is within 10 s of the begin of the look before.
        check(2_000, false, 5_000);
        check(3_000, false, 3_000);
        // Half the time, if there is no other way.
        check(12_000, false, 12_000);
        check(20, true, 10_000);
        check(2_000, true, 40_000);
        check(12_000, true, 60_000);
    }
}
