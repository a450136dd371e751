//! Everything that is known of an address.

use std::collections::HashMap;

use super::{Operator, Stopping, view};
use crate::control::protocol::{FailingView, Known, KnownIn, LineOf, Never, Reply};
use crate::model::{JailName, Network, Timestamp};
use crate::warden::{self, Waits};

/// So many bans of the past are told.
const PAST: u32 = 10;
/// So many lines are told for each jail.
const LINES: usize = 10;

impl Operator {
    pub(super) async fn why(&self, network: Network) -> Result<Reply, Stopping> {
        let now = Timestamp::now();
        let (known, lines) = self.warden.why(now, network).await.ok_or(Stopping)?;
        let mut lines_of: HashMap<JailName, Vec<LineOf>> = HashMap::new();
        for (jail, network, line) in lines {
            lines_of.entry(jail).or_default().push(LineOf { network, line: line.into() });
        }
        let all_jails = known.len() as u64;
        let jails = known.into_iter().filter_map(|known| {
            let mut lines = lines_of.remove(&known.jail).unwrap_or_default();
            lines.drain(..lines.len().saturating_sub(LINES));
            (known.is_something() || !lines.is_empty()).then(|| known_in(known, lines))
        });
        let mut answer = Known {
            network,
            now,
            jails: jails.collect(),
            all_jails,
            history: Vec::new(),
            more: 0,
            times: Vec::new(),
            problem: None,
        };
        match self.history((Some(network), None), None, PAST).await? {
            Reply::History { bans, more, times, problem, .. } => {
                answer = Known { history: bans, more, times, problem, ..answer };
            }
            Reply::Refused { message, .. } => answer.problem = Some(message),
            _ => {}
        }
        Ok(Reply::Why(Box::new(answer)))
    }
}

fn known_in(known: warden::Known, lines: Vec<LineOf>) -> KnownIn {
    let limits = known.rules.limits;
    let failing = known.failing.into_iter().map(|failing| FailingView {
        network: failing.network,
        times: failing.times,
        needed: failing.needed,
        until: failing.until,
        waits: failing.waits.map(|waits| waits_words(&waits)),
    });
    KnownIn {
        jail: known.jail,
        service: known.rules.service.to_string(),
        maxretry: limits.max_retry.get(),
        findtime: limits.find_time.as_secs(),
        bantime: limits.ban_time,
        dry_run: known.rules.dry_run,
        never: known.exempt.map(|exempt| Never {
            entry: exempt.entry,
            reason: exempt.to_string(),
            remedy: exempt.why.remedy().to_owned(),
        }),
        bans: known.bans.iter().map(view).collect(),
        more_bans: known.more_bans as u64,
        failing: failing.collect(),
        more_failing: known.more_failing as u64,
        forgiven_until: known.floor,
        earlier_bans: known.earlier,
        lines,
    }
}

fn waits_words(waits: &Waits) -> String {
    match waits {
        Waits::Burst => "the jail began too many bans within a minute (GUARD_BAN_BURST)".to_owned(),
        Waits::Ssh(peer) => {
            format!("{peer} has an SSH connection to this host, which the ban would end")
        }
    }
}
