//! A network with guard in it, and no engine.

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::receiver::{Answer, Receiver, Seen};
use crate::support::*;

/// A network of its own.
pub(crate) struct World {
    // Gone before the network is.
    folder: tempfile::TempDir,
    pub(crate) network: Namespace,
}

impl World {
    /// One for this test; none where there is no root.
    pub(crate) fn new(test: &str) -> Option<World> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        if !rustix::process::geteuid().is_root() {
            skip(test, "root", "needs root");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let network = Namespace::new(&format!("gt{}x{number}", std::process::id()));
        Some(World { folder: tempfile::tempdir().unwrap(), network })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// guard with these targets, one a line.
    pub(crate) fn guard(&self, targets: &str, more: &[(&str, &str)]) -> Guard {
        let environment: Vec<_> = [("GUARD_NOTIFY", targets)].iter().chain(more).copied().collect();
        Guard::start_without_engine(&self.network, self.folder(), &environment)
    }

    /// A port of this network, bound.
    pub(crate) fn listener(&self) -> TcpListener {
        self.network.enter(|| TcpListener::bind("127.0.0.1:0")).unwrap()
    }

    /// A port that nobody listens on.
    pub(crate) fn free_port(&self) -> u16 {
        self.listener().local_addr().unwrap().port()
    }

    /// An HTTP server that answers so.
    pub(crate) fn receiver(
        &self,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Receiver {
        Receiver::on(self.listener(), answer)
    }

    /// One that takes everything.
    pub(crate) fn willing(&self) -> Receiver {
        self.receiver(|_| Answer::new(200, "ok"))
    }
}

/// What `guardctl status` says of the target of this name.
pub(crate) fn target(guard: &Guard, name: &str) -> Value {
    let status = guard.json(&["status"]);
    let targets = status["notices"].as_array().unwrap().clone();
    targets.into_iter().find(|target| target["name"] == name).unwrap()
}

/// How many events of a kind the bodies of guard's own webhook tell of.
pub(crate) fn told(bodies: &[Value], event: &str) -> u64 {
    let mut sum = 0;
    for body in bodies {
        let of_kind = |list: &str| -> Vec<Value> {
            let all = body[list].as_array().unwrap().iter();
            all.filter(|one| one["event"] == event).cloned().collect()
        };
        sum += of_kind("notices").len() as u64;
        sum += of_kind("more").iter().map(|more| more["count"].as_u64().unwrap()).sum::<u64>();
    }
    sum
}
