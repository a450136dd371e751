//! fail2ban's configuration and bans, against fail2ban itself: what guard makes of Debian's
//! jails is what fail2ban's own reader makes of them, and its database is read while it is open.
//!
//! The package is read where `scripts/fail2ban.sh` unpacked it; nothing of it is part of guard.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use guard::compose::labels_of;
use guard::docker::tar::{self, Packed};
use guard::filter::{FilterFiles, FilterSpec, Library, Settings};
use guard::filters::Catalog;
use guard::import::{Ground, Import, Level, Taken, import};
use guard::labels::{self, Defaults, Jail, duration};
use guard::model::{BanTime, Container, ContainerId, ServiceId, Timestamp, Until};
use serde_json::Value as Json;

/// Debian's fail2ban 1.0.2 has so many jails, of which so many come over whole, and what is
/// lost of the others.
const JAILS: usize = 91;
const LOST: [(&str, &str); 2] =
    [("apache-fakegooglebot", "ignorecommand"), ("pass2allow-ftp", "opens ports")];

/// The unpacked package, if there is one and a Python that runs it.
fn package(test: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let folder = program.ancestors().nth(3).unwrap().join("fail2ban/bookworm");
    let reads = python(&folder).args(["-c", "import fail2ban.client.jailsreader"]).output();
    let reason = match reads {
        _ if !folder.join("etc/fail2ban/jail.conf").is_file() => "no scripts/fail2ban.sh was run",
        Ok(output) if output.status.success() => return Some(folder),
        _ => "no python3 that runs fail2ban 1.0 (3.11 or older)",
    };
    let required = std::env::var("GUARD_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|what| what == "fail2ban"), "{test}: {reason}");
    eprintln!("SKIPPED {test}: {reason}");
    None
}

fn python(package: &Path) -> Command {
    let mut python = Command::new("python3");
    python.arg("-Wignore").env("PYTHONPATH", package.join("usr/lib/python3/dist-packages"));
    python
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name)
}

/// What fail2ban reads: of each jail its options, lists of several lines.
fn fail2bans(
    package: &Path,
    root: &Path,
    which: &str,
) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let output = python(package).arg(script("read.py")).arg(root).arg(which).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let commands: Vec<Vec<Json>> = serde_json::from_slice(&output.stdout).unwrap();
    let mut all: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    let text = |value: &Json| value.as_str().map_or(value.to_string(), str::to_owned);
    for command in &commands {
        let words: Vec<String> = command.iter().map(text).collect();
        let (first, jail) = (words[0].as_str(), words[1].clone());
        let options = all.entry(jail).or_default();
        match first {
            "set" => options.entry(words[2].clone()).or_default().push(words[3..].join(" ")),
            "multi-set" if command[3].is_array() => {
                let lines = command[3].as_array().unwrap().iter().map(text);
                options.entry(words[2].clone()).or_default().extend(lines);
            }
            _ => {}
        }
    }
    all.retain(|_, options| !options.is_empty());
    all
}

/// A word on top of what the files say.
struct OnTop(String);

