//! Prometheus' own programs, unpacked by `scripts/prometheus-tools.sh`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder of the programs, named by `GUARD_TEST_PROMETHEUS` or found in cargo's target
/// folder. `None`: the test can't run, and says so, or fails if `GUARD_TEST_REQUIRE` lists
/// `prometheus`.
pub(crate) fn tools(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("GUARD_TEST_PROMETHEUS").map(PathBuf::from);
    let left = || {
        let target = std::env::current_exe().ok()?;
        // target/debug/deps/metrics-…
        let tools = target.ancestors().nth(3)?.join("prometheus-tools");
        let mut folders = std::fs::read_dir(tools).ok()?.flatten().map(|entry| entry.path());
        folders.find(|folder| folder.join("promtool").is_file())
    };
    if let Some(folder) = named.or_else(left) {
        return Some(folder);
    }
    let reason = "no unpacked Prometheus (scripts/prometheus-tools.sh)";
    let required = std::env::var("GUARD_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|what| what.trim() == "prometheus"), "{test}: {reason}");
    // Not by `eprintln!`, which the test harness swallows when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
    None
}

/// `promtool check …`, with this on its standard input: what it complains of.
pub(crate) fn check(
    tools: &std::path::Path,
    arguments: &[&str],
    input: &str,
) -> Result<(), String> {
    let mut child = Command::new(tools.join("promtool"))
        .arg("check")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("promtool ends");
    writer.join().expect("it only writes").map_err(|error| error.to_string())?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    // Of what it only advises against, it says so and succeeds, in some versions.
    let advice = arguments[0] == "metrics" && !said.trim().is_empty();
    if output.status.success() && !advice { Ok(()) } else { Err(said) }
}
