//! Bans that grow, prefixes, logins, and the jail for those whom others banned.

use super::*;
use crate::model::{Growth, Policy, Prefixes};

fn one_lines(container: &Container) -> Vec<String> {
    reading(container).complaints.iter().map(Complaint::one_line).collect()
}

#[test]
fn growth_needs_its_switch() {
    let all = [
        ("guard.bantime.increment", "true"),
        ("guard.Bantime.Factor", "1.5"),
        ("guard.bantime.multipliers", "1 5 30"),
        ("guard.bantime.maxtime", "5w"),
        ("guard.bantime.rndtime", "8m"),
        ("guard.bantime.overalljails", "yes"),
    ];
    let growth = Growth {
        factor: 1_500_000,
        multipliers: vec![1, 5, 30],
        max_time: Some(Duration::from_secs(5 * 604_800)),
        random_time: Duration::from_secs(480),
        overall: true,
    };
    assert_eq!(jail(&all).policy.growth, Some(growth));
    assert_eq!(jail(&all[..1]).policy.growth, Some(Growth::default()));
    assert_eq!(jail(&[]).policy, Policy::default());
    let without = container(&[&[FAIL], &all[1..2]].concat());
    assert_eq!(reading(&without).jails[0].policy.growth, None);
    assert_eq!(
        one_lines(&without),
        ["container shop-web-1, label guard.Bantime.Factor:1:1: `bantime.factor` means nothing \
          without `bantime.increment: true`"]
    );
}

#[test]
fn further_jails_and_variables_share_it() {
    let variables = [("BANTIME_INCREMENT", "on"), ("BANTIME_MAXTIME", "1w"), ("PREFIX_V6", "56")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (defaults, complaints) = Defaults::new("guard", &variables.into());
    assert_eq!(complaints.len(), 0, "{complaints:?}");
    let labels = [
        ("guard.bantime.factor", "2"),
        ("guard.jails.a.failregex", "^x <HOST>$"),
        ("guard.jails.a.bantime.maxtime", "1h"),
        ("guard.jails.b.failregex", "^x <HOST>$"),
        ("guard.jails.b.bantime.increment", "no"),
    ];
    let reading = read(&container(&labels), &defaults, &mut Library::default());
    assert_eq!(reading.complaints.len(), 0, "{:?}", reading.complaints);
    let [a, b] = reading.jails.as_slice() else { panic!("two jails") };
    let max_time = Some(Duration::from_secs(3600));
    let growth = Growth { factor: 2 * Growth::ONE, max_time, ..Growth::default() };
    assert_eq!(a.policy.growth, Some(growth));
    assert_eq!(b.policy, Policy { prefixes: Prefixes { v4: 32, v6: 56 }, ..Policy::default() });
}

#[test]
fn what_can_not_be_is_refused_in_its_place() {
    let check = |label: (&str, &str), expected: &str| {
        let (jails, complaints) = outcome(&[FAIL, label]);
        assert_eq!((jails.len(), complaints.len()), (0, 1), "{complaints:?}");
        assert!(complaints[0].ends_with(expected), "{}", complaints[0]);
    };
    check(
        ("guard.bantime.formula", "ban.Time * 2"),
        "label guard.bantime.formula: fail2ban's `bantime.formula` is Python, which guard does not \
         run; set `guard.bantime.factor`, or `guard.bantime.multipliers` with a number for each ban",
    );
    check(
        ("guard.bantime.factor", "2.0 / 2.885385"),
        ":1:1: `2.0 / 2.885385` is no number; write the result: guard does not run Python",
    );
    check(
        ("guard.bantime.multipliers", "1 two"),
        ":1:3: `two` is no whole number; \
        `bantime.multipliers` takes whole numbers such as `1 5 30 60 300`",
    );
    check(
        ("guard.bantime.maxtime", "1dw"),
        ":1:2: `dw` is no unit of time; the units are `s`, `m`, \
        `h`, `d`, `w`, `mo` and `y`",
    );
    check(
        ("guard.prefix.v6", "0"),
        ":1:1: a ban of /0 would shut out everybody; `prefix.v6` takes the \
        length of a prefix, from 32 to 128",
    );
    check(
        ("guard.prefix.v4", "8"),
        ":1:1: a ban of /8 would shut out far more than one client; /16 is \
        the shortest that guard bans for failures",
    );
    check(
        ("guard.successregex", "logged in"),
        ":1:1: no place for the address; put <HOST> where the \
        address stands",
    );
    check(("guard.successregex", "(<HOST>"), "label guard.successregex:1:1: unclosed group");
}

#[test]
fn recidive_is_for_guards_own_container() {
    let labels = [
        ("guard.bantime", "1h"),
        ("guard.blocktype", "drop"),
        ("guard.jails.recidive.recidive", "true"),
        ("guard.jails.recidive.maxretry", "3"),
    ];
    let mut guard = container(&labels);
    assert!(one_lines(&guard)[0].contains("only a jail on guard's own container"));
    guard.own = true;
    let Reading { jails, complaints } = reading(&guard);
    assert_eq!(complaints.len(), 0, "{complaints:?}");
    let rules = jails[0].rules(&BTreeSet::new()).unwrap();
    assert_eq!(jails[0].sources, Sources::Bans);
    assert!(rules.policy.recidive);
    assert_eq!(rules.limits.max_retry.get(), 3);
    assert_eq!(rules.limits.find_time, Duration::from_secs(86_400));
    assert_eq!(rules.limits.ban_time, BanTime::For(Duration::from_secs(7 * 86_400)));
    assert_eq!(rules.block.chains, [Chain::DockerUser, Chain::Input].into());
    assert_eq!((rules.block.ports, rules.block.block_type), (Ports::All, BlockType::Drop));
    guard.labels.insert("guard.jails.recidive.failregex".to_owned(), "^x <HOST>$".to_owned());
    assert!(one_lines(&guard)[0].contains("`failregex` means nothing here"));
}

#[test]
fn the_built_in_recidive_takes_no_limits_from_variables() {
    let variables = [("MAXRETRY", "2"), ("BANTIME", "1m"), ("DRYRUN", "yes"), ("PREFIX_V4", "24")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let rules = Defaults::new("guard", &variables.into()).0.recidive();
    assert_eq!(rules.limits.max_retry.get(), 5);
    assert_eq!(rules.limits.ban_time, BanTime::For(Duration::from_secs(604_800)));
    assert_eq!((rules.dry_run, rules.policy.prefixes.v4), (true, 24));
    assert_eq!((rules.service, rules.policy.recidive), (ServiceId::BuiltIn, true));
}
