//! `guardctl top` as people run it: by `docker exec -it`, in a container.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::*;

#[test]
fn top_works_by_docker_exec() {
    on_every_engine("top_works_by_docker_exec", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let limits = [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];
        let programs = std::path::Path::new(env!("CARGO_BIN_EXE_guardctl")).parent();
        let programs = programs.expect("a folder").display();
        let guard_folder = host.folder().join("guard");
        std::fs::create_dir_all(&guard_folder).expect("the host's folder can be written");
        // A container with guardctl, and the libraries that a debug build wants.
        Service::new("web")
            .dual()
            .publish("8080:80")
            .guarded(&limits)
            .mount("/usr/lib:/lib:ro")
            .mount("/usr/lib64:/lib64:ro")
            .mount(&format!("{programs}:/programs:ro"))
            .mount(&format!("{}:/guard", guard_folder.display()))
            .arguments(FLASK)
            .run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");

        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a pty");
        let name = ptsname(&ours, Vec::new()).expect("a pty has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("a pty");
        let size = Winsize { ws_row: 20, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).expect("a pty has a size");
        let end = || Stdio::from(theirs.try_clone().expect("a file"));
        let words =
            ["exec", "-it", "web", "/programs/guardctl", "--socket", "/guard/guard.sock", "top"];
        let mut client = host.docker_command();
        let client = client.args(words).stdin(end()).stdout(end()).stderr(end()).spawn();
        let mut client = client.expect("docker starts");
        let (shown, mut from) = (Arc::<Mutex<String>>::default(), File::from(ours));
        let mut keys = from.try_clone().expect("a file");
        let all = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                all.lock().expect("no panic").push_str(&text);
            }
        });
        let shows = |what: &str, text: &str| {
            eventually(what, || {
                let shown = shown.lock().expect("no panic").clone();
                ensure(shown.contains(text), shown)
            });
        };
        shows("the jails", "web");
        mallory.v4().fail(8080, 2);
        mallory.v4().is_refused(8080);
        let address = mallory.v4().address.to_string();
        shows("the ban", &address);
        keys.write_all(b"\tu").expect("a pty");
        shows("the question", &format!("Unban {address} from web?"));
        keys.write_all(b"y").expect("a pty");
        mallory.v4().is_served(8080);
        shows("the answer", &format!("{address} unbanned from web"));
        keys.write_all(b"q").expect("a pty");
        eventually("it ends", || {
            let ended = client.try_wait().expect("it is our child");
            ensure(ended.is_some_and(|status| status.success()), ended)
        });
        shows("the cursor again", "\x1b[?25h\x1b[?1049l");
    });
}
