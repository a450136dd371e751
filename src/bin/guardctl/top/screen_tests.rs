use guard::control::protocol::{EngineView, FirewallView, Reply, StoreView};
use guard::model::{Ban, BanOrigin, Event, News};

use super::super::keys::Key;
use super::super::view::Wish;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn status(found: u64) -> Reply {
    let jail = |name: &str| JailSummary {
        name: name.parse().unwrap(),
        service: "shop/web".into(),
        state: JailState::Watching,
        found,
        failed_now: 2,
        banned_now: 1,
        banned_total: 7,
        warnings: vec!["w".into()],
        dry_run: false,
        sources: Vec::new(),
        packets: None,
    };
    Reply::Status(Overview {
        guard: "9.9.9".into(),
        uptime: 3700,
        engine: EngineView { connected: true, words: "Docker 28\u{1b}[31m".into() },
        firewall: FirewallView {
            backend: "ipset".into(),
            healthy: true,
            problems: Vec::new(),
            repairs: 0,
            heard: 0,
        },
        store: StoreView { path: "/x".into(), healthy: true, problem: None, dropped_history: 0 },
        notices: Vec::new(),
        metrics: None,
        jails: vec![jail("ssh"), jail("web")],
        refused: Vec::new(),
        notes: Vec::new(),
    })
}

fn ban(network: &str, since: i64) -> Ban {
    Ban {
        jail: "web".parse().unwrap(),
        network: network.parse().unwrap(),
        since: at(since),
        until: Until::Time(at(since + 600)),
        origin: BanOrigin::Failures,
        failures: 3,
    }
}

fn banned(network: &str, since: i64) -> Reply {
    let news = News::Banned { ban: ban(network, since), dry_run: false };
    Reply::Event(Event { at: at(since), news })
}

fn view() -> View {
    let mut view = View::new();
    for found in [10, 10, 14, 22] {
        view.hear(status(found));
    }
    view.hear(Reply::Banned {
        network: None,
        bans: vec![BanView::new(&ban("192.0.2.1", 0), InForce::Yes)],
    });
    view.hear(banned("192.0.2.2", 60));
    view
}

fn drawn(view: &View, rows: usize, columns: usize) -> Vec<String> {
    let lines = lines(view, Size { rows, columns }, at(100), &TimeZone::UTC);
    lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
}

#[test]
fn the_screen_is_full_and_no_line_is_too_wide() {
    let view = view();
    for (rows, columns) in [(24, 120), (24, 80), (10, 40), (3, 10), (1, 1), (200, 500)] {
        let lines = drawn(&view, rows, columns);
        assert_eq!(lines.len(), rows);
        for line in &lines {
            assert!(line.chars().count() <= columns, "{rows}x{columns}: {line:?}");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
    let lines = drawn(&view, 24, 120);
    assert!(lines[0].starts_with("guard 9.9.9, up 1:01 h | Docker 28\\x1b[31m | ipset; in force"));
    assert!(
        lines[2].starts_with("ssh      !watching            2        22       1         7    ▄█")
    );
    assert!(lines[6].contains("192.0.2.2") && lines[6].contains("0:09:20 left"), "{lines:#?}");
    assert!(lines[7].contains("192.0.2.1"), "the newest first");
}

#[test]
fn an_unban_is_asked_for_and_answered() {
    let mut view = view();
    assert_eq!(view.press(Key::Char('u'), 5), Wish::Nothing, "jails can't be unbanned");
    assert!(view.asking.is_none());
    view.press(Key::Tab, 5);
    view.press(Key::Down, 5);
    // What happens meanwhile does not move the choice to somebody else.
    view.hear(banned("192.0.2.3", 70));
    assert_eq!(view.press(Key::Char('u'), 5), Wish::Nothing);
    assert!(drawn(&view, 24, 80)[23].starts_with("Unban 192.0.2.1 from web?"));
    assert_eq!(view.press(Key::Char('x'), 5), Wish::Nothing);
    assert!(view.asking.is_none());
    view.press(Key::Char('u'), 5);
    view.hear(banned("192.0.2.4", 80));
    let wish = view.press(Key::Char('y'), 5);
    assert_eq!(wish, Wish::Unban("192.0.2.1".parse().unwrap(), "web".parse().unwrap()));
    view.hear(Reply::Unban {
        lifted: vec![BanView::new(&ban("192.0.2.1", 0), InForce::Yes)],
        absent: Vec::new(),
        covered: Vec::new(),
        only_in_memory: None,
        not_in_kernel: None,
    });
    let left: Vec<_> = view.bans.iter().map(|ban| ban.network.to_string()).collect();
    assert_eq!(left, ["192.0.2.4", "192.0.2.3", "192.0.2.2"]);
    assert!(drawn(&view, 24, 80)[23].starts_with("192.0.2.1 unbanned from web"));
    assert_eq!(view.press(Key::Char('q'), 5), Wish::Quit);
}

#[test]
fn the_choice_stays_on_the_screen_and_memory_is_bounded() {
    let mut view = view();
    for n in 0..2000 {
        view.hear(banned(&format!("10.0.{}.{}", n / 250, n % 250), n));
        view.hear(status(n as u64));
    }
    assert_eq!(view.bans.len(), super::super::view::BANS);
    assert!(view.rates.values().all(|rates| rates.len() == super::super::view::SECONDS));
    view.press(Key::Tab, 5);
    view.press(Key::End, 5);
    let size = Size { rows: 24, columns: 100 };
    let lines = lines(&view, size, at(100), &TimeZone::UTC);
    let chosen: Vec<_> = lines[5..23].iter().filter(|line| line.starts_with(REVERSE)).collect();
    assert_eq!(chosen.len(), 1, "{lines:#?}");
    view.press(Key::Home, 5);
    assert_eq!(view.ban_at, 0);
    view.hear(Reply::Banned { network: None, bans: Vec::new() });
    assert_eq!(view.press(Key::Char('u'), 5), Wish::Nothing);
    assert!(view.asking.is_none());
}
