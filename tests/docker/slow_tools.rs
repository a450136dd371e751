//! Tools of iptables that are slow, or hang: bans don't wait for them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::*;

/// The first engine's programs; the engine itself is not needed.
fn host(test: &str) -> Option<Host> {
    engines(test).first().map(Host::without_engine)
}

/// A folder in which `tool` does something first, and `PATH` with it in front.
fn path_with(host: &Host, tool: &str, first: &str) -> String {
    let folder = host.folder().join("tools");
    std::fs::create_dir_all(&folder).expect("the host's folder can be written");
    let real = find(tool).expect("iptables is there");
    let script = format!("#!/bin/sh\n{first}\nexec {} \"$@\"\n", real.display());
    let file = folder.join(tool);
    std::fs::write(&file, script).expect("the host's folder can be written");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("it is ours");
    let path = host.engine().path();
    format!("{}:{}", folder.display(), path.to_str().expect("PATH is text"))
}

fn is_in_set(host: &Host, address: &str) -> Result<(), String> {
    try_run(host.namespace().command("ipset").args(["test", "f2b4-manual", address])).map(drop)
}

#[test]
fn bans_reach_their_sets_while_a_look_hangs() {
    let Some(host) = host("bans_reach_their_sets_while_a_look_hangs") else { return };
    let file = |name: &str| host.folder().join(name).display().to_string();
    let (hang, hanging) = (file("hang"), file("hanging"));
    let first = format!("[ -e {hang} ] && echo $$ > {hanging} && exec sleep 60");
    let path = path_with(&host, "iptables-nft-save", &first);
    let guard = Guard::start(&host, &[("PATH", &path), ("GUARD_FIREWALL", "ipset")]);
    guard.ctl(&["ban", "203.0.113.8"]);
    eventually("banned", || is_in_set(&host, "203.0.113.8"));

    std::fs::write(&hang, "").expect("the host's folder can be written");
    // guard hears of it, and looks.
    host.run(&["iptables-nft", "-I", "INPUT", "-s", "192.0.2.1", "-j", "DROP"]);
    let process = || std::fs::read_to_string(&hanging).map_err(|error| error.to_string());
    let first = eventually("it hangs", || {
        process().and_then(|id| if id.ends_with('\n') { Ok(id) } else { Err(id) })
    });
    guard.ctl(&["ban", "203.0.113.9"]);
    eventually("banned", || is_in_set(&host, "203.0.113.9"));
    assert_eq!(process(), Ok(first.clone()), "it was not waited for");
    assert!(Path::new("/proc").join(first.trim()).exists(), "it was not waited for");
    guard.ctl(&["unban", "203.0.113.8"]);
    eventually("unbanned", || ensure(is_in_set(&host, "203.0.113.8").is_err(), "it is in the set"));

    std::fs::remove_file(&hang).expect("it was just made");
    guard.says(None, &["iptables-nft-save did not end in time"]);
    eventually("a look at last", || {
        let out = guard.ctl(&["status"]).out;
        ensure(!out.contains("did not end in time"), out)
    });
}

/// Nobody tells of changes in legacy tables, and a slow look is no reason not to look.
#[test]
fn a_jump_comes_back_where_looks_are_slow() {
    let Some(host) = host("a_jump_comes_back_where_looks_are_slow") else { return };
    let path = path_with(&host, "iptables-legacy-save", "sleep 1.6");
    host.run(&["iptables-legacy", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT"]);
    let guard = Guard::start(&host, &[("PATH", &path), ("GUARD_FIREWALL", "ipset")]);
    let jump: &[&str] = &["INPUT", "-m", "comment", "--comment", "guard", "-j", "f2b-manual"];
    let legacy = |action: &str| {
        let mut command = host.namespace().command("iptables-legacy");
        try_run(command.args(["-w", "5", action]).args(jump))
    };
    eventually("the jump is there", || legacy("-C"));
    guard.says(None, &["iptables-legacy"]);
    legacy("-D").expect("it is there");
    eventually("it is back", || legacy("-C"));
    guard.says(None, &["repaired"]);
}
