//! How far back a jail reads that was never there before.

use std::fs::File;
use std::time::{Duration, SystemTime};

use guard::model::Timestamp;

use crate::world::{World, run};

const HOUR: Duration = Duration::from_secs(3600);

/// A line that was written so many seconds ago.
fn aged(seconds: u64, text: &str) -> String {
    let at = Timestamp::now() - Duration::from_secs(seconds);
    format!("{at:.0} {text}\n")
}

/// A guard that never saw the file, and looks an hour back.
fn world() -> World {
    let mut world = World::unread("/logs/app.log");
    world.find_time = Some(HOUR);
    world
}

/// Makes the file look as if it was not made just now. (Its birth can't be set: a
/// guard that comes later is the same.)
fn touch(world: &World, name: &str, seconds: u64) {
    let file = File::options().append(true).open(world.path(name)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

fn texts(world: &World) -> Vec<&str> {
    world.read.iter().filter_map(|line| line.split(' ').nth(1)).collect()
}

#[test]
fn only_what_counts_and_a_little_more_is_read_of_a_large_file() {
    run(async {
        let mut world = world();
        // A line a second for 100 hours: 360,000 lines.
        let padding = "x".repeat(80);
        let text: String =
            (0..360_000).map(|n| aged(360_000 - n, &format!("{n} {padding}"))).collect();
        world.append("app.log", text);
        world.start();
        world.drain(3600).await;
        assert_eq!(texts(&world).last(), Some(&"359999"));
        // All of the last hour, and not much more.
        assert!(world.read.len() < 3600 + 3000, "{}", world.read.len());
        let numbers: Vec<u64> = texts(&world).iter().map(|text| text.parse().unwrap()).collect();
        assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]));
        // guard is restarted, and nothing comes twice.
        let count = world.read.len();
        world.stop();
        world.append("app.log", aged(0, "new"));
        world.start();
        world.drain(count + 1).await;
        assert_eq!(texts(&world)[count..], ["new"]);
    });
}

/// Stack traces, a date that a client wrote, and lines that came late.
#[test]
fn lines_without_dates_and_with_wrong_ones_lose_nothing() {
    run(async {
        let mut world = world();
        let mut text = String::new();
        for n in 0..60_000_u64 {
            let old = 2 * HOUR.as_secs() - n * 2 * HOUR.as_secs() / 60_000;
            match n % 10 {
                0 => text += &aged(old + 20, "late"),
                1 => text += "2001-01-01T00:00:00Z a client's date\n",
                2..8 => text += "    at some.function(of a stack trace that is long enough)\n",
                _ => text += &aged(old, &format!("{n}")),
            }
        }
        world.append("app.log", text);
        world.start();
        world.drain(30_000).await;
        assert!(world.read.len() < 60_000);
        let counted = |n: &u64| n % 10 >= 8;
        let read: Vec<u64> = texts(&world).iter().filter_map(|text| text.parse().ok()).collect();
        for n in (30_100..60_000).filter(counted) {
            assert!(read.contains(&n), "{n}");
        }
    });
}

#[test]
fn a_file_that_is_all_too_old_is_read_at_its_end_only() {
    run(async {
        let mut world = world();
        world.append("app.log", aged(9000, "old").repeat(100_000));
        world.start();
        world.drain(0).await;
        assert!(world.read.len() < 5000, "{}", world.read.len());
        let before = world.read.len();
        world.append("app.log", aged(0, "new"));
        world.drain(before + 1).await;
        assert_eq!(texts(&world).last(), Some(&"new"));
    });
}

#[test]
fn what_was_rotated_lately_is_read_too() {
    run(async {
        let mut world = world();
        world.append("app.log.2", aged(90_000, "too_old"));
        touch(&world, "app.log.2", 90_000);
        world.append("app.log.1", aged(80_000, "old").repeat(40_000) + &aged(1800, "rotated"));
        touch(&world, "app.log.1", 1800);
        world.append("app.log", aged(60, "current"));
        world.start();
        world.drain(2).await;
        let texts = texts(&world);
        assert_eq!(texts[texts.len() - 2..], ["rotated", "current"]);
        assert!(!texts.contains(&"too_old") && texts.len() < 6000, "{}", texts.len());
    });
}

/// As nothing says how old they are, they would all count as of now.
#[test]
fn an_old_file_without_dates_is_read_from_its_end() {
    run(async {
        let mut world = world();
        world.append("app.log", "old line\n".repeat(1000) + "half a");
        // It was made just now, so guard's clock must be told otherwise.
        world.start_later(Duration::from_secs(600));
        world.drain(0).await;
        assert!(world.read.is_empty(), "{:?}", world.read);
        // Nothing was read yet, but the place is known.
        world.stop();
        world.append("app.log", " line\nnew line\n");
        world.start();
        world.drain(2).await;
        assert_eq!(world.read, ["half a line", "new line"]);
    });
}

#[test]
fn a_file_without_dates_that_was_made_just_now_is_read_whole() {
    run(async {
        let mut world = world();
        world.append("app.log", "a\nb\n");
        world.start();
        world.drain(2).await;
        assert_eq!(world.read, ["a", "b"]);
    });
}

#[test]
fn a_file_that_comes_later_is_read_whole() {
    run(async {
        let mut world = world();
        world.start_later(Duration::from_secs(600));
        world.drain(0).await;
        world.append("app.log", "a\nb\n");
        world.drain(2).await;
        world.rename("app.log", "app.log.1");
        world.append("app.log", "c\n");
        world.drain(3).await;
        assert_eq!(world.read, ["a", "b", "c"]);
    });
}

#[test]
fn files_of_two_byte_text_are_searched_as_well() {
    run(async {
        let mut world = world().encoded("utf-16-le");
        let text: String = (0..100_000).map(|n| aged(100_000 - n, &format!("{n}"))).collect();
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        world.append("app.log", bytes);
        world.start();
        world.drain(3600).await;
        assert!(world.read.len() < 3600 + 3000, "{}", world.read.len());
        assert_eq!(texts(&world).last(), Some(&"99999"));
    });
}

#[test]
fn how_far_behind_it_is_is_told_in_bytes_and_seconds() {
    run(async {
        let mut world = world();
        world.append("app.log", aged(1800, "old").repeat(3000));
        world.start();
        while world.read.is_empty() {
            world.read_a_little().await;
        }
        let state = world.states().remove(0);
        assert!(state.behind > 10_000, "{state:?}");
        assert!((1800..1900).contains(&state.behind_seconds), "{state:?}");
        world.drain(3000).await;
        let state = world.states().remove(0);
        assert_eq!((state.behind, state.behind_seconds), (0, 0));
    });
}
