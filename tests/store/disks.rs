//! Disks that fail, as root in a mount namespace of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use guard::model::Record;
use guard::store::Opened;

use super::{ban, bans, committed, jail, net, open, remembered, wait_for_health};

/// Set in a copy of this program that a test started for itself.
const INNER: &str = "GUARD_TEST_INNER";

/// Says that a test was skipped; panics where that may not be.
fn skip(name: &str, need: &str) {
    let required = std::env::var("GUARD_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word == need), "{name}: {need} is required");
    eprintln!("SKIPPED {name}: needs {need}");
}

/// Runs `test` in a copy of this program with a mount namespace of its own,
/// where it may mount what it likes; whatever happens, the mounts vanish with it.
fn in_own_mounts(name: &str, test: fn(&Path)) {
    if !rustix::process::geteuid().is_root() {
        return skip(name, "root");
    }
    if std::env::var_os(INNER).is_some() {
        return test(tempfile::tempdir().unwrap().path());
    }
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INNER, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} in its own mount namespace: {status}");
}

fn mount(options: &str, directory: &Path) {
    let mut mount = Command::new("mount");
    let output =
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(directory).output().unwrap();
    assert!(output.status.success(), "mount -o {options}: {output:?}");
}

#[test]
fn a_full_disk_is_survived() {
    in_own_mounts("disks::a_full_disk_is_survived", |directory| {
        mount("size=512k", directory);
        let store = open(directory).store;
        store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
        committed(&store).unwrap();

        let ballast = fill(directory);
        let address = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
        store.write((0..500).map(|n| Record::Ban(ban("web", &address(n)))).collect());
        let why = committed(&store).unwrap_err();
        assert!(why.contains("is full: free some space"), "{why}");
        let gone = (1..500).map(|n| Record::BanGone(jail("web"), net(&address(n))));
        store.write(gone.collect());
        assert!(!wait_for_health(&store, false).healthy());

        fs::remove_file(ballast).unwrap();
        committed(&store).unwrap();
        assert_eq!(wait_for_health(&store, true).notes, Vec::<String>::new());
        store.stop().unwrap();
        assert_eq!(bans(&remembered(directory)), [net("10.0.0.0"), net("192.0.2.1")]);
    });
}

#[test]
fn a_read_only_disk_is_survived_and_still_read() {
    in_own_mounts("disks::a_read_only_disk_is_survived_and_still_read", |directory| {
        mount("size=4m", directory);
        let store = open(directory).store;
        store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
        store.stop().unwrap();

        mount("remount,ro", directory);
        let Opened { store, memory, notes } = open(directory);
        assert_eq!(bans(&memory), [net("192.0.2.1")]);
        assert!(notes[0].contains("writable"), "{notes:?}");
        store.write(vec![Record::Ban(ban("web", "192.0.2.2"))]);
        committed(&store).unwrap_err();

        mount("remount,rw", directory);
        committed(&store).unwrap();
        wait_for_health(&store, true);
        store.stop().unwrap();
        assert_eq!(bans(&remembered(directory)), [net("192.0.2.1"), net("192.0.2.2")]);
    });
}

/// Fills the disk to the last byte.
fn fill(directory: &Path) -> std::path::PathBuf {
    let ballast = directory.join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[1; 1024]).is_ok() {}
    ballast
}

#[test]
fn on_a_full_disk_what_a_killed_guard_left_is_still_read() {
    in_own_mounts("disks::on_a_full_disk_what_a_killed_guard_left_is_still_read", |directory| {
        let alive = tempfile::tempdir().unwrap();
        let store = open(alive.path()).store;
        store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
        committed(&store).unwrap();
        mount("size=512k", directory);
        for name in ["guard.db", "guard.db-wal"] {
            fs::copy(alive.path().join(name), directory.join(name)).unwrap();
        }
        let ballast = fill(directory);
        let Opened { store, memory, notes } = open(directory);
        assert_eq!(bans(&memory), [net("192.0.2.1")]);
        assert!(notes.iter().any(|note| note.contains("read all the same")), "{notes:?}");
        store.write(vec![Record::Ban(ban("web", "192.0.2.2"))]);
        committed(&store).unwrap_err();

        fs::remove_file(ballast).unwrap();
        committed(&store).unwrap();
        store.stop().unwrap();
        assert_eq!(bans(&remembered(directory)), [net("192.0.2.1"), net("192.0.2.2")]);
    });
}

/// A file with an ext4 in it, mounted; `false`: this machine can't.
fn mount_ext4(image: &Path, at: &Path) -> bool {
    let run = |program: &str, arguments: &[&str], last: [&Path; 2]| {
        let mut command = Command::new(program);
        let output =
            command.args(arguments).args(last.iter().filter(|p| p.as_os_str() != "")).output();
        output.is_ok_and(|output| output.status.success())
    };
    let made = image.exists() || {
        fs::File::create(image).unwrap().set_len(16 << 20).unwrap();
        run("mkfs.ext4", &["-q"], [image, Path::new("")])
    };
    made && run("mount", &["-o", "loop,errors=remount-ro"], [image, at])
}

#[test]
fn a_disk_that_the_kernel_takes_away_while_guard_runs_is_survived() {
    let name = "disks::a_disk_that_the_kernel_takes_away_while_guard_runs_is_survived";
    in_own_mounts(name, |directory| {
        let (image, disk) = (directory.join("image"), directory.join("disk"));
        fs::create_dir(&disk).unwrap();
        if !mount_ext4(&image, &disk) {
            return skip("a disk that the kernel takes away", "loop devices and mkfs.ext4");
        }
        let data = disk.join("data");
        let store = open(&data).store;
        store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
        committed(&store).unwrap();
        // As after an error of the device: the file system is read-only from now on.
        let abort = Command::new("mount").args(["-o", "remount,abort"]).arg(&disk).status();
        assert!(abort.unwrap().success());
        store.write(vec![Record::Ban(ban("web", "192.0.2.2"))]);
        let why = committed(&store).unwrap_err();
        assert!(why.contains("guard.db can't be"), "{why}");
        let status = wait_for_health(&store, false);
        assert_eq!(status.notes, Vec::<String>::new(), "nothing is set aside");
        store.stop().unwrap_err();
        assert!(Command::new("umount").arg(&disk).status().unwrap().success());
        assert!(mount_ext4(&image, &disk));
        assert_eq!(bans(&remembered(&data)), [net("192.0.2.1")]);
        assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    });
}
