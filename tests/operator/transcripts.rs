//! docs/guardctl.md shows what guardctl prints, and this test is why that is so. With
//! `GUARD_WRITE_TRANSCRIPTS=1` (`make readme`) it writes them.

use std::path::PathBuf;
use std::process::Stdio;

use crate::world::World;

/// A block of commands and what they print.
const BEGIN: &str = "```console\n";
const END: &str = "```\n";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/guardctl.md")
}

#[test]
fn the_transcripts_are_what_is_printed() {
    let world = World::new();
    let text = std::fs::read_to_string(path()).unwrap();
    let (mut made, mut rest, mut count) = (String::new(), text.as_str(), 0);
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (block, after) = after.split_once(END).expect("the block ends");
        made.push_str(before);
        made.push_str(BEGIN);
        for command in block.lines().filter_map(|line| line.strip_prefix("$ guardctl ")) {
            made.push_str(&format!("$ guardctl {command}\n{}", printed(&world, command)));
            count += 1;
        }
        made.push_str(END);
        rest = after;
    }
    made.push_str(rest);
    assert!(count >= 10, "{count} commands");
    if std::env::var_os("GUARD_WRITE_TRANSCRIPTS").is_some() {
        std::fs::write(path(), made).unwrap();
    } else {
        assert_eq!(text, made, "run `make readme`");
    }
}

/// What a terminal without colours shows. A test must not stand in a shell's place: the
/// words have no quotes.
fn printed(world: &World, command: &str) -> String {
    let words = command.split(' ');
    let output = world.guardctl().args(words).stdin(Stdio::null()).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    // Those are for `column` and eyes; Markdown shows them as it likes.
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