impl FilterFiles for OnTop {
    fn folders(&self) -> Vec<String> {
        vec!["on-top".to_owned()]
    }
    fn read(&self, _: &str, name: &str) -> Result<Option<String>, String> {
        Ok((name == "jail.local").then(|| self.0.clone()))
    }
    fn list(&self, _: &str, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

fn settings(root: &Path, on_top: &str) -> Settings {
    let files = Catalog::without_own(vec![root.to_owned()]);
    let mut settings = Settings::read("jail", &files).unwrap();
    settings.extend(Settings::read("jail", &OnTop(on_top.to_owned())).unwrap());
    settings.give("fail2ban_version", "1.0.2");
    settings.give("fail2ban_confpath", &root.display().to_string());
    settings
}

fn imported(root: &Path, on_top: &str) -> Import {
    let folder = |name: &str| root.join(name).display().to_string();
    import(
        settings(root, on_top),
        &Ground {
            files: Arc::new(Catalog::without_own(Vec::new())),
            filter_folders: vec![folder("filter.d")],
            action_folders: vec![folder("action.d")],
            on_host: None,
            own: Arc::new(Catalog::new("")),
            prefer_own: false,
            containers: Some(Vec::new()),
        },
    )
}

/// What is printed, read back as Compose and guard read it: the jail and its filter.
fn read_back(root: &Path, import: &Import, taken: &Taken) -> (Jail, FilterSpec) {
    let file = import.files.iter().find(|file| file.project == taken.project).unwrap();
    let all = labels_of(&file.text).unwrap_or_else(|why| panic!("{why}\n{}", file.text));
    let container = Container {
        id: ContainerId("x".into()),
        name: "guard".into(),
        service: ServiceId::Container("guard".into()),
        labels: all[&taken.service].clone(),
        created: Timestamp::UNIX_EPOCH,
        started: None,
        running: true,
        pid: None,
        tty: false,
        log_driver: String::new(),
        network_mode: "host".to_owned(),
        addresses: Vec::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        timezone: None,
        one_off: false,
        own: true,
    };
    // As with the volume that is printed.
    let mut library = Library::of(Catalog::new(&root.join("filter.d").display().to_string()));
    let reading = labels::read(&container, &Defaults::default(), &mut library);
    let jail = reading.jails.iter().find(|jail| jail.name.as_str() == taken.jail);
    let jail = jail.unwrap_or_else(|| panic!("{:?}\n{}", reading.complaints, file.text)).clone();
    let spec = library.spec_of(&jail.filter).unwrap().clone();
    (jail, spec)
}

/// Where guard's jail is not fail2ban's.
fn differences(
    theirs: &BTreeMap<String, Vec<String>>,
    (jail, spec): &(Jail, FilterSpec),
) -> Vec<String> {
    let lines = |option: &str| -> Vec<String> { theirs.get(option).cloned().unwrap_or_default() };
    let one = |option: &str| lines(option).join("\n");
    let time = |option: &str| match one(option).as_str() {
        // fail2ban's ban of less than nothing is for ever.
        text if option == "bantime" && text.starts_with('-') => BanTime::Forever,
        text => duration::parse(text).unwrap(),
    };
    let mut wrong = Vec::new();
    let mut check = |what: &str, theirs: String, ours: String| {
        if theirs != ours {
            wrong.push(format!("{what}: theirs {theirs:?}, ours {ours:?}"));
        }
    };
    check("failregex", lines("addfailregex").join("\n"), spec.failregex.join("\n"));
    check("ignoreregex", lines("addignoreregex").join("\n"), spec.ignoreregex.join("\n"));
    check("prefregex", one("prefregex"), spec.prefregex.clone().unwrap_or_default());
    check("datepattern", one("datepattern"), spec.datepattern.clone().unwrap_or_default());
    let maxlines = lines("maxlines").pop().unwrap_or("1".to_owned());
    check("maxlines", maxlines, spec.max_lines.max(1).to_string());
    check("usedns", one("usedns"), spec.use_dns.to_string());
    check("maxretry", one("maxretry"), jail.limits.max_retry.to_string());
    check("bantime", format!("{:?}", time("bantime")), format!("{:?}", jail.limits.ban_time));
    let findtime = BanTime::For(jail.limits.find_time);
    check("findtime", format!("{:?}", time("findtime")), format!("{findtime:?}"));
    wrong
}

#[test]
fn every_stock_jail_is_fail2bans_own() {
    let Some(package) = package("every_stock_jail_is_fail2bans_own") else { return };
    let root = package.join("etc/fail2ban");
    let theirs = fail2bans(&package, &root, "all");
    let names: Vec<String> =
        settings(&root, "[DEFAULT]\n").sections().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names.len(), JAILS);
    // A debug build compiles some thousand regexes here: by two at once.
    let (first, second) = names.split_at(names.len() / 2);
    let one = |name: &String| {
        // Debian enables sshd.
        let sshd = if name == "sshd" { "" } else { "[sshd]\nenabled = false\n" };
        let import = imported(&root, &format!("{sshd}[{name}]\nenabled = true\n"));
        assert_eq!(import.enabled, 1, "{name}");
        let mut told: Vec<String> = Vec::new();
        let lost = import.remarks.iter().filter(|remark| remark.level == Level::Lost);
        told.extend(lost.map(|remark| format!("{name}: {}: {}", remark.place, remark.what)));
        let mut wrong = Vec::new();
        for taken in import.jails.iter().filter(|taken| taken.name != "recidive") {
            let found = differences(&theirs[name], &read_back(&root, &import, taken));
            wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
        }
        (import.whole(), told, wrong)
    };
    let some = |names: &[String]| names.iter().map(one).collect::<Vec<_>>();
    let all = std::thread::scope(|scope| {
        let other = scope.spawn(|| some(second));
        let mut all = some(first);
        all.extend(other.join().unwrap());
        all
    });
    let whole: usize = all.iter().map(|(whole, ..)| whole).sum();
    let lost: Vec<&String> = all.iter().flat_map(|(_, told, _)| told).collect();
    let wrong: Vec<&String> = all.iter().flat_map(|(.., wrong)| wrong).collect();
    println!("{whole} of {} stock jails come over whole; lost: {lost:#?}", names.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(lost.len(), LOST.len(), "{lost:#?}");
    for (jail, what) in LOST {
        assert!(lost.iter().any(|told| told.starts_with(jail) && told.contains(what)), "{lost:#?}");
    }
    assert_eq!(whole, JAILS - LOST.len());
}

#[test]
fn files_are_merged_as_fail2ban_merges_them() {
    let Some(package) = package("files_are_merged_as_fail2ban_merges_them") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("fail2ban");
    let stock = package.join("etc/fail2ban");
    for sub in ["filter.d", "jail.d", "action.d"] {
        fs::create_dir_all(root.join(sub)).unwrap();
    }
    for entry in fs::read_dir(stock.join("action.d")).unwrap().flatten() {
        fs::copy(entry.path(), root.join("action.d").join(entry.file_name())).unwrap();
    }
    let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
    fs::copy(stock.join("jail.conf"), root.join("jail.conf")).unwrap();
    for name in
        ["paths-debian.conf", "paths-common.conf", "filter.d/common.conf", "filter.d/sshd.conf"]
    {
        fs::copy(stock.join(name), root.join(name)).unwrap();
    }
    write("paths-overrides.local", "[DEFAULT]\nsyslog_authpriv = /srv/auth.log\nmaxretry = 9\n");
    write(
        "jail.d/10-a.conf",
        "[DEFAULT]\nfindtime = 1h\n[sshd]\nenabled = true\nmaxretry = 7\nmode = aggressive\n",
    );
    write("jail.d/20-b.conf", "[sshd]\nmaxretry = %(known/maxretry)s0\n[web]\nbantime = 1d 3h\n");
    write(
        "jail.local",
        "[INCLUDES]\nbefore = more.conf\n[DEFAULT]\nbantime = %(week)s\nusedns = no\n[web]\nenabled = true\n\
         filter = web[who=\"b, c\"]\nfailregex = %(known/failregex)s\n            ^extra <HOST> 100%%$ ; comment\n\
         logpath = /srv/web.log ; c\n# comment\n   /srv/%(__name__)s/*.log\n[off]\nenabled = no\n\
         [bare]\nenabled = true\nfilter = pref\nlogpath = /srv/bare.log\nprefregex =\nignoreregex =\n\
         bantime = -600\nmaxlines =\n",
    );
    write("more.conf", "[DEFAULT]\nweek = 1w\nbantime = 2w\n[INCLUDES]\nafter = after.conf\n");
    write("after.conf", "[DEFAULT]\nweek = 8d\n");
    write(
        "jail.d/30-c.local",
        "[web]\nmaxretry = 4\nignoreregex = ^not %(ignored)s\nignored = me\n[DEFAULT]\nfindtime = 2h\n",
    );
    write(
        "filter.d/web.conf",
        "[INCLUDES]\nbefore = common.conf\n[Definition]\nfailregex = ^<who>: <HOST>$\n  ^%(__hostname)s<HOST>\nwho = a\n",
    );
    write(
        "filter.d/pref.conf",
        "[Definition]\nprefregex = ^p <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^a <HOST>$\n\
         ignoreregex = b\nmaxlines = 3\n",
    );
    write(
        "filter.d/web.local",
        "[Definition]\nfailregex = %(known/failregex)s\n   ^local <who> <HOST>$\ndatepattern = ^%%Y-%%m-%%d\n",
    );
    let theirs = fail2bans(&package, &root, "enabled");
    let import = imported(&root, "[DEFAULT]\n");
    let names: Vec<&str> = import.jails.iter().map(|taken| taken.name.as_str()).collect();
    assert_eq!(names, ["sshd", "web", "bare"], "{:#?}", import.remarks);
    assert_eq!(theirs.len(), 3, "{theirs:?}");
    for taken in &import.jails {
        let read = read_back(&root, &import, taken);
        assert_eq!(
            differences(&theirs[&taken.name], &read),
            Vec::<String>::new(),
            "{}",
            taken.name
        );
    }
    let sources = |name: &str| {
        let taken = import.jails.iter().find(|taken| taken.name == name).unwrap();
        format!("{:?}", read_back(&root, &import, taken).0.sources)
    };
    assert!(sources("sshd").contains("/srv/auth.log"), "{}", sources("sshd"));
    assert!(sources("web").contains("\"/srv/web.log\", \"/srv/web/*.log\""), "{}", sources("web"));
}

#[test]
fn the_database_of_a_running_fail2ban_is_read() {
    let Some(package) = package("the_database_of_a_running_fail2ban_is_read") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fail2ban.sqlite3");
    let now = Timestamp::now().as_second();
    let mut server = python(&package);
    server.arg(script("bans.py")).arg(&path).arg(now.to_string());
    let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It has written, and has the file open.
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let before = fs::read(&path).unwrap();
    let found = guard::store::fail2ban::read(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
    let mut shown: Vec<String> = found
        .bans
        .iter()
        .map(|(jail, ban)| {
            let until = match ban.until {
                Until::Time(end) => (end.as_second() - now).to_string(),
                Until::Forever => "for ever".to_owned(),
            };
            format!("{jail} {} {} {until} {}", ban.network, ban.since.as_second() - now, ban.times)
        })
        .collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "sshd 192.0.2.1 -100 500 1",
            "sshd 192.0.2.2 -100 for ever 3",
            "web 192.0.2.3 -1000 -940 2",
            "web 2001:db8::1 -100 3500 2",
        ]
    );
}

#[test]
fn archives_of_gnu_tar_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let long = "n".repeat(140);
    fs::create_dir_all(folder.path().join("fail2ban/jail.d")).unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join("fail2ban").join(name), text).unwrap();
    };
    write("jail.conf", "[a]\n");
    write(&format!("jail.d/{long}"), "long");
    std::os::unix::fs::symlink("../jail.conf", folder.path().join("fail2ban/jail.d/x.conf"))
        .unwrap();
    for format in ["gnu", "pax", "ustar"] {
        let output = Command::new("tar")
            .args(["-C", folder.path().to_str().unwrap(), "--format", format, "-c", "./fail2ban"])
            .output()
            .unwrap();
        let mut found = tar::files(&output.stdout).unwrap();
        if format == "ustar" {
            // It can't say so long a name.
            found.insert(format!("fail2ban/jail.d/{long}"), Packed::File(b"long"));
        }
        let all: Vec<_> = found.into_iter().collect();
        assert_eq!(
            all,
            [
                ("fail2ban/jail.conf".to_owned(), Packed::File(b"[a]\n")),
                (format!("fail2ban/jail.d/{long}"), Packed::File(b"long")),
                ("fail2ban/jail.d/x.conf".to_owned(), Packed::Link("../jail.conf".to_owned())),
            ],
            "{format}"
        );
    }
}

/// None of fail2ban's own actions is taken for somebody's.
#[test]
fn stock_actions_are_known_by_name() {
    let Some(package) = package("stock_actions_are_known_by_name") else { return };
    let root = package.join("etc/fail2ban");
    let names: Vec<String> = fs::read_dir(root.join("action.d"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".conf").map(str::to_owned)
        })
        .collect();
    assert!(names.len() > 50, "{names:?}");
    let jails: String = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            format!(
                "[x{n}]\nenabled = true\nfailregex = ^x <HOST>$\nlogpath = /x.log\naction = {name}\n"
            )
        })
        .collect();
    let import = imported(&root, &jails);
    let wrong: Vec<&str> = import
        .remarks
        .iter()
        .filter(|remark| remark.what.contains("by its commands only"))
        .map(|remark| remark.what.as_str())
        .collect();
    assert!(import.enabled >= names.len() && wrong.is_empty(), "{wrong:#?}");
}
