//! The warden in simulated time: every file of `tests/scenarios` is a story of
//! failures, requests and a clock, with what must come of it.
//!
//! A step happens at a second (`at`). What it does (`do`) is one of
//!
//! ```text
//!  fail NETWORK [xN] [line SECOND] [for LIST] [jail JAIL]   a line, N times; its own time if it
//!                  is not now; `for` what proxies passed on, such as 203.0.113.9,10.0.0.1
//!  login NETWORK [line SECOND] [jail JAIL]       a line says that it logged in
//!  ban NETWORK [for SECONDS|ever] [jail JAIL] [force]
//!  unban NETWORK|all [jail JAIL]
//!  jail KEY        the jail of [jails.KEY] comes, or changes (that of `web` is there at 0)
//!  left JAIL       its last container is gone
//!  look KEY        [surroundings.KEY] from now on (`start` is there at 0)
//!  ssh [LIST]      those have had an SSH connection for long
//!  found JAIL NETWORK SECOND      a ban in the kernel that nobody ordered
//!  in-force|held-back JAIL NETWORK
//!  restart         guard stops and starts with what the store has
//! ```
//!
//! and without `do` only time passes. `gives` lists all orders to the firewall,
//! in their order; where it is missing there must be none. The others are looked
//! at where they are given: `told` (all news), `bans` (all that stand), `refused`
//! or `answer` (what the person reads), `hidden`, `status`, `states`, `known` (what the
//! jails know of somebody: his name, and what each of them has to tell).

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "scenarios/naive.rs"]
mod naive;
#[path = "scenarios/properties.rs"]
mod properties;
#[path = "scenarios/replayed.rs"]
mod replayed;
#[path = "scenarios/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use guard::model::{
    Address, BanTime, BlockRules, BlockType, Chain, DockerNetwork, Growth, Hop, IgnoreEntry,
    JailName, JailRules, Limits, Network, News, Policy, Ports, Prefixes, ServiceId, Until,
};
use guard::warden::{
    BanRequest, Effect, FoundBan, Known, Outcome, Settings, Surroundings, UnbanRequest, UnbanWhich,
};
use serde::Deserialize;
use world::{World, end, second, show_ban};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows, in a sentence.
    #[serde(rename = "what")]
    _what: String,
    #[serde(default)]
    settings: SettingsText,
    #[serde(default)]
    surroundings: BTreeMap<String, SurroundingsText>,
    jails: BTreeMap<String, JailText>,
    steps: Vec<Step>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsText {
    track_max: Option<usize>,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    trusted_proxies: Vec<String>,
    ignore_docker: Option<bool>,
    pardon: Option<u64>,
    ban_burst: Option<u32>,
    history: Option<u64>,
    /// The jail of these rules is built in.
    recidive: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SurroundingsText {
    own: Vec<String>,
    networks: Vec<NetworkText>,
    names: BTreeMap<String, Vec<String>>,
    /// Container names by address.
    containers: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkText {
    name: String,
    subnet: String,
    gateway: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct JailText {
    /// The jail's name, if it is not the key.
    name: Option<String>,
    maxretry: u32,
    findtime: u64,
    /// -1: for ever
    bantime: i64,
    #[serde(default)]
    ignoreip: Vec<String>,
    #[serde(default)]
    dryrun: bool,
    #[serde(default)]
    increment: bool,
    #[serde(default)]
    multipliers: Vec<u32>,
    maxtime: Option<u64>,
    #[serde(default)]
    overalljails: bool,
    /// Lengths for IPv4 and IPv6.
    prefix: Option<(u8, u8)>,
    #[serde(default)]
    recidive: bool,
    /// Is the chain INPUT?
    #[serde(default)]
    input: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    at: i64,
    #[serde(rename = "do", default)]
    act: String,
    #[serde(default)]
    gives: Vec<String>,
    told: Option<Vec<String>>,
    bans: Option<Vec<String>>,
    refused: Option<String>,
    answer: Option<String>,
    hidden: Option<Vec<String>>,
    status: Option<String>,
    states: Option<Vec<String>>,
    known: Option<(String, Vec<String>)>,
}

#[test]
fn every_scenario_comes_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    files.sort();
    assert!(files.len() >= 15, "scenarios are missing");
    let mut failed = String::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if let Err(difference) = play(&scenario) {
            writeln!(failed, "{}: {difference}", path.display()).unwrap();
        }
    }
    assert!(failed.is_empty(), "\n{failed}");
}

#[test]
fn of_a_prefix_the_last_hundred_are_told() {
    let mut world = World::new(Settings::default(), Surroundings::default());
    let jail: JailText = toml::from_str("maxretry = 2\nfindtime = 600\nbantime = 100").unwrap();
    world.jail(0, rules("web", &jail));
    for n in 0..250 {
        world.fail(n, &jail_name("web"), (net(&format!("10.0.0.{n}")), &[]), n);
    }
    for n in 0..150 {
        world.fail(300, &jail_name("web"), (net(&format!("10.0.0.{n}")), &[]), 300);
    }
    let known = world.warden.known(world::at(301), net("10.0.0.0/16"));
    let web = known.iter().find(|known| known.jail.as_str() == "web").unwrap();
    assert_eq!((web.failing.len(), web.more_failing), (100, 0));
    assert_eq!((web.bans.len(), web.more_bans), (100, 50));
    for n in 0..50 {
        world.fail(302, &jail_name("web"), (net(&format!("10.0.1.{n}")), &[]), 302);
    }
    let known = world.warden.known(world::at(303), net("10.0.0.0/16"));
    let web = known.iter().find(|known| known.jail.as_str() == "web").unwrap();
    assert_eq!((web.failing.len(), web.more_failing), (100, 50));
    assert_eq!(web.failing[99].network, net("10.0.1.49"), "the last comes last");
}

fn play(scenario: &Scenario) -> Result<(), String> {
    let default = Settings::default();
    let settings = Settings {
        track_max: scenario.settings.track_max.unwrap_or(default.track_max),
        ignore: entries(&scenario.settings.ignore),
        trusted_proxies: entries(&scenario.settings.trusted_proxies),
        ssh_ports: default.ssh_ports,
        ignore_docker: scenario.settings.ignore_docker.unwrap_or(default.ignore_docker),
        pardon: scenario.settings.pardon.map_or(default.pardon, Duration::from_secs),
        ban_burst: scenario.settings.ban_burst.unwrap_or(default.ban_burst),
        history: scenario.settings.history.map_or(default.history, Duration::from_secs),
        recidive: scenario.settings.recidive.as_ref().map(|key| {
            let rules = rules(key, &scenario.jails[key.as_str()]);
            Arc::new(JailRules { service: ServiceId::BuiltIn, ..rules })
        }),
        seed: 1,
    };
    let start = scenario.surroundings.get("start").cloned().unwrap_or_default();
    let mut world = World::new(settings, surroundings(&start));
    world.jail(0, rules("web", &scenario.jails["web"]));
    for step in &scenario.steps {
        let answer = act(&mut world, scenario, step);
        compare(&world, step, &answer)
            .map_err(|difference| format!("at {} `{}`: {difference}", step.at, step.act))?;
    }
    Ok(())
}

fn compare(world: &World, step: &Step, answer: &Result<String, String>) -> Result<(), String> {
    let same = |what: &str, found: &[String], wanted: &[String]| {
        (found == wanted).then_some(()).ok_or(format!("{what} {found:?}, not {wanted:?}"))
    };
    let says = |what: &str, found: &str, wanted: &str| {
        (found == wanted).then_some(()).ok_or(format!("{what} {found:?}, not {wanted:?}"))
    };
    let gives: Vec<String> = world.orders.iter().map(show_order).collect();
    same("gives", &gives, &step.gives)?;
    if let Some(told) = &step.told {
        let found: Vec<String> = world.told.iter().map(|event| show_news(&event.news)).collect();
        same("told", &found, told)?;
    }
    if let Some(bans) = &step.bans {
        same("bans", &world.bans(), bans)?;
    }
    match (answer, &step.refused, &step.answer) {
        (Err(found), Some(wanted), _) => says("refused", found, wanted)?,
        (Ok(found), None, Some(wanted)) => says("answer", found, wanted)?,
        (Ok(_), None, None) => {}
        (found, ..) => return Err(format!("answers {found:?}")),
    }
    if let Some(hidden) = &step.hidden {
        let all = world.warden.jails().flat_map(|jail| jail.hidden().chain(jail.awaits_ssh()));
        let found: Vec<String> = all
            .map(|h| format!("{} x{} last {}: {}", h.network, h.count, second(h.last), h.exempt))
            .collect();
        same("hidden", &found, hidden)?;
    }
    if let Some(status) = &step.status {
        says("status", &show_status(world), status)?;
    }
    if let Some(states) = &step.states {
        let all = world.warden.jails().flat_map(guard::warden::JailView::bans);
        let found: Vec<String> =
            all.map(|s| format!("{} {} {:?}", s.ban.jail, s.ban.network, s.state)).collect();
        same("states", &found, states)?;
    }
    if let Some((network, known)) = &step.known {
        let found = world.warden.known(world::at(step.at), net(network));
        let found: Vec<String> =
            found.iter().filter(|known| known.is_something()).map(show_known).collect();
        same("known", &found, known)?;
    }
    Ok(())
}

/// Does what a step says; gives what a person would be answered.
fn act(world: &mut World, scenario: &Scenario, step: &Step) -> Result<String, String> {
    let mut words = step.act.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let now = step.at;
    let jail = || option(&words, "jail").map(jail_name);
    match verb {
        "" => world.input(now, |_, _| ()),
        "restart" => world.restart(now),
        "fail" => fail(world, now, &words, jail()),
        "login" => {
            let line = option(&words, "line").map_or(now, |text| text.parse().unwrap());
            world.login(now, &jail().unwrap_or_else(|| jail_name("web")), net(words[0]), line);
        }
        "jail" => world.jail(now, rules(words[0], &scenario.jails[words[0]])),
        "left" => world.input(now, |warden, t| warden.handle_jail_left(t, &jail_name(words[0]))),
        "look" => {
            world.surroundings = surroundings(&scenario.surroundings[words[0]]);
            let seen = world.surroundings.clone();
            world.input(now, |warden, t| warden.handle_surroundings(t, seen));
        }
        "ssh" => {
            let list = words.first().into_iter().flat_map(|list| list.split(','));
            let peers: Vec<Address> = list.map(|peer| peer.parse().unwrap()).collect();
            world.input(now, |warden, t| warden.handle_ssh_peers(t, peers));
        }
        "found" => {
            let until = Until::Time(world::at(words[2].parse().unwrap()));
            let (jail, network) = (jail_name(words[0]), net(words[1]));
            // It is in the kernel, whatever the warden thinks.
            world.kernel.insert((jail.clone(), network), until);
            let found = vec![FoundBan { jail, network, until }];
            world.input(now, |warden, t| warden.handle_found(t, found));
        }
        "in-force" | "held-back" => {
            let (some, none) = (vec![(jail_name(words[0]), net(words[1]))], Vec::new());
            let (in_force, held_back) =
                if verb == "in-force" { (some, none) } else { (none, some) };
            let outcome = Outcome { in_force, held_back };
            world.input(now, |warden, t| warden.handle_outcome(t, outcome));
        }
        "ban" => return ban(world, now, &words, jail()),
        "unban" => return unban(world, now, &words, jail()),
        other => panic!("no such step: {other}"),
    }
    Ok(String::new())
}

fn fail(world: &mut World, now: i64, words: &[&str], jail: Option<JailName>) {
    let line = option(words, "line").map_or(now, |text| text.parse().unwrap());
    let times = words.iter().find_map(|word| word.strip_prefix('x')?.parse().ok()).unwrap_or(1);
    let jail = jail.unwrap_or_else(|| jail_name("web"));
    let forwarded = option(words, "for").map(Hop::read_list).unwrap_or_default();
    let (mut orders, mut told) = (Vec::new(), Vec::new());
    for _ in 0..times {
        world.fail(now, &jail, (net(words[0]), &forwarded), line);
        orders.append(&mut world.orders);
        told.append(&mut world.told);
    }
    (world.orders, world.told) = (orders, told);
}

fn ban(
    world: &mut World,
    now: i64,
    words: &[&str],
    jail: Option<JailName>,
) -> Result<String, String> {
    let time = option(words, "for").map(|text| match text {
        "ever" => BanTime::Forever,
        seconds => BanTime::For(Duration::from_secs(seconds.parse().unwrap())),
    });
    let force = words.contains(&"force");
    let request = BanRequest { networks: vec![net(words[0])], jail, time, force };
    let answers = world.input(now, |warden, t| warden.handle_ban(t, request));
    let answer = answers.into_iter().next().expect("one for each network");
    answer.map(|ban| show_ban(&ban)).map_err(|refusal| refusal.to_string())
}

fn unban(
    world: &mut World,
    now: i64,
    words: &[&str],
    jail: Option<JailName>,
) -> Result<String, String> {
    let which = match words[0] {
        "all" => UnbanWhich::All,
        network => UnbanWhich::Networks(vec![net(network)]),
    };
    let request = UnbanRequest { which, jail };
    let answer = world.input(now, |warden, t| warden.handle_unban(t, request));
    let answer = answer.map_err(|refusal| refusal.to_string())?;
    let lifted = answer.lifted.iter().map(|ban| format!("lifted {} {}", ban.jail, ban.network));
    let covered = answer.covered.iter().map(ToString::to_string);
    let not_banned = answer.not_banned.iter().map(|network| format!("{network} is not banned"));
    Ok(lifted.chain(covered).chain(not_banned).collect::<Vec<_>>().join("; "))
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    let place = words.iter().position(|word| *word == name)?;
    words.get(place + 1).copied()
}

fn net(text: &str) -> Network {
    text.parse().unwrap()
}

fn jail_name(text: &str) -> JailName {
    text.parse().unwrap()
}

fn entries(texts: &[String]) -> Vec<IgnoreEntry> {
    let entry = |text: &String| match text.parse() {
        Ok(network) => IgnoreEntry::Network(network),
        Err(_) => IgnoreEntry::Name(text.clone()),
    };
    texts.iter().map(entry).collect()
}

fn surroundings(text: &SurroundingsText) -> Surroundings {
    let addresses =
        |texts: &Vec<String>| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let network = |text: &NetworkText| DockerNetwork {
        name: text.name.clone(),
        subnets: vec![net(&text.subnet)],
        gateways: vec![text.gateway.parse().unwrap()],
    };
    Surroundings {
        own: addresses(&text.own),
        networks: text.networks.iter().map(network).collect(),
        containers: text
            .containers
            .iter()
            .map(|(address, name)| (address.parse().unwrap(), name.as_str().into()))
            .collect(),
        names: text.names.iter().map(|(name, list)| (name.clone(), addresses(list))).collect(),
        ..Surroundings::default()
    }
}

fn rules(key: &str, text: &JailText) -> JailRules {
    let name = jail_name(text.name.as_deref().unwrap_or(key));
    JailRules {
        service: ServiceId::Container(name.as_str().into()),
        name,
        limits: Limits {
            max_retry: text.maxretry.try_into().unwrap(),
            find_time: Duration::from_secs(text.findtime),
            ban_time: u64::try_from(text.bantime)
                .map_or(BanTime::Forever, |time| BanTime::For(Duration::from_secs(time))),
        },
        ignore: entries(&text.ignoreip),
        block: BlockRules {
            chains: BTreeSet::from([if text.input { Chain::Input } else { Chain::DockerUser }]),
            ports: Ports::All,
            block_type: BlockType::Reject,
        },
        dry_run: text.dryrun,
        policy: Policy {
            growth: text.increment.then(|| Growth {
                multipliers: text.multipliers.clone(),
                max_time: text.maxtime.map(Duration::from_secs),
                overall: text.overalljails,
                ..Growth::default()
            }),
            prefixes: text.prefix.map_or_else(Prefixes::default, |(v4, v6)| Prefixes { v4, v6 }),
            recidive: text.recidive,
            notify: None,
        },
    }
}

fn show_known(known: &Known) -> String {
    let mut words = vec![known.jail.to_string()];
    words.extend(known.exempt.as_ref().map(|exempt| format!("never: {exempt}")));
    words.extend(known.bans.iter().map(|standing| show_ban(&standing.ban)));
    words.extend(known.failing.iter().map(|failing| {
        let times: Vec<_> = failing.times.iter().map(|at| second(*at)).collect();
        let waits = failing.waits.as_ref().map(|waits| format!(" waits {waits:?}"));
        format!(
            "{} failed {times:?}, {} more until {}{}",
            failing.network,
            failing.needed,
            second(failing.until),
            waits.unwrap_or_default()
        )
    }));
    words.extend(known.floor.map(|floor| format!("forgiven until {}", second(floor))));
    words.extend((known.earlier > 0).then(|| format!("{} earlier", known.earlier)));
    words.join("; ")
}

fn show_order(effect: &Effect) -> String {
    match effect {
        Effect::Install(rules) => format!("install {}", rules.name),
        Effect::Uninstall(jail) => format!("uninstall {jail}"),
        Effect::Block(ban) => format!("block {}", show_ban(ban)),
        Effect::Release(jail, network) => format!("release {jail} {network}"),
        Effect::Remember(_) | Effect::Tell(_) => unreachable!("no orders"),
    }
}

fn show_news(news: &News) -> String {
    match news {
        News::Found { jail, network, line_time, count } => {
            format!("found {jail} {network} line {} count {count}", second(*line_time))
        }
        News::Ignored { jail, network, reason } => format!("ignored {jail} {network}: {reason}"),
        News::Banned { ban, dry_run } => {
            let dry = if *dry_run { " (dry run)" } else { "" };
            let (since, failures) = (second(ban.since), ban.failures);
            format!("banned {} since {since} after {failures}{dry}", show_ban(ban))
        }
        News::Narrowed { jail, network, prefix, reason } => {
            format!("narrowed {jail} {network} of {prefix}: {reason}")
        }
        News::LoggedIn { jail, network, until } => {
            format!("logged in {jail} {network} until {}", second(*until))
        }
        News::Prolonged { ban, dry_run } => {
            let dry = if *dry_run { " (dry run)" } else { "" };
            format!("prolonged {} after {}{dry}", show_ban(ban), ban.failures)
        }
        News::Unbanned { jail, network, by_hand, dry_run } => {
            let dry = if *dry_run { " (dry run)" } else { "" };
            format!("unbanned {jail} {network}{}{dry}", if *by_hand { " by hand" } else { "" })
        }
        News::Reaches { jail, network, .. } => format!("reaches {jail} {network}"),
        News::JailStarted { jail } => format!("started {jail}"),
        News::JailStopped { jail } => format!("stopped {jail}"),
        News::Repaired { what } => format!("repaired {what}"),
        News::Trouble { what, over, .. } => format!("trouble {what} over {over}"),
    }
}

/// `web live failed 1/7 banned 1/3 ignored 0`: failed and banned now and in total.
fn show_status(world: &World) -> String {
    let jails = world.warden.jails().filter(|jail| jail.name().as_str() != "manual");
    let show = |jail: guard::warden::JailView<'_>| {
        let live = if jail.is_live() { "live" } else { "idle" };
        let (failed, found) = (jail.failed_now(), jail.found());
        let (now, banned, ignored) = (jail.banned_now(), jail.banned(), jail.ignored());
        let (once, more) = (jail.dropped().once, jail.dropped().more);
        let mut text =
            format!("{} {live} failed {failed}/{found} banned {now}/{banned}", jail.name());
        if ignored > 0 {
            write!(text, " ignored {ignored}").unwrap();
        }
        if jail.held() > 0 {
            write!(text, " held {}", jail.held()).unwrap();
        }
        if once + more > 0 {
            write!(text, " dropped {once}+{more}").unwrap();
        }
        text
    };
    jails.map(show).collect::<Vec<_>>().join("; ")
}

#[test]
fn ends_are_shown_as_seconds() {
    assert_eq!(end(Until::Time(world::at(600))), "600");
    assert_eq!(end(Until::Forever), "ever");
}
