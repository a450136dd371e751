//! guard: the daemon. Reads its settings from the environment and runs until a
//! signal. Exit codes: 0 done, 64 wrong settings, 70 internal, 77 no permission.

use std::io::IsTerminal;
use std::process::ExitCode;

use guard::daemon::log;
use guard::daemon::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};

/// Wrong usage or settings (sysexits.h).
const EX_USAGE: u8 = 64;
/// An internal error (sysexits.h).
const EX_SOFTWARE: u8 = 70;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--version" | "-V") => {
            println!("guard {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some(argument) => {
            eprintln!(
                "guard: takes no arguments (got `{argument}`): it is set up by GUARD_ variables; \
                 the commands are guardctl's"
            );
            return ExitCode::from(EX_USAGE);
        }
    }
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = match Settings::read(variables) {
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
