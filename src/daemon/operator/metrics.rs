//! Where the metrics are, for guardctl.

use tokio_util::sync::CancellationToken;

use super::Operator;
use crate::control::protocol::MetricsView;
use crate::daemon::Core;
use crate::daemon::metrics::{Scraper, Server, at, open_words};
use crate::report::address::Address;

impl Operator {
    /// Has metrics served there, of what the operator knows too.
    pub(crate) fn with_metrics(
        self,
        address: Address,
        core: &Core,
        cancel: &CancellationToken,
    ) -> Operator {
        let scraper = Scraper {
            warden: self.warden.clone(),
            jails: self.jails.clone(),
            firewall: self.firewall.clone(),
            store: self.store.clone(),
            meters: core.meters.clone(),
        };
        let (events, cancel) = (core.events.clone(), cancel.child_token());
        let server = Server { address, scraper, events, cancel };
        Operator { metrics: Some(server.start()), ..self }
    }

    pub(super) fn metrics_view(&self) -> Option<MetricsView> {
        let served = self.metrics.as_ref()?.borrow().clone();
        Some(MetricsView {
            address: at(&served.address),
            problem: served.problem,
            warning: served.address.is_open().then(|| open_words(&served.address)),
        })
    }
}
