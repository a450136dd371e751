//! Ten thousand bans at once, with targets that are well, dead, slow and mute.

use std::io::Write;

use crate::support::*;
use crate::world::{World, target, told};

const BANS: u64 = 10_000;

#[test]
fn each_of_ten_thousand_bans_is_told_by_count() {
    let Some(world) = World::new("each_of_ten_thousand_bans_is_told_by_count") else { return };
    let well = world.willing();
    // Takes connections, and never says a word.
    let mute = world.listener();
    let (mute_port, dead) = (mute.local_addr().unwrap().port(), world.free_port());
    let targets = format!(
        "http://127.0.0.1:{mute_port}/?name=mute http://127.0.0.1:{dead}/?name=dead http://127.0.0.1:{}/?name=well",
        well.port
    );
    let mut guard = world.guard(&targets, &[]);
    well.gets(&["nowhere"]);
    let before = memory(guard.pid());
    let list = world.folder().join("list");
    let mut file = std::fs::File::create(&list).unwrap();
    for n in 0..BANS {
        writeln!(file, "10.{}.{}.7", n / 256, n % 256).unwrap();
    }
    let answer = std::process::Command::new(env!("CARGO_BIN_EXE_guardctl"))
        .args(["ban", "-"])
        .env("GUARD_SOCKET", world.folder().join("guard/guard.sock"))
        .stdin(std::fs::File::open(&list).unwrap())
        .output()
        .unwrap();
    // It answers when all of them are in the kernel: no target has kept it waiting.
    assert!(answer.status.success(), "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.stdout).contains("10000 banned"), "{answer:?}");
    eventually("each one is told", || {
        let count = told(&well.bodies(), "banned");
        ensure(count == BANS, count)
    });
    let messages = well.seen().len();
    assert!(messages <= 8, "{messages} messages");
    let text = well
        .bodies()
        .iter()
        .map(|body| body["text"].as_str().unwrap().to_owned())
        .collect::<String>();
    assert!(text.contains("more bans in jail manual"), "{text}");
    // The same waits for the others: all bans, and that there is no engine.
    let sent = eventually("all is sent", || {
        let target = target(&guard, "well");
        let sent = target["sent"].as_u64().filter(|sent| *sent > BANS && target["waiting"] == 0);
        sent.ok_or_else(|| target.to_string())
    });
    for name in ["dead", "mute"] {
        let target = target(&guard, name);
        assert_eq!(
            (target["waiting"].as_u64(), target["sent"].as_u64()),
            (Some(sent), Some(0)),
            "{target}"
        );
    }
    let grown = memory(guard.pid()).saturating_sub(before);
    eprintln!("{messages} messages for {BANS} bans; {grown} KiB more memory");
    guard.sigterm();
    let log = guard.whole_log();
    for name in ["dead", "mute"] {
        let words = format!("{sent} notices to {name} were not sent before the end");
        assert!(log.contains(&words), "{words}: {}", guard.log());
    }
    drop(mute);
}

/// Resident memory, in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
