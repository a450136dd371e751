//! Writes of which inotify tells nothing.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use crate::world::{PACE, World, line, numbers, run};

/// The directory that a link leads to is not watched.
#[test]
fn a_file_behind_a_link_is_read() {
    run(async {
        let mut world = World::new("/logs/app.log");
        std::fs::create_dir(world.path("elsewhere")).unwrap();
        symlink("elsewhere/real.log", world.path("app.log")).unwrap();
        world.drain(0).await;
        for n in 1..4 {
            world.append("elsewhere/real.log", format!("{n}\n"));
            world.drain(n).await;
        }
    });
}

/// Nor are more than 256 directories.
#[test]
fn more_directories_than_are_watched_are_read() {
    run(async {
        let mut world = World::new("/logs/*/app.log");
        for n in 0..300 {
            std::fs::create_dir(world.path(&format!("{n}"))).unwrap();
            world.append(&format!("{n}/app.log"), "first\n");
        }
        world.drain(300).await;
        for n in 0..300 {
            world.append(&format!("{n}/app.log"), "second\n");
        }
        world.drain(600).await;
    });
}

/// Of an overlay's lower layer that is written below it, nothing is told. Needs root.
#[test]
fn a_lower_layer_that_is_written_by_others_is_read() {
    run(async {
        let host = tempfile::tempdir().unwrap();
        for folder in ["lower", "upper", "work"] {
            std::fs::create_dir(host.path().join(folder)).unwrap();
        }
        std::fs::write(host.path().join("lower/app.log"), "one\n").unwrap();
        let mut world = World::unread("/logs/app.log");
        let Some(_mounted) = Overlay::mount(host.path(), world.folder()) else {
            eprintln!("SKIPPED: an overlay can't be mounted here");
            return;
        };
        world.start();
        world.drain(1).await;
        for n in 2..5 {
            let below = host.path().join("lower/app.log");
            let mut below = OpenOptions::new().append(true).open(below).unwrap();
            below.write_all(b"more\n").unwrap();
            world.drain(n).await;
        }
        world.stop();
    });
}

/// A mount that goes when it is dropped.
struct Overlay(std::path::PathBuf);

impl Overlay {
    fn mount(host: &std::path::Path, at: &std::path::Path) -> Option<Overlay> {
        let part = |name: &str| host.join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            part("lower"),
            part("upper"),
            part("work")
        );
        let mounted = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(at)
            .output();
        mounted.is_ok_and(|done| done.status.success()).then(|| Overlay(at.to_owned()))
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A file system gives the number of a file that is gone to the next one.
#[test]
fn a_file_with_the_number_of_one_that_was_read_is_read() {
    run(async {
        let mut world = World::new("/logs/app.log");
        world.append("app.log", (1..=4).map(line).collect::<String>());
        world.drain(4).await;
        std::fs::remove_file(world.path("app.log")).unwrap();
        world.append("app.log", line(5));
        world.drain(5).await;
        // The first one is not open any more. Now two more come between two looks.
        tokio::time::sleep(2 * PACE.rotate_wait).await;
        world.append("app.log", line(6));
        world.drain(6).await;
        world.rename("app.log", "app.log.2");
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.append("app.log", line(7));
        world.rename("app.log", "app.log.1");
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.append("app.log", line(8));
        world.drain(8).await;
        assert_eq!(numbers(&world.read), (1..=8).collect::<Vec<_>>());
        assert_eq!(world.gaps(), 0);
    });
}
