//! What was once left out, or done in another way, without a word.

use super::*;
use crate::labels::MAX_OWN_JAILS;
use crate::model::JailName;

const LOG: &str = "logpath = /var/log/x.log\n";

/// One jail `web` of these lines, with its regex.
fn jail(lines: &str) -> String {
    format!("[web]\nenabled = true\nfilter =\nfailregex = x <HOST>$\n{LOG}{lines}")
}

fn of_jail(lines: &str) -> Import {
    imported(&[("jail.local", &jail(lines))], None)
}

/// The text of all compose files.
fn printed(import: &Import) -> String {
    import.files.iter().map(|file| file.text.as_str()).collect()
}

#[track_caller]
fn tells_not(import: &Import, words: &str) {
    assert!(!told(import).iter().any(|line| line.contains(words)), "{:#?}", told(import));
}

/// The value of an option of the only jail.
fn option<'i>(import: &'i Import, option: &str) -> Option<&'i str> {
    let [taken] = import.jails.as_slice() else { panic!("{:#?}", told(import)) };
    let ends = format!(".{option}");
    let found = taken.labels.iter().find(|(key, _)| key.ends_with(&ends));
    found.map(|(_, value)| value.as_str())
}

/// Regexes enough that it is simpler to mount them.
fn large(first: &str) -> String {
    let mut text = format!("[INCLUDES]\nbefore = common.conf\n[Definition]\nfailregex = {first}\n");
    text.extend((0..6).map(|n| format!("    ^%(pre)s{n} <HOST>$\n")));
    text
}

fn labelled(name: &str, labels: &[(&str, &str)]) -> Container {
    let mut container = checked(name, &[], &[]).container;
    container.service = ServiceId::Container(name.into());
    let label = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    container.labels = labels.iter().map(label).collect();
    container
}

#[test]
fn a_mount_takes_the_place_of_no_other_filter() {
    let jails = format!(
        "[sshd]\nenabled = true\nbackend = systemd\njournalmatch = A=b\n[web]\nenabled = true\n{LOG}"
    );
    let (sshd, web) = (large("^theirs <HOST>$"), large("^w <HOST>$"));
    let files = [
        ("jail.local", jails.as_str()),
        ("filter.d/sshd.conf", &sshd),
        ("filter.d/web.conf", &web),
        ("filter.d/common.conf", "[DEFAULT]\npre = p\n"),
    ];
    let there = || Some(vec![labelled("old", &[("guard.filter", "sshd")])]);
    let import = imported_on(&files, |ground| {
        ground.containers = there();
        ground.prefer_own = true;
    });
    let text = printed(&import);
    assert_eq!(import.over(), 2, "{:#?}", told(&import));
    assert!(text.contains("/etc/fail2ban/filter.d/web.conf:/etc/guard/filter.d/web.conf:ro"));
    assert!(!text.contains("filter.d/sshd") && !text.contains("filter.d:"), "{text}");
    tells_not(&import, "will mean");
    let import = imported(&files, there());
    assert!(printed(&import).contains(":/etc/guard/filter.d/sshd.conf:ro"));
    tells(&import, "the label `guard.filter: sshd` of old will mean fail2ban's filter");
}

