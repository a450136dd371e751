//! What happened to a log while guard was down.

use std::fs::File;

use crate::world::{World, line, numbers, run};

/// A log of which the first four lines were read, two of which are wanted again, and a
/// fifth was not.
async fn world() -> World {
    let mut world = World::new("/logs/app.log").wanting(2);
    world.append("app.log", (1..=4).map(line).collect::<String>());
    world.drain(4).await;
    world.stop();
    world.append("app.log", line(5));
    world
}

/// All lines are read, in their order, and nothing is missing by guard's own word.
async fn check(mut world: World, count: usize) {
    world.start();
    world.drain(count).await;
    assert_eq!(numbers(&world.read), (1..=count).collect::<Vec<_>>());
    assert_eq!(world.gaps(), 0);
    assert!(world.again >= 2, "{} lines came again", world.again);
}

#[test]
fn of_two_renames_the_file_in_the_middle_is_read() {
    run(async {
        let world = world().await;
        world.rename("app.log", "app.log.1");
        world.append("app.log", line(6));
        world.rename("app.log.1", "app.log.2");
        world.rename("app.log", "app.log.1");
        world.append("app.log", line(7));
        check(world, 7).await;
    });
}

#[test]
fn dated_names_are_read_in_their_order() {
    run(async {
        let world = world().await;
        for (n, name) in
            ["app.log-20240109", "app.log-20240110", "app-20240111.log"].iter().enumerate()
        {
            world.rename("app.log", name);
            world.append("app.log", line(6 + n));
        }
        check(world, 8).await;
    });
}

#[test]
fn what_was_packed_is_read() {
    run(async {
        let world = world().await;
        world.rename("app.log", "app.log.1");
        world.append("app.log", line(6));
        world.rename("app.log.1", "app.log.2");
        world.pack("app.log.2");
        world.rename("app.log", "app.log.1");
        world.pack("app.log.1");
        world.append("app.log", line(7));
        check(world, 7).await;
    });
}

#[test]
fn copies_are_read_and_so_is_the_copy_in_the_middle() {
    run(async {
        let world = world().await;
        world.copy_and_truncate("app.log", "app.log.1");
        world.append("app.log", line(6));
        world.rename("app.log.1", "app.log.2");
        world.copy_and_truncate("app.log", "app.log.1");
        world.append("app.log", line(7));
        check(world, 7).await;
    });
}

#[test]
fn guard_is_stopped_again_while_it_reads_what_was_packed() {
    run(async {
        let mut world = world().await;
        world.append("app.log", (6..=1500).map(line).collect::<String>());
        world.rename("app.log", "app.log.1");
        world.pack("app.log.1");
        world.append("app.log", line(1501));
        for _ in 0..4 {
            world.start();
            world.read_a_little().await;
            world.stop();
        }
        assert!(world.read.len() < 1500);
        check(world, 1501).await;
    });
}

#[test]
fn a_file_that_is_gone_is_a_gap_that_is_told() {
    run(async {
        let mut world = world().await;
        std::fs::remove_file(world.path("app.log")).unwrap();
        world.append("app.log", line(6));
        world.start();
        world.drain(5).await;
        assert_eq!(numbers(&world.read), [1, 2, 3, 4, 6]);
        let state = world.states().remove(0);
        assert_eq!(state.gaps, 1);
        assert!(state.last_gap.unwrap().contains("not there any more"));
        // It is told once.
        world.stop();
        world.start();
        world.drain(5).await;
        assert_eq!(world.gaps(), 0);
    });
}

#[test]
fn what_is_packed_otherwise_is_a_gap_that_is_told() {
    run(async {
        let mut world = world().await;
        world.rename("app.log", "app.log.2");
        std::fs::write(world.path("app.log.1.xz"), "no text").unwrap();
        world.append("app.log", line(6));
        world.start();
        world.drain(6).await;
        assert_eq!(world.gaps(), 1);
    });
}

