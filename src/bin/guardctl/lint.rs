//! `guardctl lint`: what is wrong, or hardly meant so, in compose files, in filters,
//! and in the labels of what runs.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use guard::compose::{self, Finding};
use guard::control::client::Client;
use guard::control::print::{self, Outcome};
use guard::control::protocol::{Overview, Reply, Request};
use guard::filter::Library;
use guard::filters::{Catalog, DEFAULT_PATH, lint};
use guard::labels::{Defaults, Severity};

use super::Failure;

/// Shown below the options by `guardctl help lint`.
const EXAMPLES: &str = "\
Examples:
  What runs, as guard sees it:
    guardctl lint
  A compose file before it runs, for example as a step of CI; needs no guard:
    guardctl lint docker-compose.yml
  Regexes and filters:
    guardctl lint --failregex 'login failed for .* from <HOST>' --filter nginx-http-auth

Exit codes: 0 nothing found, 1 something found, 2 usage: no such file or filter, 3 no guard
answers.";

/// Find what is wrong in compose files, filters, and labels of running containers
///
/// With FILEs: unknown options, wrong values, `$` that Compose swallows, files that guard
/// can't see, regexes in which an attacker's text decides who is banned, each with its line.
/// With --filter or --failregex: the same for these. Without either: what guard has
/// to say of the containers that run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Compose files
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A filter, perhaps with options: `sshd[mode=aggressive]`
    #[arg(long, value_name = "NAME[opts]")]
    filter: Vec<String>,
    /// A failregex
    #[arg(long, value_name = "RE", allow_hyphen_values = true)]
    failregex: Vec<String>,
    /// An ignoreregex beside `--failregex`
    #[arg(long, value_name = "RE", requires = "failregex", allow_hyphen_values = true)]
    ignoreregex: Vec<String>,
    /// A prefregex beside `--failregex`
    #[arg(long, value_name = "RE", requires = "failregex", allow_hyphen_values = true)]
    prefregex: Option<String>,
    /// A datepattern beside `--failregex`
    #[arg(long, value_name = "P", requires = "failregex", allow_hyphen_values = true)]
    datepattern: Option<String>,
    /// A folder with filters, before all others
    #[arg(long, value_name = "DIR")]
    filter_path: Vec<String>,
}

/// Looks, and says what there is.
pub(super) fn run(options: Options, socket: &Path, json: bool) -> Result<Outcome, Failure> {
    if !options.files.is_empty() {
        return files(&options, json);
    }
    if options.filter.is_empty() && options.failregex.is_empty() {
        return what_runs(socket, json);
    }
    Ok(filters(options, json)?)
}

fn filters(options: Options, json: bool) -> io::Result<Outcome> {
    let asked = lint::Asked {
        filters: options.filter,
        failregex: options.failregex,
        ignoreregex: options.ignoreregex,
        prefregex: options.prefregex,
        datepattern: options.datepattern,
        filter_path: options.filter_path,
        json,
    };
    let (text, outcome) = lint::run(&asked, &filter_path());
    match outcome {
        Outcome::Usage => write!(anstream::stderr(), "{text}")?,
        _ => write!(anstream::stdout(), "{text}")?,
    }
    Ok(outcome)
}

fn filter_path() -> String {
    std::env::var("GUARD_FILTER_PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned())
}

fn files(options: &Options, json: bool) -> Result<Outcome, Failure> {
    let folders = options.filter_path.iter().flat_map(|path| path.split(':')).map(PathBuf::from);
    let catalog = Catalog::new(&filter_path()).after(folders.collect());
    let mut library = Library::of(catalog);
    let mut all: Vec<(String, Finding)> = Vec::new();
    for path in &options.files {
        let name = path.display().to_string();
        let text = read(path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let variables = variables(path);
        let found = compose::lint(&name, &text, &variables, &Defaults::default(), &mut library);
        all.extend(found.into_iter().map(|finding| (name.clone(), finding)));
    }
    let mut out = anstream::stdout();
    if json {
        let findings: Vec<_> = all.iter().map(|(file, finding)| as_json(file, finding)).collect();
        let text = serde_json::json!({ "findings": findings });
        writeln!(out, "{}", print::safe_json(&text.to_string()))?;
    } else {
        for (file, finding) in &all {
            writeln!(out, "{}\n", as_text(file, finding))?;
        }
    }
    Ok(if all.is_empty() { Outcome::Done } else { Outcome::Refused })
}

/// No more than may be read, and a little, so that too much is noticed.
fn read(path: &Path) -> io::Result<String> {
    let most = u64::try_from(compose::MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    std::fs::File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

/// What Compose puts in for `$`: the environment, and before it `.env` beside the file.
fn variables(path: &Path) -> BTreeMap<String, String> {
    let beside = path.parent().unwrap_or(Path::new("")).join(".env");
    let lines = std::fs::read_to_string(beside).unwrap_or_default();
    let mut variables: BTreeMap<String, String> = lines
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            let name = name.trim().trim_start_matches("export ").trim().to_owned();
            (name, value.trim().trim_matches(['"', '\'']).to_owned())
        })
        .collect();
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.extend(own);
    variables
}

fn as_text(file: &str, finding: &Finding) -> String {
    if let Some(shown) = &finding.shown {
        return shown.clone();
    }
    let service = match &finding.service {
        Some(service) => format!(", service {service}"),
        None => String::new(),
    };
    let place = print::escape(file).into_owned();
    format!(
        "{}: {}\n --> {place}:{}{}",
        word(finding.severity),
        print::escape(&finding.what),
        finding.line,
        print::escape(&service)
    )
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn as_json(file: &str, finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "file": file,
        "line": finding.line,
        "service": finding.service,
        "severity": word(finding.severity),
        "what": finding.what,
    })
}

/// What guard has to say of the labels of containers that run.
fn what_runs(socket: &Path, json: bool) -> Result<Outcome, Failure> {
    let reply = Client::connect(socket)?.ask(Request::Status { jail: None })?;
    let Reply::Status(Overview { refused, jails, .. }) = &reply else {
        super::show(&reply, json)?;
        return Ok(print::outcome(&reply));
    };
    let warned: Vec<_> = jails.iter().filter(|jail| !jail.warnings.is_empty()).collect();
    let mut out = anstream::stdout();
    if json {
        let text = serde_json::json!({
            "refused": refused,
            "warnings": warned
                .iter()
                .map(|jail| serde_json::json!({ "jail": jail.name, "what": jail.warnings }))
                .collect::<Vec<_>>(),
        });
        writeln!(out, "{}", print::safe_json(&text.to_string()))?;
    } else {
        for refusal in refused {
            writeln!(out, "{}\n", refusal.complaint.trim_end())?;
        }
        for jail in &warned {
            for warning in &jail.warnings {
                writeln!(out, "warning: jail {}: {}\n", jail.name, print::escape(warning))?;
            }
        }
    }
    let clean = refused.is_empty() && warned.is_empty();
    Ok(if clean { Outcome::Done } else { Outcome::Refused })
}
