//! Bans that were.

use std::time::Duration;

use guard::model::{
    Ban, HistoryEntry, HistoryQuery, LiftedBy, Lifting, Network, PastBans, Record, Timestamp, Until,
};
use guard::store::{self, Store};
use rusqlite::Connection;

use super::{ban, committed, jail, net, open};

fn ago(seconds: u64) -> Timestamp {
    let at = Timestamp::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    Timestamp::from_second(at.as_second()).unwrap()
}

fn began(name: &str, network: &str, seconds_ago: u64) -> Ban {
    Ban { since: ago(seconds_ago), ..ban(name, network) }
}

fn lifted(name: &str, network: &str, by: LiftedBy) -> Record {
    Record::Lifted(Lifting { jail: jail(name), network: net(network), at: ago(0), by })
}

const ALL: HistoryQuery = HistoryQuery { network: None, jail: None, since: None, limit: 1000 };

fn past(store: &Store, query: &HistoryQuery) -> PastBans {
    committed(store).unwrap();
    store.history(query).unwrap()
}

fn networks(past: &PastBans) -> Vec<String> {
    past.entries.iter().map(|entry| entry.ban.network.to_string()).collect()
}

#[test]
fn a_ban_is_one_line_of_history_with_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let first = began("web", "192.0.2.1", 500);
    let second = Ban { until: Until::Forever, ..began("web", "192.0.2.1", 100) };
    let later = Ban { until: Until::Time(ago(0)), failures: 9, ..second.clone() };
    store.write(vec![
        Record::History(first.clone()),
        Record::Lines {
            jail: jail("web"),
            network: net("192.0.2.1"),
            since: first.since,
            lines: vec!["one".into(), "two\u{1b}".into()],
        },
        Record::History(second),
    ]);
    committed(&store).unwrap();
    store.write(vec![
        Record::History(later.clone()),
        Record::History(began("ssh", "192.0.2.1", 50)),
        lifted("web", "192.0.2.1", LiftedBy::Hand),
        lifted("ssh", "192.0.2.9", LiftedBy::Hand),
    ]);
    let past = past(&store, &ALL);
    assert_eq!(past.entries.len(), 3, "{past:?}");
    let plain = HistoryEntry {
        ban: first,
        prolonged: false,
        lines: vec!["one".to_owned(), "two\u{1b}".to_owned()],
        lifted: None,
        lifted_by: None,
    };
    assert_eq!(past.entries[0], plain);
    assert_eq!((&past.entries[1].ban, past.entries[1].prolonged), (&later, true));
    assert_eq!(past.entries[1].lifted_by, Some(LiftedBy::Hand));
    assert!(past.entries[1].lifted.is_some());
    assert_eq!(past.entries[2].lifted, None);
    assert_eq!((past.more, past.times), (0, vec![(net("192.0.2.1"), 3)]));
}

#[test]
fn a_lifting_that_is_told_twice_stays_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.write(vec![
        Record::History(began("web", "192.0.2.1", 9)),
        lifted("web", "192.0.2.1", LiftedBy::NeverBan),
        lifted("web", "192.0.2.1", LiftedBy::Hand),
    ]);
    assert_eq!(past(&store, &ALL).entries[0].lifted_by, Some(LiftedBy::NeverBan));
}

#[test]
fn what_is_asked_for_is_found_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let bans = [
        ("web", "192.0.2.1", 700),
        ("ssh", "192.0.2.0/24", 600),
        ("web", "192.0.0.0/16", 500),
        ("web", "192.0.2.2", 400),
        ("web", "198.51.100.1", 300),
        ("web", "2001:db8::1", 200),
        ("ssh", "2001:db8::/32", 100),
    ];
    store.write(bans.map(|(name, net, at)| Record::History(began(name, net, at))).into());
    let check = |query: HistoryQuery, expected: &[&str], more: u64| {
        let past = past(&store, &query);
        assert_eq!(
            (networks(&past), past.more),
            (expected.iter().map(ToString::to_string).collect(), more)
        );
    };
    let of = |network: &str| HistoryQuery { network: Some(net(network)), ..ALL };
    check(of("192.0.2.1"), &["192.0.2.1", "192.0.2.0/24", "192.0.0.0/16"], 0);
    check(HistoryQuery { limit: 1, ..of("192.0.2.1") }, &["192.0.0.0/16"], 2);
    check(of("192.0.2.0/24"), &["192.0.2.1", "192.0.2.0/24", "192.0.0.0/16", "192.0.2.2"], 0);
    check(HistoryQuery { limit: 1, ..of("192.0.2.0/24") }, &["192.0.2.2"], 3);
    check(of("2001:db8::1"), &["2001:db8::1", "2001:db8::/32"], 0);
    check(of("203.0.113.1"), &[], 0);
    check(HistoryQuery { jail: Some(jail("ssh")), ..ALL }, &["192.0.2.0/24", "2001:db8::/32"], 0);
    check(HistoryQuery { since: Some(ago(250)), ..ALL }, &["2001:db8::1", "2001:db8::/32"], 0);
    check(HistoryQuery { limit: 2, ..ALL }, &["2001:db8::1", "2001:db8::/32"], 5);
}

#[test]
fn counting_an_addresss_bans_needs_no_look_at_the_others() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).store.stop().unwrap();
    let connection = Connection::open(directory.path().join("guard.db")).unwrap();
    let plan: String = connection
        .query_row(
            "EXPLAIN QUERY PLAN SELECT count(*) FROM history WHERE network = '192.0.2.1'",
            [],
            |row| row.get("detail"),
        )
        .unwrap();
    assert!(plan.contains("history_by_network"), "{plan}");
}

#[test]
fn too_old_history_goes_in_pieces_and_the_rest_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let address =
        |n: u32| Network::from(guard::model::Address::new(std::net::Ipv4Addr::from(n).into()));
    let day = 24 * 3600;
    let old = (0..1200).map(|n| Ban { network: address(n), ..began("web", "192.0.2.1", 8 * day) });
    store.write(old.map(Record::History).collect());
    store.write(vec![Record::History(began("web", "192.0.2.1", 6 * day))]);
    store.stop().unwrap();

    let opened = store::open_keeping(directory.path(), Duration::from_secs(7 * day)).unwrap();
    let read = || networks(&opened.store.history(&ALL).unwrap());
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while read() != ["192.0.2.1"] {
        assert!(std::time::Instant::now() < deadline, "{} are left", read().len());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_database_of_the_first_version_keeps_its_history() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard.db");
    open(directory.path()).store.stop().unwrap();
    let connection = Connection::open(&path).unwrap();
    for column in ["prolonged", "lines", "lifted", "lifted_by"] {
        connection.execute_batch(&format!("ALTER TABLE history DROP COLUMN {column}")).unwrap();
    }
    connection.execute_batch("DROP TABLE offences; DROP TABLE names").unwrap();
    let since = ago(60).as_nanosecond();
    let row = format!("INSERT INTO history VALUES ({since}, 'web', '192.0.2.1', NULL, 'hand', 0)");
    connection.execute_batch(&row).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let store = open(directory.path()).store;
    store.write(vec![lifted("web", "192.0.2.1", LiftedBy::Hand)]);
    assert_eq!(past(&store, &ALL).entries[0].lifted_by, Some(LiftedBy::Hand));
}

#[test]
fn history_is_read_while_the_writer_is_at_work() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.write(vec![Record::History(began("web", "192.0.2.1", 9))]);
    committed(&store).unwrap();
    let other = Connection::open(directory.path().join("guard.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM history").unwrap();
    assert_eq!(networks(&store.history(&ALL).unwrap()), ["192.0.2.1"]);
}
