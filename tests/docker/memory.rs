//! What guard remembers, whatever happens to it and to its disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

/// A file system of so many bytes, at most, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> SmallDisk {
        fs::create_dir_all(&at).expect("the host's folder can be written");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&at));
        SmallDisk(at)
    }

    /// Fills it to the last byte.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = fs::File::create(&ballast).expect("there is room for a name");
        while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: guard may hold it still.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn count(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

fn service(host: &Host) {
    Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(host);
}

#[test]
fn after_a_kill_the_bans_stand_before_any_log_can_be_read() {
    on_every_engine("after_a_kill_the_bans_stand_before_any_log_can_be_read", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        service(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        mallory.v4().is_served(8080);
        mallory.v4().fail(8080, 2);
        mallory.v4().is_refused(8080);
        let by_hand = mallory.address(Family::V4, 9).to_string();
        guard.ctl_ok(&["ban", &by_hand, "--for", "1d"]);
        // Nothing of it is left in the kernel, and no engine answers.
        guard.sigterm();
        mallory.v4().is_served(8080);
        guard.start_again();
        mallory.v4().is_refused(8080);
        guard.kill9();
        for chain in ["DOCKER-USER", "INPUT"] {
            host.run(&["iptables", "-F", chain]);
        }
        mallory.v4().is_served(8080);
        let nowhere = format!("unix://{}", host.folder().join("nowhere.sock").display());
        guard.set("DOCKER_HOST", &nowhere);
        guard.start_again();
        mallory.v4().is_refused(8080);
        mallory.at(mallory.address(Family::V4, 9)).is_refused(8080);
        let status = guard.says(None, &["nowhere.sock"]);
        assert!(status.contains("web"), "the jail is there without its engine:\n{status}");
        // What it was restored from is told, and no line was read for it.
        assert_eq!(count(&guard.whole_log(), "2 bans restored"), 2, "{}", guard.whole_log());
        let history = guard.ctl_ok(&["history"]);
        assert!(history.contains(&by_hand) && history.contains("by hand"), "{history}");
        assert!(history.contains("2 failures"), "{history}");
        let mallory = mallory.first(Family::V4).to_string();
        let history = guard.ctl_ok(&["history", &mallory]);
        let lines = history.lines().filter(|line| line.contains(&format!("[IP: {mallory}]")));
        assert_eq!(lines.count(), 2, "{history}");
    });
}

#[test]
fn a_full_disk_stops_no_ban() {
    on_every_engine("a_full_disk_stops_no_ban", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        service(&host);
        let disk = SmallDisk::mount(host.folder().join("small"), "512k");
        let data = disk.0.display().to_string();
        let mut guard = Guard::start(&host, &[("GUARD_DATA", &data)]);
        guard.has_jail("web");
        let at = |n: u16| mallory.at(mallory.address(Family::V4, n));
        at(10).fail(8080, 2);
        at(10).is_refused(8080);
        guard.ctl_ok(&["history", &at(10).address.to_string()]);

        let ballast = disk.fill();
        at(20).fail(8080, 2);
        at(20).is_refused(8080);
        guard.says(None, &["is full: free some space"]);
        let told = guard.ctl(&["ban", &at(30).address.to_string()]);
        assert!(told.err.contains("forgotten at a restart"), "{told:?}");
        at(30).is_refused(8080);
        let told = guard.ctl(&["history"]);
        assert!(told.err.contains("the newest bans may be missing"), "{told:?}");
        let lifted = guard.ctl(&["unban", &at(10).address.to_string()]);
        assert!(lifted.err.contains("forgotten at a restart"), "{lifted:?}");
        at(10).is_served(8080);

        fs::remove_file(ballast).expect("it is ours");
        eventually("it is well again", || {
            let ping = guard.ctl(&["ping"]);
            ensure(ping.code == Some(0) && ping.err.is_empty(), ping)
        });
        let log = guard.whole_log();
        assert_eq!(count(&log, "changes are only in memory"), 1, "{log}");
        assert_eq!(count(&log, "the store is well again"), 1, "{log}");
        guard.ctl_ok(&["ban", &at(40).address.to_string()]);
        guard.kill9();
        guard.start_again();
        for refused in [20, 30, 40] {
            at(refused).is_still_refused(8080);
        }
        at(10).is_still_served(8080);
        let history = guard.ctl_ok(&["history", &at(10).address.to_string()]);
        assert!(history.contains("unbanned by hand"), "{history}");
    });
}

#[test]
fn a_damaged_database_is_set_aside_and_guard_goes_on() {
    on_every_engine("a_damaged_database_is_set_aside_and_guard_goes_on", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        service(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        let at = |n: u16| mallory.at(mallory.address(Family::V4, n));
        at(10).fail(8080, 2);
        at(10).is_refused(8080);
        guard.sigterm();
        let path = host.folder().join("guard/data/guard.db");
        let mut bytes = fs::read(&path).expect("guard's own file");
        bytes[..100].fill(0);
        fs::write(&path, bytes).expect("guard's own file");

        guard.start_again();
        guard.says(None, &["guard.db.corrupt-"]);
        assert_eq!(count(&guard.whole_log(), "guard.db.corrupt-"), 1, "{}", guard.whole_log());
        guard.has_jail("web");
        at(20).fail(8080, 2);
        at(20).is_refused(8080);
        guard.kill9();
        guard.start_again();
        at(20).is_still_refused(8080);
    });
}

#[test]
fn a_database_that_comes_late_brings_its_bans_without_a_restart() {
    on_every_engine("a_database_that_comes_late_brings_its_bans_without_a_restart", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        service(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        let at = |n: u16| mallory.at(mallory.address(Family::V4, n));
        for n in [10, 20] {
            guard.ctl_ok(&["ban", "--jail", "web", &at(n).address.to_string()]);
        }
        guard.sigterm();
        let data = host.folder().join("guard/data");
        let elsewhere = host.folder().join("elsewhere");
        move_away(&data, &elsewhere);
        guard.start_again();
        guard.has_jail("web");
        guard.says(None, &["can't be opened for writing"]);
        at(10).is_served(8080);
        guard.ctl(&["unban", &at(20).address.to_string()]);

        fs::remove_file(&data).expect("it was put there");
        fs::rename(&elsewhere, &data).expect("one file system");
        at(10).is_refused(8080);
        guard.has_banned("web", &at(10).address);
        at(20).is_still_served(8080);
        guard.says(None, &["only after the start"]);
        guard.restart();
        at(10).is_refused(8080);
        at(20).is_still_served(8080);
    });
}

/// Puts a file in a folder's place, so that no new one can be made there.
fn move_away(folder: &Path, to: &Path) {
    fs::rename(folder, to).expect("one file system");
    fs::write(folder, "in the way").expect("the host's folder can be written");
}
