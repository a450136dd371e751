//! A snapshot in which everything has a value.

use std::time::Duration;

use guard::model::{Ban, BanOrigin, JailName, Network, News, Timestamp, Until};
use guard::report::metrics::{
    Counted, Database, Engine, Firewall, JailFigures, Ledger, Process, Snapshot, SourceFigures,
    SourceKind,
};

/// So many jails, each with sources of all kinds.
pub(crate) fn of(jails: usize) -> Snapshot {
    let mut ledger = Ledger::<Duration>::default();
    let mut snapshot = Snapshot {
        version: "1.2.3".into(),
        jail_states: [jails as u64, 0],
        firewall: Firewall { backend: "ipset, iptables-nft".into(), ..Firewall::default() },
        engine: Engine::default(),
        database: Database { size: Some(4096), ..Database::default() },
        process: Process {
            cpu_seconds: Some(1.5),
            started: Some(1_700_000_000.25),
            resident: Some(1),
            virtual_memory: Some(2),
            open_files: Some(3),
            max_files: Some(4),
        },
        ..Snapshot::default()
    };
    for number in 0..jails {
        let jail: JailName = format!("web-{number}.example_x").parse().unwrap();
        let network: Network = "192.0.2.1".parse().unwrap();
        let (since, until) = (Timestamp::UNIX_EPOCH, Until::Forever);
        let origin = BanOrigin::Failures;
        let ban = Ban { jail: jail.clone(), network, since, until, origin, failures: 5 };
        let news = [News::Banned { ban, dry_run: false }];
        ledger.note(&[], news.iter(), Some(Duration::ZERO));
        ledger.in_force(&[(jail.clone(), network)], |_| Duration::from_millis(3));
        snapshot.jails.insert(jail.to_string(), JailFigures::default());
        for kind in SourceKind::ALL {
            ledger.sources(&jail, kind).lines.add(10);
            snapshot.sources.insert((jail.to_string(), kind), SourceFigures::default());
        }
    }
    snapshot.counted = Counted::of(&ledger);
    snapshot
}