#[test]
fn a_damaged_packed_file_is_a_gap_and_stops_nothing() {
    run(async {
        let mut world = world().await;
        world.append("app.log", (6..=3000).map(line).collect::<String>());
        world.rename("app.log", "app.log.1");
        world.pack("app.log.1");
        let packed = world.path("app.log.1.gz");
        let length = std::fs::metadata(&packed).unwrap().len();
        File::options().write(true).open(&packed).unwrap().set_len(length / 2).unwrap();
        world.append("app.log", line(3001));
        world.start();
        world.drain(5).await;
        assert!(world.read.len() < 3000);
        // The line that the damage cut is one, too.
        assert_eq!(numbers(&world.read[world.read.len() - 1..]), [3001]);
        assert_eq!(world.gaps(), 1);
    });
}

/// A new file that got the number of the one that was read.
#[test]
fn another_file_of_the_same_number_is_not_mistaken() {
    run(async {
        let mut world = world().await;
        let other: String = (6..=60).map(line).collect();
        // In place: the number stays for certain.
        std::fs::write(world.path("app.log"), other).unwrap();
        world.start();
        world.drain(4 + 55).await;
        assert_eq!(numbers(&world.read)[4..], (6..=60).collect::<Vec<_>>());
        assert_eq!(world.gaps(), 1);
    });
}

#[test]
fn a_last_line_without_an_end_comes_again_as_known() {
    run(async {
        let mut world = World::new("/logs/app.log").wanting(3);
        world.append("app.log", (1..=4).map(line).collect::<String>() + line(5).trim_end());
        world.drain(4).await;
        world.rename("app.log", "app.log.1");
        world.drain(5).await;
        world.stop();
        world.append("app.log", line(6));
        world.start();
        world.drain(6).await;
        assert_eq!((numbers(&world.read), world.again), ((1..=6).collect(), 3));
    });
}

/// Its new name gets the place that was judged, not the one that was come to again.
#[test]
fn a_file_is_renamed_while_its_known_lines_come() {
    run(async {
        let mut world = World::new("/logs/*.log").wanting(900);
        world.append("a.log", (1..=1000).map(line).collect::<String>());
        world.drain(1000).await;
        world.stop();
        world.start();
        world.read_a_little().await;
        assert!((1..900).contains(&world.again), "{}", world.again);
        world.rename("a.log", "b.log");
        world.drain(1000).await;
        assert_eq!(world.again, 900);
        world.wanted = 0;
        world.stop();
        world.append("b.log", line(1001));
        world.start();
        world.drain(1001).await;
        assert_eq!(numbers(&world.read), (1..=1001).collect::<Vec<_>>());
    });
}

#[test]
fn a_name_of_its_own_for_what_was_rotated_away_reads_no_line_twice() {
    run(async {
        let mut world = World::new("/logs/app.log /logs/app.log.1").wanting(2);
        world.append("app.log", (1..=4).map(line).collect::<String>());
        world.drain(4).await;
        world.stop();
        world.append("app.log", line(5));
        world.rename("app.log", "app.log.1");
        world.append("app.log", line(6));
        world.start();
        world.drain(6).await;
        world.read.sort_unstable();
        assert_eq!(numbers(&world.read), (1..=6).collect::<Vec<_>>());
        assert_eq!((world.gaps(), world.again), (0, 2));
    });
}

#[test]
fn a_name_of_its_own_keeps_the_place_of_what_was_rotated_away() {
    run(async {
        let mut world = World::new("/logs/app.log /logs/app.log.1").wanting(2);
        world.append("app.log", (1..=4).map(line).collect::<String>());
        world.drain(4).await;
        world.stop();
        world.rename("app.log", "app.log.1");
        world.append("app.log", line(5));
        for count in [5, 6] {
            world.start();
            world.drain(count).await;
            world.stop();
            world.append("app.log", line(count + 1));
        }
        assert_eq!(numbers(&world.read), (1..=6).collect::<Vec<_>>());
    });
}
