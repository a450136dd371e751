//! What keeps guard from its work, and what it could guard besides.

use std::collections::BTreeMap;

use super::{Judged, Operator, Stopping, judged};
use crate::control::protocol::{RefusedKind, Reply};
use crate::daemon::doctor::{around, probes, suggestions};
use crate::daemon::jails::Jails;
use crate::doctor::{self, JailFacts, Metrics, Probe, Running};
use crate::files::FileStatus;
use crate::labels::{Complaint, Severity};
use crate::model::{JailName, ServiceId};
use crate::warden::{BanState, JailView};

/// What the warden knows of a jail, for the doctor.
struct OfWarden {
    judged: Judged,
    facts: JailFacts,
}

impl Operator {
    /// Looks at everything.
    pub(super) async fn doctor(&self) -> Result<Reply, Stopping> {
        let Ok(_only) = self.trials.try_acquire() else { return Ok(busy()) };
        let ground = self.jails.look(Jails::doctor_ground).await.ok_or(Stopping)?;
        let look = self.warden.look(|warden| warden.jails().map(of_warden).collect::<Vec<_>>());
        let mut jails = Vec::new();
        for jail in look.await.ok_or(Stopping)? {
            jails.push(self.of_jail(jail).await?);
        }
        let silent = jails.iter().filter(|jail| jail.live && jail.found == 0 && jail.has_sources);
        let silent: Vec<JailName> = silent.map(|jail| jail.rules.name.clone()).collect();
        let mut facts = around(&ground, &self.ward).await;
        let mut probes: BTreeMap<JailName, Probe> = probes(&ground, &silent).await;
        for jail in &mut jails {
            jail.probe = probes.remove(&jail.rules.name);
        }
        let firewall = self.firewall.status().borrow().clone();
        let store = self.store.status().borrow().clone();
        let refused = ground.complaints.iter().filter(|told| told.severity == Severity::Error);
        facts.running = Some(Running {
            all_told: ground.all_told,
            keeps_rules: self.ward.keeps_rules,
            firewall: firewall.backend.clone(),
            firewall_problems: firewall.problems.clone(),
            firewall_notes: firewall.notes.clone(),
            repairs: firewall.repairs,
            store_problem: store.problem.clone(),
            store_notes: self.notes.iter().chain(&store.notes).cloned().collect(),
            metrics: self.metrics_view().map(|view| Metrics {
                address: view.address,
                problem: view.problem,
                warning: view.warning,
            }),
            refused: refused.map(|told| (told.container.clone(), told.one_line())).collect(),
            lists: ground.lists,
            jails,
        });
        let findings = doctor::findings(&facts);
        Ok(Reply::Doctor { worst: doctor::worst(&findings), findings })
    }

    /// Adds what the jails' task and the firewall know.
    async fn of_jail(&self, jail: OfWarden) -> Result<JailFacts, Stopping> {
        let OfWarden { judged, mut facts } = jail;
        let mut watched = self.watched(&judged.name).await?;
        // Those that refuse it are told with the labels.
        watched.complaints.retain(|told: &Complaint| told.severity == Severity::Warning);
        facts.warnings = self.warnings(&judged, &watched, None);
        facts.has_sources = !watched.followers.is_empty();
        for follower in &watched.followers {
            let waiting = follower.state.files.iter().filter(|f| f.status == FileStatus::Waiting);
            facts.awaited.extend(waiting.map(|f| format!("{} in {}", f.shown, follower.container)));
        }
        Ok(facts)
    }

    /// Looks at the containers that nobody guards.
    pub(super) async fn suggest(&self) -> Result<Reply, Stopping> {
        let Ok(_only) = self.trials.try_acquire() else { return Ok(busy()) };
        let ground = self.jails.look(Jails::doctor_ground).await.ok_or(Stopping)?;
        Ok(suggestions(&ground).await)
    }
}

fn busy() -> Reply {
    let message = "guard reads logs for another guardctl already; try again when that has ended";
    Reply::refused(RefusedKind::Busy, message)
}

fn of_warden(jail: JailView<'_>) -> OfWarden {
    let pending = jail.bans().filter(|standing| match standing.state {
        BanState::Pending | BanState::HeldBack => true,
        BanState::InForce | BanState::DryRun => false,
    });
    let facts = JailFacts {
        rules: jail.rules().clone(),
        live: jail.is_live() && jail.rules().service != ServiceId::BuiltIn,
        found: jail.found(),
        pending: pending.count(),
        hidden: jail
            .hidden()
            .map(|hidden| (format!("{} ({} times)", hidden.what(), hidden.count), hidden.cure()))
            .collect(),
        reaching: jail.reaching().collect(),
        warnings: Vec::new(),
        awaited: Vec::new(),
        has_sources: false,
        probe: None,
    };
    let mut judged = judged(jail);
    // They are told apart from their cures.
    let hidden = facts.hidden.len();
    judged.warnings.drain(..hidden.min(judged.warnings.len()));
    OfWarden { judged, facts }
}
