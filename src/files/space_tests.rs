//! Attacks by links, and the mounts of a container, in a directory of one's own.

use super::*;
use std::io::Read;
use std::os::unix::fs::symlink;

/// A host with a secret, a container with the volume `data` at `/data`, and in it
/// the volume `logs` at `/data/logs`.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["data", "data/sub", "logs", "etc"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for (file, text) in
            [("data/app.log", "app"), ("logs/web.log", "web"), ("etc/shadow", "secret")]
        {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        Host { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn link(&self, target: &str, name: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    fn space(&self) -> PathSpace {
        let mount = |destination: &str, name: &str| SpaceMount {
            destination: destination.into(),
            host: format!("/srv/{name}"),
            here: Some(self.path(name)),
            remedy: None,
        };
        let unseen = SpaceMount {
            destination: "/unseen".into(),
            host: "/srv/unseen".into(),
            here: None,
            remedy: Some("add `- /srv/unseen:/host/srv/unseen:ro`".into()),
        };
        PathSpace::new(vec![mount("/data", "data"), mount("/data/logs/", "logs"), unseen])
    }

    fn read(&self, path: &str) -> Result<String, String> {
        let mut opened = self.space().open(path).map_err(|error| error.to_string())?;
        let mut text = String::new();
        opened.file.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    fn check(&self, path: &str, expected: Result<&str, &str>) {
        match (self.read(path), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected, "{path}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{path}: {error}"),
            (found, expected) => panic!("{path}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn files_are_found_over_mounts() {
    let host = Host::new();
    host.check("/data/app.log", Ok("app"));
    host.check("//data/./sub/../app.log", Ok("app"));
    host.check("/data/logs/web.log", Ok("web"));
    host.check("/../../data/app.log", Ok("app"));
    host.check("/data/none.log", Err("there is no file"));
    host.check("/var/log/x.log", Err("on no volume or bind mount"));
    host.check("/var/log/x.log", Err("/var/log/x.log is on no volume"));
    host.check("/var/log/x.log", Err("`- logs:/var/log`"));
    host.check("/unseen/x.log", Err("add `- /srv/unseen"));
    host.check("/data/sub", Err("directory"));
    host.check("/data/app.log/x", Err("there is no file"));
}

#[test]
fn links_stay_in_the_containers_space() {
    let host = Host::new();
    host.link("app.log", "data/current.log");
    host.check("/data/current.log", Ok("app"));
    // Absolute: from the container's root, over its mounts.
    host.link("/data/logs/web.log", "data/web.log");
    host.check("/data/web.log", Ok("web"));
    host.link("../data/logs", "data/folder");
    host.check("/data/folder/web.log", Ok("web"));
    // The host's own path means nothing in the container.
    let secret = host.path("etc/shadow");
    host.link(secret.to_str().unwrap(), "data/evil.log");
    host.check("/data/evil.log", Err("on no volume"));
    host.link("../etc/shadow", "data/climb.log");
    host.check("/data/climb.log", Err("leads to ../etc/shadow"));
    host.link("../../../../../../etc/shadow", "data/higher.log");
    host.check("/data/higher.log", Err("on no volume"));
    host.link("/proc/self/root/etc/passwd", "data/magic.log");
    host.check("/data/magic.log", Err("on no volume"));
    host.link("..", "data/up");
    host.check("/data/up/up/etc/shadow", Err("on no volume"));
    host.link("/dev/stdout", "data/out.log");
    host.check("/data/out.log", Err("leave out guard.logpath"));
}

#[test]
fn circles_end() {
    let host = Host::new();
    host.link("b", "data/a");
    host.link("a", "data/b");
    host.check("/data/a", Err("circle"));
    host.link("x/x/x/x/x/x/x/x/x/x", "data/x");
    host.check("/data/x", Err("circle"));
}

#[test]
fn only_regular_files_are_read() {
    let host = Host::new();
    let fifo = host.path("data/fifo.log");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    // Must come back at once, though nobody writes into it.
    host.check("/data/fifo.log", Err("FIFO"));
    let _listener = std::os::unix::net::UnixListener::bind(host.path("data/s.log")).unwrap();
    host.check("/data/s.log", Err("socket"));
}

#[test]
fn a_link_in_guards_own_path_to_a_mount_is_refused() {
    let host = Host::new();
    host.link(host.path("etc").to_str().unwrap(), "trap");
    let space = PathSpace::new(vec![SpaceMount {
        destination: "/data".into(),
        host: "/srv/trap".into(),
        here: Some(host.path("trap")),
        remedy: None,
    }]);
    let error = space.open("/data/shadow").unwrap_err();
    assert!(error.to_string().contains("a link in guard's own path"), "{error}");
}

#[test]
fn a_single_mounted_file_is_found() {
    let host = Host::new();
    let space = PathSpace::new(vec![SpaceMount {
        destination: "/var/log/app.log".into(),
        host: "/srv/data/app.log".into(),
        here: Some(host.path("data/app.log")),
        remedy: None,
    }]);
    assert!(space.open("/var/log/app.log").is_ok());
    assert!(space.open("/var/log/other.log").is_err());
    assert_eq!(space.list("/var/log").unwrap(), ["app.log"]);
    assert_eq!(space.host_path("/var/log/app.log"), "/srv/data/app.log");
}

#[test]
fn paths_on_the_host_follow_the_longest_mount() {
    let space = Host::new().space();
    for (path, expected) in [
        ("/data/app.log", "/srv/data/app.log"),
        ("/data/logs/web.log", "/srv/logs/web.log"),
        ("/data/../data/x", "/srv/data/x"),
        ("/elsewhere/x", "/elsewhere/x"),
    ] {
        assert_eq!(space.host_path(path), expected);
    }
    assert_eq!(PathSpace::own().host_path("/var/log/x"), "/var/log/x");
}

#[test]
fn directories_are_listed_with_the_mounts_in_them() {
    let host = Host::new();
    assert_eq!(host.space().list("/data").unwrap(), ["app.log", "logs", "sub"]);
    assert_eq!(host.space().list("/").unwrap(), ["data", "unseen"]);
    assert!(host.space().list("/var").is_err());
}

#[test]
fn guards_own_space_is_the_whole_file_system() {
    let host = Host::new();
    let path = host.path("data/app.log");
    assert!(PathSpace::own().open(path.to_str().unwrap()).is_ok());
}