#[test]
fn a_filter_that_guard_would_not_see_goes_into_the_label() {
    let filter = large("^a <HOST>$").replace("common.conf", "/outside/x.conf");
    let files = [
        ("jail.local", format!("[web]\nenabled = true\n{LOG}")),
        ("filter.d/web.conf", filter),
        ("/outside/x.conf", "[DEFAULT]\npre = p\n".to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let import = imported(&files, None);
    assert_eq!(option(&import, "filter"), None);
    assert!(option(&import, "failregex").unwrap().ends_with("\n^p5 <HOST>$"));
    assert!(!printed(&import).contains("filter.d"));
    // On the host itself it can be mounted.
    let import = imported_on(&files, |ground| ground.on_host = None);
    assert_eq!(option(&import, "filter"), Some("web"));
    assert!(printed(&import).contains("- /outside/x.conf:/outside/x.conf:ro"));
}

#[test]
fn filters_of_two_folders_do_not_meet_in_one() {
    let jails = format!("[a]\nenabled = true\n{LOG}[b]\nenabled = true\n{LOG}");
    let filter = large("^a <HOST>$");
    let files = [
        ("jail.local", jails.as_str()),
        ("filter.d/a.conf", &filter),
        ("filter.d/common.conf", "[DEFAULT]\npre = one\n"),
        ("/g/filter.d/b.conf", &filter),
        ("/g/filter.d/common.conf", "[DEFAULT]\npre = two\n"),
    ];
    let import = imported_on(&files, |ground| {
        ground.filter_folders.insert(0, "/g/filter.d".to_owned());
        ground.on_host = None;
    });
    let text = printed(&import);
    assert!(text.contains("guard.jails.a.filter: a\n"), "{text}");
    assert!(text.contains("^two5 <HOST>$$\n"), "{text}");
    assert!(!text.contains("guard.jails.b.filter:"), "{text}");
}

#[test]
fn an_empty_option_takes_the_place_of_the_filters() {
    let filter = "[INCLUDES]\nbefore = c.conf\n[Definition]\nprefregex = ^p <F-CONTENT>.+</F-CONTENT>$\n\
        failregex = ^x <HOST>$\nignoreregex = ^y <HOST>\ndatepattern = %%Y\nmaxlines = 3\n";
    let jail = format!(
        "[web]\nenabled = true\n{LOG}prefregex =\nignoreregex =\ndatepattern =\nmaxlines =\nusedns =\n"
    );
    let files =
        [("jail.local", jail.as_str()), ("filter.d/web.conf", filter), ("filter.d/c.conf", "")];
    let import = imported(&files, None);
    assert_eq!(option(&import, "failregex"), Some("^x <HOST>$"));
    for gone in ["filter", "prefregex", "ignoreregex", "maxlines"] {
        assert_eq!(option(&import, gone), None, "{gone}");
    }
    assert_eq!(option(&import, "datepattern"), Some("{NONE}"), "fail2ban looks for none then");
    assert_eq!(option(&import, "usedns"), Some("no"));
}

#[test]
fn what_an_action_does_besides_is_told() {
    let check = |commands: &str, words: &str| {
        let action = format!("[Definition]\nactionban = {commands}\n");
        let jail = jail("action = mine\n");
        let import = imported(&[("jail.local", &jail), ("action.d/mine.conf", &action)], None);
        tells(&import, words);
        import
    };
    let known = "changed: f/jail.local:6: action `mine` is known by its commands only";
    check("iptables -I INPUT -s <ip> -j REJECT\n  curl https://example.org", known);
    check("ssh root@fw iptables -I INPUT -s <ip> -j DROP", "seem to close something elsewhere");
    let import = check("docker exec fw iptables -s <ip> -j DROP", "close something elsewhere");
    assert_eq!(option(&import, "blocktype"), Some("drop"), "as it is written there");
    let local = "[Definition]\nactionban = <iptables> -j <blocktype>\n  curl https://example.org\n";
    let files = [("jail.local", &*jail("")), ("action.d/iptables-multiport.local", local)];
    tells(&imported(&files, None), "`iptables-multiport` is known by its commands only");
    tells_not(&of_jail(""), "by its commands");
}

#[test]
fn blocktypes_and_protocols_that_differ_are_told() {
    let import =
        of_jail("action = iptables-multiport[blocktype=DROP]\n    iptables-multiport[port=80]\n");
    assert_eq!(option(&import, "blocktype"), Some("drop"));
    tells(&import, "changed: f/jail.local:7: the jail's actions refuse in several ways");
    for protocol in ["icmp", "sctp"] {
        let words = format!("action = iptables-multiport[port=80, protocol={protocol}]\n");
        tells(
            &of_jail(&words),
            &format!("not taken over: f/jail.local:6: `protocol = {protocol}`"),
        );
    }
    tells_not(&of_jail("protocol = tcp,udp\n"), "guard closes ports of TCP");
}

#[test]
fn options_of_a_backend_are_told() {
    let import = of_jail("journalmatch = A=b\nbackend = systemd[journalpath=/mnt/j]\n");
    tells(&import, "not taken over: f/jail.local:7: `backend = systemd[journalpath=/mnt/j]`");
    assert_eq!(option(&import, "journal"), Some("A=b"));
}

#[test]
fn one_small_option_costs_no_jail() {
    let grows = "bantime.increment = true\n";
    for (line, words) in [
        ("bantime.multipliers = 1 2 4 8.5", "`bantime.multipliers`: `8.5` is no whole number"),
        ("bantime.maxtime = -1", "`bantime.maxtime`: `-1`"),
        ("logtimezone = MEZ", "`logtimezone`: "),
        ("logencoding = latin-99", "`logencoding`: "),
        ("port = 22,25,blurb", "`port`: `blurb` is no port"),
    ] {
        let import = of_jail(&format!("{grows}{line}\n"));
        let name = line.split(' ').next().unwrap();
        match name {
            "port" => assert_eq!(option(&import, "port"), Some("22,25")),
            _ => assert_eq!(option(&import, name), None, "{line}"),
        }
        // An action's ports are those of `action`.
        let place = if name == "port" { "f/jail.conf:13" } else { "f/jail.local:7" };
        tells(&import, &format!("not taken over: {place}: {words}"));
        tells_not(&import, "does not come over");
    }
    let import = of_jail(&format!("{grows}bantime.factor = 2.0 / 2.885385\nport = sftp,21\n"));
    assert_eq!(option(&import, "bantime.factor"), Some("0.693148"));
    assert_eq!(option(&import, "port"), Some("115,21"));
    assert_eq!(import.whole(), 1, "{:#?}", told(&import));
}

#[test]
fn a_jail_that_is_gone_is_told_to_be() {
    let gone = ", so the jail does not come over";
    for (lines, words) in [
        ("port = blurb", "not taken over: f/jail.conf:13: `port`: `blurb` is no port"),
        ("datepattern = {NOTHING", "not taken over: f/jail.local:6: `datepattern`: "),
        ("maxretry = 20000", "not taken over: f/jail.local:6: `maxretry`: "),
        ("failregex = ", "not taken over: f/jail.local:2: the jail has no failregex"),
        ("maxlines = 0", "not taken over: f/jail.local:6: `maxlines = 0` is no number"),
        ("logpath = x", "the jail has no log that guard could read"),
    ] {
        let (first, _) = lines.split_once(" =").unwrap();
        let whole = jail("");
        let kept = whole.lines().filter(|line| !line.starts_with(&format!("{first} =")));
        let text = kept.map(|line| format!("{line}\n")).collect::<String>() + lines + "\n";
        let import = imported(&[("jail.local", &text)], None);
        assert_eq!(import.over(), 0, "{lines}");
        let all = told(&import);
        let last = all.iter().rfind(|line| line.starts_with("not")).unwrap();
        assert!(last.contains(words) && last.ends_with(gone), "{all:#?}");
    }
    // Of several mistakes the one that costs the jail is last.
    let import = of_jail("maxretry = 20000\nport = 22,blurb\n");
    let all = told(&import);
    assert!(all[1].contains("`maxretry`") && all[1].ends_with(gone), "{all:#?}");
    let import = of_jail("maxlines = 500\n");
    tells(&import, "changed: f/jail.local:6: `maxlines = 500`");
    assert_eq!(option(&import, "maxlines"), Some("200"));
}

#[test]
fn times_are_what_fail2ban_makes_of_them() {
    for (written, expected) in [("-600", "-1"), ("2*30m", "3600"), ("1d 3h", "1d 3h"), ("-1", "-1")]
    {
        let import = of_jail(&format!("bantime = {written}\n"));
        assert_eq!(option(&import, "bantime"), Some(expected));
        assert_eq!(import.whole(), 1, "{:#?}", told(&import));
    }
    tells(&of_jail("findtime = -600\n"), "not taken over: f/jail.local:6: `findtime`");
    let import = of_jail("usedns = no\n");
    assert_eq!(option(&import, "usedns"), Some("no"), "GUARD_USEDNS would change it");
}

#[test]
fn names_of_jails_that_are_there_are_not_taken() {
    let there = labelled("shop", &[("guard.name", "web"), ("guard.failregex", "y <HOST>")]);
    let import = imported(&[("jail.local", &jail(""))], Some(vec![there]));
    assert_eq!(import.jails[0].jail, "web-2");
    tells(&import, "called `web-2` in guard: the labels of shop have one named `web`");
    let two = labelled("a", &[("guard.jails.b.failregex", "y <HOST>"), ("guard.failregex", "x")]);
    let names = labels::names(&two, &Defaults::default());
    assert_eq!(names.iter().map(JailName::as_str).collect::<Vec<_>>(), ["a", "a-b"]);
}

#[test]
fn the_parts_of_a_jail_are_named() {
    let logs = "/var/lib/docker/volumes/shop_data/_data/a\n  \
        /var/lib/docker/volumes/shop_log/_data/b";
    let text = jail("").replace("/var/log/x.log", logs);
    let import = imported(&[("jail.local", &text)], Some(containers()));
    tells(&import, "counts for itself: `web` on cloud, `web-flask` on flask");
    let remedy = import.remarks.iter().find_map(|remark| remark.remedy.as_deref());
    assert!(remedy.unwrap().contains("--jail web=web --jail web=web-flask"), "{remedy:?}");
}

#[test]
fn containers_outside_compose_are_in_no_compose_file() {
    let mut all = containers();
    all[1].service = ServiceId::Container("plain".into());
    let logs = "/var/lib/docker/volumes/shop_data/_data/a\n  \
        /var/lib/docker/volumes/shop_log/_data/b\n  /var/log/c";
    let text = jail("").replace("/var/log/x.log", logs);
    let import = imported(&[("jail.local", &text)], Some(all));
    let shown: Vec<_> = import
        .files
        .iter()
        .map(|file| (file.project.as_deref(), file.outside, labels_of(&file.text).unwrap().len()))
        .collect();
    assert_eq!(shown, [(None, false, 1), (None, true, 1), (Some("shop"), false, 1)]);
}

#[test]
fn a_host_may_have_many_jails() {
    let one = |n: usize| jail("").replace("[web]", &format!("[web{n}]"));
    let text: String = (0..=MAX_OWN_JAILS).map(one).collect();
    let import = imported(&[("jail.local", &text)], None);
    assert_eq!(import.over(), MAX_OWN_JAILS);
    tells(&import, "more than 200 jails on the service `guard`");
    let mut own = checked("guard", &[], &[]).container;
    own.own = true;
    own.labels = labels_of(&import.files[0].text).unwrap().remove("guard").unwrap();
    let reading = labels::read(&own, &Defaults::default(), &mut Library::of(Catalog::new("")));
    assert_eq!((reading.jails.len(), reading.complaints.len()), (MAX_OWN_JAILS, 0));
    own.own = false;
    let reading = labels::read(&own, &Defaults::default(), &mut Library::of(Catalog::new("")));
    assert_eq!(reading.jails.len(), 20);
}

#[test]
fn what_fail2bans_server_was_told_is_told() {
    let read = |local: &str| {
        let tree = Tree(BTreeMap::from([
            (
                "f/fail2ban.conf".to_owned(),
                "[DEFAULT]\nloglevel = INFO\ndbpurgeage = 1d\n[Definition]\n".to_owned(),
            ),
            ("f/fail2ban.local".to_owned(), local.to_owned()),
        ]));
        let remarks = of_server(&Settings::read("fail2ban", &tree).unwrap());
        remarks.iter().map(|one| format!("{}: {}", one.place, one.what)).collect::<Vec<_>>()
    };
    assert_eq!(read(""), Vec::<String>::new());
    for section in ["DEFAULT", "Definition"] {
        let told = read(&format!("[{section}]\ndbpurgeage = 30d\n"));
        assert!(told[0].starts_with("f/fail2ban.local:2: `dbpurgeage = 30d`"), "{told:?}");
    }
    let told = read("[Definition]\nloglevel = DEBUG\n");
    assert_eq!(told, ["f/fail2ban.local:2: `loglevel` is for fail2ban itself"]);
}
