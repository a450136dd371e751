//! guard: the daemon. Reads its settings from the environment and runs until a
//! signal. `guard cleanup` takes away what one that is gone has left in the firewall.
//! Exit codes: 0 done, 1 not all could be cleaned up, 64 wrong settings, 70 internal,
//! 77 no permission.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use guard::daemon::cleanup::Whose;
use guard::daemon::log;
use guard::daemon::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};

/// Wrong usage or settings (sysexits.h).
const EX_USAGE: u8 = 64;
/// An internal error (sysexits.h).
const EX_SOFTWARE: u8 = 70;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {}
        ["--version" | "-V"] => {
            println!("guard {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        ["cleanup"] => return clean_up(Whose::OfTheDead),
        ["cleanup", "--force"] => return clean_up(Whose::Anybodys),
        ["cleanup", argument, ..] | [argument, ..] => {
            eprintln!(
                "guard: knows no argument `{argument}`: it is set up by GUARD_ variables, and \
                 `guard cleanup [--force]` takes away what a guard that is gone has left in the \
                 firewall; all other commands are guardctl's"
            );
            return ExitCode::from(EX_USAGE);
        }
    }
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = match Settings::read_with(variables, &small_file) {
        Ok(settings) => settings,
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("guard: {mistake}");
            }
            return ExitCode::from(EX_USAGE);
        }
    };
    if let Err(why) = start_log(&settings) {
        eprintln!("guard: GUARD_LOG: {why}");
        return ExitCode::from(EX_USAGE);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("guard: can't start its threads: {error}");
            return ExitCode::from(EX_SOFTWARE);
        }
    };
    let outcome = runtime.block_on(async {
        let signals = stop_signal()?;
        Ok::<_, std::io::Error>(guard::daemon::run(settings, signals).await)
    });
    // What hangs after the grace is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(fatal)) => {
            tracing::error!("{}", guard::daemon::chain(&fatal));
            ExitCode::from(fatal.exit_code())
        }
        Err(error) => {
            tracing::error!("can't wait for signals: {error}");
            ExitCode::from(EX_SOFTWARE)
        }
    }
}

/// The text of a file that a variable names.
fn small_file(path: &Path) -> Result<String, String> {
    const MOST: u64 = 1 << 20;
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let length =
        file.take(MOST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if length as u64 > MOST {
        return Err(format!("it is longer than {MOST} bytes"));
    }
    Ok(text)
}

/// Says what was taken away.
fn clean_up(whose: Whose) -> ExitCode {
    let removed = match guard::daemon::cleanup::clean_up(whose) {
        Ok(removed) => removed,
        Err(another) => {
            eprintln!("guard: {another}; --force does it all the same");
            return ExitCode::FAILURE;
        }
    };
    for what in &removed.removed {
        println!("removed {what}");
    }
    for what in &removed.failed {
        eprintln!("guard: {what}");
    }
    if !removed.failed.is_empty() {
        return ExitCode::FAILURE;
    }
    if removed.removed.is_empty() {
        println!("nothing of guard's is in the firewall");
    }
    ExitCode::SUCCESS
}

/// Ready when SIGTERM or SIGINT comes.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("{name} received");
    })
}

fn start_log(settings: &Settings) -> Result<(), String> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !no_color;
    log::start(&settings.log, settings.log_format, colours)
}
