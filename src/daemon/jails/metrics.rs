//! What the metrics want to know of the jails' task.

use super::{EngineState, FollowerView, Jails};
use crate::labels::Severity;
use crate::model::JailName;

/// All that the metrics need of the task's state.
pub(crate) struct MetricsGround {
    pub(crate) connected: bool,
    /// Labels that make no jail.
    pub(crate) refused: u64,
    pub(crate) followers: Vec<(JailName, FollowerView)>,
}

impl Jails {
    /// What the metrics need, in one go over all followers.
    pub(crate) fn metrics_ground(&self) -> MetricsGround {
        let is_refused = |severity| severity == Severity::Error;
        let refused = self.complaints.iter().filter(|told| is_refused(told.severity));
        MetricsGround {
            connected: matches!(self.engine, EngineState::Connected(_)),
            refused: refused.count() as u64,
            followers: self
                .all_followers()
                .map(|(jail, follower)| (jail.clone(), follower))
                .collect(),
        }
    }
}
