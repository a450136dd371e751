//! Writes numbered lines to its output, one failure each, for ever, and goes on
//! counting where it was when it is started again.
//!
//! ```text
//! writer STATE [--pause MILLISECONDS] [--long EVERY] [--v6]
//!
//! soak 300 from 10.0.1.44
//! ```
//!
//! Every third line goes to standard error. Of each two hundred lines forty come
//! without a pause. `--long`: every so-manieth line is about as long as the pieces
//! into which Docker cuts lines, or several of them.
//!
//! The file STATE has two numbers: the line that is being written, and the one that
//! was written last. If they differ at the start, the former one may have been
//! written or not; it goes to the list STATE.unsure, and is not written again. While
//! there is a file `stop` beside STATE nothing is written. A file STATE.burst asks for
//! so many lines at once as it says, and is removed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Lengths of long lines: around one piece of 16 KiB, and several.
const LENGTHS: [usize; 8] = [16_384, 20_000, 16_383, 32_768, 16_385, 60_000, 32_767, 17_000];

struct Writer {
    state: PathBuf,
    pause: Duration,
    long: Option<u64>,
    v6: bool,
    stdout: File,
}

fn main() -> io::Result<()> {
    let writer = arguments();
    let state = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&writer.state)?;
    let mut number = first(&writer.state, &state)?;
    let stop = writer.state.with_file_name("stop");
    let burst = writer.state.with_extension("burst");
    let mut at_once = 0_u64;
    loop {
        while stop.exists() {
            std::thread::sleep(Duration::from_millis(100));
        }
        state.write_all_at(&number.to_le_bytes(), 0)?;
        writer.write(number)?;
        state.write_all_at(&number.to_le_bytes(), 8)?;
        number += 1;
        at_once = at_once.saturating_sub(1);
        if at_once > 0 || number % 200 < 40 {
            continue;
        }
        std::thread::sleep(writer.pause);
        if let Ok(count) = std::fs::read_to_string(&burst) {
            at_once = count.parse().unwrap_or(0);
            std::fs::remove_file(&burst)?;
        }
    }
}

fn arguments() -> Writer {
    let mut arguments = std::env::args().skip(1);
    let state = arguments.next().expect("the first argument is the state").into();
    let stdout = io::stdout().as_fd().try_clone_to_owned().expect("it is open").into();
    let mut writer =
        Writer { state, pause: Duration::from_millis(30), long: None, v6: false, stdout };
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().and_then(|text| text.parse().ok());
        match option.as_str() {
            "--pause" => writer.pause = Duration::from_millis(value().expect("milliseconds")),
            "--long" => writer.long = Some(value().expect("a number")),
            "--v6" => writer.v6 = true,
            other => panic!("what is `{other}`?"),
        }
    }
    writer
}

/// The number to go on with.
fn first(path: &Path, state: &File) -> io::Result<u64> {
    let mut bytes = [0; 16];
    if state.metadata()?.len() < 16 {
        state.write_all_at(&bytes, 0)?;
    }
    state.read_exact_at(&mut bytes, 0)?;
    let [begun, done] = [&bytes[..8], &bytes[8..]]
        .map(|half| u64::from_le_bytes(half.try_into().expect("eight bytes")));
    if begun != done {
        let path = path.with_extension("unsure");
        writeln!(OpenOptions::new().create(true).append(true).open(path)?, "{begun}")?;
        state.write_all_at(&begun.to_le_bytes(), 8)?;
    }
    Ok(begun + 1)
}

impl Writer {
    fn write(&self, number: u64) -> io::Result<()> {
        let mut line = format!("soak {number} ");
        let [.., a, b, c] = number.to_be_bytes();
        let from = if self.v6 {
            format!("from 2001:db8::{:x}:{:x}\n", number >> 16, number & 0xffff)
        } else {
            format!("from 10.{a}.{b}.{c}\n")
        };
        if let Some(every) = self.long
            && number % every == 0
        {
            let length = LENGTHS[(number / every) as usize % LENGTHS.len()];
            let filler = length.saturating_sub(line.len() + from.len() + 1);
            line.extend(std::iter::repeat_n('x', filler));
            line.push(' ');
        }
        line.push_str(&from);
        if number % 3 == 0 {
            io::stderr().lock().write_all(line.as_bytes())
        } else {
            // Line by line, but not in the pieces that `Stdout` makes of a long one.
            (&self.stdout).write_all(line.as_bytes())
        }
    }
}
