//! Every form of file, entry by entry.

use guard::journal::JournalReader;
use guard::model::{JournalMark, Line, MAX_LINE, Mark, Timestamp};
use serde_json::Value;

use crate::journald::{Journald, Setup, tools};

/// What a small generator of numbers makes of `seed`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[test]
fn all_forms_are_read_as_journalctl_reads_them() {
    let Some(tools) = tools("all_forms_are_read_as_journalctl_reads_them") else { return };
    for compact in ["0", "1"] {
        for compress in ["ZSTD", "LZ4", "0"] {
            for keyed in ["0", "1"] {
                let setup = Setup { compact, compress, keyed, ..Setup::default() };
                let journald = Journald::start(&tools, &setup);
                write_all_sorts(&journald, &format!("compact={compact} {compress} keyed={keyed}"));
            }
        }
    }
}

/// Entries of all sorts, and each of some terms' entries.
fn write_all_sorts(journald: &Journald, what: &str) {
    let mut random = Random(7);
    let texts: [&[u8]; 6] = [
        b"Bad password for alice from 192.0.2.1 port 22",
        b"several\nlines\n\nof one message",
        b"not \xff\xfeUTF-8, \x1b[1m colours and a nul \0",
        "Grüße aus 日本".as_bytes(),
        b"",
        b"{\"json\": \"text\"}",
    ];
    for number in 0..300_u64 {
        let mut message = texts[random.below(6) as usize].to_vec();
        if random.below(5) == 0 {
            let length = [600, 3000, 70_000][random.below(3) as usize];
            message.extend((0..length).map(|n: u64| b'a' + (n * n % 23) as u8));
        }
        message.extend_from_slice(number.to_string().as_bytes());
        let unit = ["ssh.service", "cron.service", "web app.service"][random.below(3) as usize];
        let pid = random.below(100).to_string();
        let number = number.to_string();
        let mut fields: Vec<(&str, &[u8])> =
            vec![("UNIT", unit.as_bytes()), ("NUMBER", number.as_bytes())];
        if random.below(10) > 0 {
            fields.push(("MESSAGE", &message));
        }
        if random.below(10) == 0 {
            fields.push(("MESSAGE", b"a second one"));
        }
        if random.below(3) > 0 {
            fields.push((
                "SYSLOG_IDENTIFIER",
                [&b"sshd"[..], b"kernel", b"a b"][random.below(3) as usize],
            ));
        }
        if random.below(4) == 0 {
            fields.push(("SYSLOG_PID", pid.as_bytes()));
        }
        let noise = vec![b'n'; 5000];
        if random.below(6) == 0 {
            fields.push(("NOISE", &noise));
        }
        journald.log(&fields);
    }
    for terms in [
        vec!["_TRANSPORT=journal"],
        vec!["UNIT=ssh.service", "UNIT=cron.service", "_TRANSPORT=journal"],
        vec!["UNIT=web app.service", "SYSLOG_IDENTIFIER=a b", "+", "NUMBER=7"],
        vec!["UNIT=none.service"],
    ] {
        let expected: Vec<_> = journald.entries(&terms).iter().map(expected).collect();
        let quoted: Vec<String> = terms
            .iter()
            .map(|term| if *term == "+" { "+".into() } else { format!("'{term}'") })
            .collect();
        let mut reader = JournalReader::new(
            journald.folders(),
            quoted.join(" ").parse().unwrap(),
            None,
            Timestamp::UNIX_EPOCH,
        );
        let found = read_to_end(&mut reader);
        assert_eq!(found.len(), expected.len(), "{what}: {terms:?} {:?}", reader.state());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{what}: {terms:?}");
        }
        assert!(expected.is_empty() == (terms[0] == "UNIT=none.service"));
        let state = reader.state();
        assert_eq!((state.damaged, state.problems), (0, vec![]), "{what}");
    }
}

/// All lines up to the end of what there is now.
pub(crate) fn read_to_end(reader: &mut JournalReader) -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut lines = Vec::new();
    runtime.block_on(async {
        while !reader.is_live() {
            lines.extend(reader.next().await.lines);
        }
    });
    lines
}

/// The line that guard should make of an entry, from journalctl's own words.
fn expected(entry: &Value) -> Line {
    let text = |name: &str| match entry.get(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(parts)) if parts.iter().all(Value::is_number) => bytes(parts),
        Some(Value::Array(parts)) => {
            let parts: Vec<Vec<u8>> = parts
                .iter()
                .map(|part| match part {
                    Value::Array(part) => bytes(part),
                    part => part.as_str().unwrap().as_bytes().to_vec(),
                })
                .collect();
            parts.join(&b' ')
        }
        Some(value) => value.as_str().unwrap().as_bytes().to_vec(),
    };
    let first = |names: [&str; 2]| names.map(text).into_iter().find(|value| !value.is_empty());
    let number = |name: &str| String::from_utf8(text(name)).unwrap().parse::<i64>().ok();

    let mut line = text("_HOSTNAME");
    line.push(b' ');
    let name = first(["SYSLOG_IDENTIFIER", "_COMM"]).unwrap();
    line.extend_from_slice(&name);
    let pid = first(["SYSLOG_PID", "_PID"]).unwrap();
    line.extend([&b"["[..], &pid, b"]: "].concat());
    line.extend(text("MESSAGE"));
    let line = String::from_utf8_lossy(&line).replace('\n', "\\n");
    let mut line = line[..line.floor_char_boundary(MAX_LINE)].to_owned();
    line.truncate(line.trim_end_matches('\r').len());

    let at = number("_SOURCE_REALTIME_TIMESTAMP").or(number("__REALTIME_TIMESTAMP")).unwrap();
    Line { at: Timestamp::from_microsecond(at).ok(), text: line, mark: Mark::Journal(mark(entry)) }
}

fn bytes(numbers: &[Value]) -> Vec<u8> {
    numbers.iter().map(|number| number.as_u64().unwrap() as u8).collect()
}

/// The place behind an entry, from journalctl's cursor.
pub(crate) fn mark(entry: &Value) -> JournalMark {
    let cursor = entry["__CURSOR"].as_str().unwrap();
    let part = |name: &str| {
        let parts = cursor.split(';').filter_map(|part| part.split_once('='));
        u128::from_str_radix({ parts }.find(|part| part.0 == name).unwrap().1, 16).unwrap()
    };
    JournalMark {
        sequence: part("s"),
        number: part("i") as u64,
        at: Timestamp::from_microsecond(part("t") as i64).unwrap(),
        boot: part("b"),
        since_boot: part("m") as u64,
    }
}
