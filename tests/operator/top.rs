//! `guardctl top` in a pseudo terminal: it draws, follows keys and the terminal's size,
//! unbans, and gives the terminal back however it ends.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use guard::control::protocol::{Request, Which};
use guard::model::News;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::replies::{ban, net};
use crate::world::World;

/// How long the program may take before a test gives up on it.
const DEADLINE: Duration = Duration::from_secs(30);

struct Terminal {
    ours: OwnedFd,
    theirs: OwnedFd,
    child: Child,
    /// All that was written to it, so far.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs `guardctl top` in a terminal of this size.
    fn run(world: &World, rows: u16, columns: u16) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let end = || Stdio::from(theirs.try_clone().unwrap());
        resize(&ours, rows, columns);
        let mut command = world.guardctl();
        command.arg("top").env("TERM", "xterm");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (all, mut from) =
            (Arc::clone(&written), std::fs::File::from(ours.try_clone().unwrap()));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                all.lock().unwrap().extend(&bytes[..count]);
            }
        });
        Terminal { ours, theirs, child, written }
    }

    fn types(&self, keys: &str) {
        rustix::io::write(&self.ours, keys.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// The frame that was drawn last and is whole.
    fn frame(&self) -> String {
        let text = self.text();
        let whole = text.rfind("\x1b[J").map_or("", |end| &text[..end]);
        whole.rfind("\x1b[H").map_or(String::new(), |begin| whole[begin..].to_owned())
    }

    fn shows(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        until(what, || is_so(&self.frame()), || self.frame());
    }

    /// Ends by itself, and the terminal is as it was: lines, echo, cursor, screen.
    fn is_given_back(&mut self) {
        let mut code = None;
        let child = Mutex::new(&mut self.child);
        let ended = || {
            let status = child.lock().unwrap().try_wait().unwrap();
            status.is_some()
        };
        until("it ends", ended, String::new);
        code = code.or(self.child.wait().unwrap().code());
        assert_eq!(code, Some(0));
        let modes = tcgetattr(&self.theirs).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        until(
            "the screen is as it was",
            || self.text().ends_with("\x1b[?25h\x1b[?1049l"),
            || self.text(),
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &OwnedFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool, shown: impl Fn() -> String) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < DEADLINE, "never: {what}; the last was {:?}", shown());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lines(frame: &str) -> usize {
    frame.split("\r\n").count()
}

#[test]
fn it_draws_and_ends_by_a_key() {
    let world = World::new();
    let mut terminal = Terminal::run(&world, 24, 100);
    terminal.shows("the jails", |frame| frame.contains("shop-web") && lines(frame) == 24);
    terminal.shows("the bans", |frame| frame.contains("203.0.113.9"));
    until("it watches", || world.watchers() > 0, || terminal.frame());
    let ban = ban("198.51.100.200", "12:00:00", "13:00:00");
    world.happens("2026-03-01T12:00:00Z", News::Banned { ban, dry_run: false });
    terminal.shows("a new ban", |frame| frame.contains("198.51.100.200"));

    resize(&terminal.ours, 12, 60);
    terminal.shows("less", |frame| lines(frame) == 12);
    resize(&terminal.ours, 50, 200);
    terminal.shows("more", |frame| lines(frame) == 50);

    terminal.types("q");
    terminal.is_given_back();
}

#[test]
fn it_unbans_whom_one_says_yes_to() {
    let world = World::new();
    let mut terminal = Terminal::run(&world, 24, 100);
    terminal.shows("the bans", |frame| frame.contains("203.0.113.9"));
    let was_asked = || {
        let asked = world.asked();
        asked.into_iter().filter(|asked| matches!(asked, Request::Unban { .. })).collect::<Vec<_>>()
    };
    terminal.types("\tu");
    terminal.shows("the question", |frame| frame.contains("Unban 203.0.113.9 from shop-web?"));
    terminal.types("n");
    terminal.shows("no", |frame| frame.contains("nothing was done"));
    assert_eq!(was_asked(), []);
    terminal.types("uy");
    terminal.shows("the answer", |frame| frame.contains("203.0.113.9 unbanned from shop-web"));
    let which = Which::Networks(vec![net("203.0.113.9")]);
    assert_eq!(was_asked(), [Request::Unban { which, jail: Some("shop-web".into()) }]);
    terminal.types("\x03");
    terminal.is_given_back();
}

#[test]
fn it_gives_the_terminal_back_on_a_signal_and_outlives_guard() {
    let world = World::new();
    let mut terminal = Terminal::run(&world, 24, 100);
    terminal.shows("the jails", |frame| frame.contains("shop-web"));
    world.stop();
    terminal.shows("that guard is gone", |frame| {
        frame.contains("guard stopped answering") || frame.contains("no guard answers")
    });
    let id = rustix::process::Pid::from_child(&terminal.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    terminal.is_given_back();
}

#[test]
fn without_a_terminal_it_says_so() {
    let world = World::new();
    let output = world.guardctl().arg("top").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("top needs a terminal"), "{said}");
    assert!(output.stdout.is_empty());
    let nobody = world.guardctl().args(["--socket", "/nonexistent", "top"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(3));
}
