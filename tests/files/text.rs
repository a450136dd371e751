//! Encodings, ends of lines, holes, and lines that are too long.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use guard::model::MAX_LINE;

use crate::world::{World, run};

fn check(encoding: &str, bytes: &[u8], expected: &[&str]) {
    run(async {
        let mut world = World::new("/logs/app.log").encoded(encoding);
        // Piece by piece, with guard stopped between, in the middle of characters.
        for piece in bytes.chunks(bytes.len().div_ceil(5)) {
            world.append("app.log", piece);
            world.stop();
            world.start();
            world.drain(0).await;
        }
        world.drain(expected.len()).await;
        assert_eq!(world.read, expected, "{encoding}");
    });
}

#[test]
fn encodings() {
    let text = "\u{feff}première\r\nਊ ഊ Ċ\nlast\n";
    let expected = ["première", "ਊ ഊ Ċ", "last"];
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    check("auto", text.as_bytes(), &expected);
    check("auto", &little, &expected);
    check("auto", &big, &expected);
    check("utf-16", &big, &expected);
    check("utf-16-be", &big[2..], &expected);
    check("latin-1", b"premi\xe8re\nlast\n", &["première", "last"]);
    check("cp1251", b"\xef\xf0\xe8\n", &["при"]);
    check("auto", b"bad \xff byte\n", &["bad \u{fffd} byte"]);
}

/// A writer that does not append goes on where it was, and what was before it is a hole.
#[test]
fn a_writer_that_goes_on_in_an_emptied_file_leaves_a_hole() {
    run(async {
        let mut world = World::new("/logs/app.log");
        let mut writer = File::create(world.path("app.log")).unwrap();
        writer.write_all("before\n".repeat(100_000).as_bytes()).unwrap();
        world.drain(100_000).await;
        world.copy_and_truncate("app.log", "app.log.1");
        writer.write_all(b"after\nnul\0inside\n").unwrap();
        world.drain(100_002).await;
        assert_eq!(world.read[100_000..], ["after", "nul\0inside"]);
        // A hole without end is no reason to read without end.
        writer.set_len(1 << 40).unwrap();
        world.drain(100_002).await;
        assert_eq!(world.states()[0].behind, 0);
        writer.seek(SeekFrom::Start(1 << 39)).unwrap();
        writer.write_all(b"far\n").unwrap();
        world.drain(100_003).await;
        assert_eq!(world.read[100_002], "far");
    });
}

#[test]
fn what_is_cut_off_long_lines_is_counted() {
    run(async {
        let mut world = World::new("/logs/app.log");
        world.append(
            "app.log",
            "y".repeat(MAX_LINE + 100) + "\nshort\n" + &"z".repeat(3 * MAX_LINE),
        );
        world.drain(2).await;
        world.append("app.log", "\n");
        world.drain(3).await;
        assert!(world.read.iter().all(|line| line.len() <= MAX_LINE));
        let state = world.states().remove(0);
        assert_eq!((state.cut_lines, state.cut_bytes), (2, 100 + 2 * MAX_LINE as u64));
    });
}

/// It may still be written. When another file has taken its place, it is a line.
#[test]
fn a_last_line_without_its_end_is_given_when_the_file_is_over() {
    run(async {
        let mut world = World::new("/logs/app.log");
        world.append("app.log", "one\nhalf");
        world.drain(1).await;
        assert_eq!(world.read, ["one"]);
        world.append("app.log", " and half");
        world.rename("app.log", "app.log.1");
        world.append("app.log", "two\n");
        world.drain(3).await;
        world.read.sort();
        assert_eq!(world.read, ["half and half", "one", "two"]);
    });
}
