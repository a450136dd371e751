//! The host, guard on it, and all that write.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::files::{FileWriter, Method};
use crate::ledger::{Account, Numbers, Store};
use crate::outputs::{OutputWriter, PROGRAM, SCARCE, SOURCE};
use crate::proxy::Proxy;
use crate::random::Random;
use crate::support::*;

/// What a failure is.
const FAILREGEX: &str = r"soak \d+ .*from <HOST>$";
/// Limits that nobody ever reaches.
const LIMITS: [(&str, &str); 2] = [("maxretry", "50"), ("findtime", "10d")];

/// A line of a file is written so often.
const PAUSE: Duration = Duration::from_millis(40);

pub(crate) struct World {
    // Dropped in this order.
    pub(crate) guard: Guard,
    pub(crate) proxy: Proxy,
    pub(crate) outputs: Vec<OutputWriter>,
    pub(crate) files: Vec<FileWriter>,
    pub(crate) host: Host,
    pub(crate) random: Random,
    /// How often each thing happened.
    pub(crate) done: BTreeMap<String, u32>,
    began: Instant,
}

impl World {
    /// Everything runs, and guard has found all of it.
    pub(crate) fn start(engine: &Engine, seed: u64) -> World {
        let host = Host::start(engine);
        host.import_program(PROGRAM, SOURCE);
        let states = host.folder().join("states");
        fs::create_dir(&states).expect("the host's folder can be written");
        let proxy = Proxy::start(host.folder().join("proxy.sock"), host.socket());
        let outputs = OutputWriter::run_all(
            &host,
            &states,
            &[LIMITS[0], LIMITS[1], ("failregex", FAILREGEX)],
        );
        let files = run_file_writers(&host);
        let variables = [
            ("DOCKER_HOST", &*proxy.docker_host()),
            ("GUARD_TRACK_MAX", "5000000"),
            // A line is an address, whatever its prefix.
            ("GUARD_PREFIX_V6", "128"),
            ("GUARD_LOG", "info"),
        ];
        let guard = Guard::start(&host, &variables);
        let world = World {
            guard,
            proxy,
            outputs,
            files,
            host,
            random: Random::new(seed),
            done: BTreeMap::new(),
            began: Instant::now(),
        };
        for jail in world.jails() {
            world.guard.has_jail(&jail);
            world.guard.until(&jail, "something found", |status| status.total_failed > 0);
        }
        world
    }

    /// The jails, those of outputs first.
    pub(crate) fn jails(&self) -> Vec<String> {
        let outputs = self.outputs.iter().map(OutputWriter::jail);
        outputs.chain(self.files.iter().map(|writer| writer.method.jail())).collect()
    }

    /// Says when something happened.
    pub(crate) fn tell(&self, what: &str) {
        let at = jiff::Timestamp::now();
        eprintln!("{:6.1} s  {at:.3}  {what}", self.began.elapsed().as_secs_f32());
    }

    /// What guard has committed.
    pub(crate) fn store(&self) -> Store {
        Store::read(&self.guard.database()).expect("guard's database can be read")
    }

    /// Nobody writes any more; waits until all of it is judged, and a while longer, in
    /// which something could be judged once more.
    pub(crate) fn settle(&mut self) -> Vec<Account> {
        fs::write(self.host.folder().join("states/stop"), "").expect("it is ours");
        for writer in &self.files {
            writer.end();
        }
        // A writer that was about to write has written by then.
        self.wait(1000);
        self.tell("nobody writes any more");
        let kept: Vec<Numbers> =
            self.outputs.iter().map(|writer| writer.kept(&self.host)).collect();
        self.while_it_moves("all is judged", || {
            self.accounts(&kept).iter().all(|account| account.lost().is_empty())
        });
        self.guard.kill9();
        self.guard.start_again();
        let jails = self.jails();
        self.while_it_moves("all is level", || jails.iter().all(|jail| self.is_level(jail)));
        std::thread::sleep(Duration::from_secs(3));
        self.accounts(&kept)
    }

    /// Does guard say of all the jail's sources that nothing is left to be read?
    fn is_level(&self, jail: &str) -> bool {
        let status = self.guard.ctl(&["status", jail, "--json"]).out;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        let sources = status["sources"].as_array().cloned().unwrap_or_default();
        let is_level = |source: &serde_json::Value| {
            ["behind_seconds", "behind"]
                .iter()
                .all(|key| source[key].as_u64().is_none_or(|behind| behind == 0))
        };
        !sources.is_empty() && sources.iter().all(is_level)
    }

    fn accounts(&self, kept: &[Numbers]) -> Vec<Account> {
        let store = self.store();
        let outputs = self.outputs.iter().zip(kept).map(|(writer, kept)| {
            let (written, unsure) = writer.written();
            let (mut kept, judged) = (kept.clone(), store.of(&writer.jail()));
            if writer.name == SCARCE {
                // A following engine skips what it has rotated away meanwhile, even where a
                // part of that is still there; and says so only in its own log.
                kept.retain(|line| judged.contains_key(line));
            }
            Account { name: writer.name.to_owned(), written, unsure, kept, judged }
        });
        let files = self.files.iter().map(|writer| {
            let written: Numbers = (0..writer.next()).collect();
            let jail = writer.method.jail();
            Account {
                name: jail.clone(),
                kept: written.clone(),
                written,
                unsure: Numbers::new(),
                judged: store.of(&jail),
            }
        });
        outputs.chain(files).collect()
    }

    /// How much memory guard has, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.guard.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

/// Runs a container to whose volumes threads write: one half of the files lies in a
/// volume, the other in a folder of the host.
fn run_file_writers(host: &Host) -> Vec<FileWriter> {
    host.docker(&["volume", "create", "logs"]);
    let volume = host.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", "logs"]);
    let folder = host.folder().join("files");
    fs::create_dir(&folder).expect("the host's folder can be written");
    let (mut service, mut writers) = (Service::new("files").guarded(&LIMITS), Vec::new());
    for (number, method) in Method::ALL.into_iter().enumerate() {
        let (on_host, in_container) = match number % 2 {
            0 => (Path::new(&volume), "/volume"),
            _ => (folder.as_path(), "/folder"),
        };
        writers.push(FileWriter::start(method, on_host, PAUSE));
        let label = |option: &str| format!("jails.{}.{option}", method.name());
        service = service.guarded(&[
            (&label("name"), &method.jail()),
            (&label("failregex"), FAILREGEX),
            (&label("logpath"), &method.pattern(in_container)),
        ]);
    }
    service
        .option("--restart", "always")
        .mount("logs:/volume")
        .mount(&format!("{}:/folder", folder.display()))
        .run(host);
    writers
}
