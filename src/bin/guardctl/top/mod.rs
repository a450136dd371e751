//! `guardctl top`: jails, rates and the newest bans on the whole screen.
//!
//! Threads ask guard and hand on what it says; one owns screen and keys, and never
//! waits for guard. Drawn by hand: it is two tables, and a library for more would weigh
//! more than guardctl.

mod keys;
mod screen;
mod terminal;
mod view;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use guard::control::client::{Client, ClientError, Watched};
use guard::control::protocol::{Reply, Request, Which};
use guard::model::{JailName, Network, Timestamp};
use jiff::tz::TimeZone;

use crate::{Failure, Outcome};
use keys::keys;
use terminal::Terminal;
use view::{View, Wish};

/// guard is asked so often.
const SECOND: Duration = Duration::from_secs(1);
/// All bans are asked for so often, so that what was missed is mended.
const BANS_AGAIN: Duration = Duration::from_secs(30);
/// Of more bans only those are shown that begin from now on: nobody reads the others, and
/// guard has better things to do than to write them all down again and again.
const MOST_BANS: u64 = 20_000;
/// So much that guard told is taken in before it is drawn again.
const AT_ONCE: usize = 1024;
/// A key waits so long at most.
const TICK: Duration = Duration::from_millis(100);

/// What the threads tell.
type Told = Result<Reply, String>;

/// Runs until somebody quits, or a signal says so.
pub(crate) fn run(socket: &Path) -> Result<Outcome, Failure> {
    // Who can't be asked is said before the screen is gone.
    drop(Client::connect(socket)?);
    let stop = stop_by_signal()?;
    let Some(mut terminal) = Terminal::enter()? else {
        let message = "top needs a terminal: with Docker `docker exec -it …`; for programs there are \
                       `guardctl status --json` and `guardctl watch --json`";
        return Err(Failure::Usage(message.to_owned()));
    };
    let (tell, told) = sync_channel(AT_ONCE);
    spawn(socket, &tell, ask_again_and_again)?;
    spawn(socket, &tell, watch)?;
    let mut screen = Screen { view: View::new(), zone: TimeZone::system(), told, tell };
    screen.run(&mut terminal, socket, &stop)?;
    Ok(Outcome::Done)
}

struct Screen {
    view: View,
    zone: TimeZone,
    told: Receiver<Told>,
    tell: SyncSender<Told>,
}

impl Screen {
    fn run(&mut self, terminal: &mut Terminal, socket: &Path, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            for told in self.told.try_iter().take(AT_ONCE) {
                match told {
                    Ok(reply) => self.view.hear(reply),
                    Err(why) => self.view.lost = Some(why),
                }
            }
            let size = Terminal::size();
            let lines = screen::lines(&self.view, size, Timestamp::now(), &self.zone);
            terminal.draw(size, lines)?;
            let Some(typed) = Terminal::typed(TICK)? else { break };
            let page = screen::page(&self.view, size);
            for key in keys(&typed) {
                match self.view.press(key, page) {
                    Wish::Nothing => {}
                    Wish::Quit => return Ok(()),
                    Wish::Redraw => terminal.forget(),
                    Wish::Unban(network, jail) => self.unban(socket, network, &jail)?,
                }
            }
        }
        Ok(())
    }

    fn unban(&mut self, socket: &Path, network: Network, jail: &JailName) -> io::Result<()> {
        self.view.message = Some(format!("unbanning {network} …"));
        let which = Which::Networks(vec![network]);
        let request = Request::Unban { which, jail: Some(jail.to_string()) };
        spawn(socket, &self.tell, move |socket, tell| {
            let said = Client::connect(socket).and_then(|mut client| client.ask(request));
            // Nobody may be there any more.
            let _ = tell.send(said.map_err(|error| error.to_string()));
        })
    }
}

fn spawn(
    socket: &Path,
    tell: &SyncSender<Told>,
    run: impl FnOnce(&Path, &SyncSender<Told>) + Send + 'static,
) -> io::Result<()> {
    let (socket, tell): (PathBuf, _) = (socket.to_owned(), tell.clone());
    thread::Builder::new().name("ask".to_owned()).spawn(move || run(&socket, &tell))?;
    Ok(())
}

/// Asks for the status, and now and then for all bans; when guard is gone, until it is back.
fn ask_again_and_again(socket: &Path, tell: &SyncSender<Told>) {
    loop {
        let lost = match Client::connect(socket) {
            Ok(client) => ask_until_lost(client, tell),
            Err(error) => error,
        };
        if tell.send(Err(lost.to_string())).is_err() {
            return;
        }
        thread::sleep(SECOND);
    }
}

/// Why it ended.
fn ask_until_lost(mut client: Client, tell: &SyncSender<Told>) -> ClientError {
    let mut all_at: Option<Instant> = None;
    loop {
        let status = match client.ask(Request::Status { jail: None }) {
            Ok(status) => status,
            Err(error) => return error,
        };
        let bans = bans(&status);
        // If nobody is there any more, the process is about to end.
        let _ = tell.send(Ok(status));
        if bans <= MOST_BANS && all_at.is_none_or(|at| at.elapsed() >= BANS_AGAIN) {
            all_at = Some(Instant::now());
            match client.ask(Request::Banned { network: None }) {
                Ok(all) => drop(tell.send(Ok(all))),
                Err(error) => return error,
            }
        }
        thread::sleep(SECOND);
    }
}

fn bans(status: &Reply) -> u64 {
    match status {
        Reply::Status(overview) => overview.jails.iter().map(|jail| jail.banned_now).sum(),
        _ => 0,
    }
}

/// Hands on what happens; the thread that asks tells when guard is gone.
fn watch(socket: &Path, tell: &SyncSender<Told>) {
    loop {
        if let Ok(Watched::Events(events)) = Client::connect(socket).and_then(Client::watch) {
            for event in events.map_while(Result::ok) {
                if tell.send(Ok(event)).is_err() {
                    return;
                }
            }
        }
        thread::sleep(SECOND);
    }
}

/// Set when the process is asked to end: the terminal must be given back first.
fn stop_by_signal() -> io::Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
    let signals = {
        let _inside = runtime.enter();
        kinds.map(signal)
    };
    let [term, hangup, interrupt] = signals;
    let (mut term, mut hangup, mut interrupt) = (term?, hangup?, interrupt?);
    let told = Arc::clone(&stop);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = term.recv() => {}
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        told.store(true, Ordering::Relaxed);
    })?;
    Ok(stop)
}
