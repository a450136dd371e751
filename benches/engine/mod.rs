//! What the benches on a real engine share.

use std::path::Path;

use guard::docker::{Change, Discovery, Engine, discover};
use guard::model::Container;

use crate::support::Host;

/// The ticks of a second in `/proc/PID/stat`, on every Linux.
pub(crate) const TICKS: f64 = 100.0;

/// The host's engine as guard has it, and the container with its labels.
pub(crate) async fn found(host: &Host) -> (Engine, Container) {
    let (sender, mut changes) = tokio::sync::mpsc::channel(64);
    let discovery = Discovery { prefix: "guard.".into(), host: Some(host.docker_host()) };
    let cancel = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(discover(discovery, sender, cancel));
    let mut engine = None;
    loop {
        match changes.recv().await.expect("it goes on until it is cancelled") {
            Change::Connected(connected) => engine = Some(connected),
            Change::Appeared(container) => {
                task.abort();
                return (engine.expect("it is told first"), *container);
            }
            _ => {}
        }
    }
}

/// Processor time used so far, in user and in kernel mode.
pub(crate) fn ticks(pid: &str) -> f64 {
    let path = Path::new("/proc").join(pid).join("stat");
    let stat = std::fs::read_to_string(path).expect("it runs");
    // The name, in brackets, may hold blanks; utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(") ").expect("proc(5)").1;
    let of = |n: usize| fields.split(' ').nth(n - 3).and_then(|field| field.parse::<f64>().ok());
    of(14).expect("proc(5)") + of(15).expect("proc(5)")
}
