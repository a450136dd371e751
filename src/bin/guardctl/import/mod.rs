//! `guardctl import`: fail2ban's configuration as labels, and its bans.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use guard::control::print::Outcome;
use guard::docker::Engine;
use guard::filters::{Catalog, DEFAULT_PATH};
use guard::import::{Ground, Import, Level, SharedFiles, import, of_server};
use guard::model::{Container, MountKind};

use crate::Failure;

mod archive;
mod bans;
mod report;
mod sources;

use bans::Renamed;

/// Shown below the options by `guardctl help import`.
const EXAMPLES: &str = "\
Examples:
  From the host's files, where guard runs in its container:
    tar -h -C /etc -c fail2ban | docker exec -i guard guardctl import - > labels.yml

  Where the logs belong to several Compose projects, a file for each:
    guardctl import /etc/fail2ban --project shop > shop.yml

  Where guardctl sees them itself:
    guardctl import /etc/fail2ban > labels.yml

  What would be lost, for programs:
    guardctl import /etc/fail2ban --json | jq -r '.remarks[] | select(.level == \"not taken over\")'

  Those whom fail2ban bans now, each for the rest of its time:
    docker exec -i guard guardctl import --bans - < /var/lib/fail2ban/fail2ban.sqlite3
    guardctl import --bans fail2ban.sqlite3 --jail sshd=host-ssh

The labels go to standard output, what is to be said of them to standard error. Nothing is
changed, neither fail2ban nor a container; --bans bans.

Exit codes: 0 all came over, 1 something did not (it is told, with its file and line), 2 usage,
3 no guard answers (--bans).";

/// Take over fail2ban's jails as labels, or its bans
///
/// Reads jail.conf, jail.d/*.conf, jail.local, jail.d/*.local, filters and actions as fail2ban
/// does, and prints the labels for each enabled jail as compose files: for the service whose
/// log it is, or for guard's own where it is the host's. Tells what has no counterpart.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Options {
    /// fail2ban's folder, or single files with jails or filters; `-`: a tar archive of the
    /// folder on standard input
    #[arg(value_name = "DIR|FILE", required_unless_present = "bans")]
    paths: Vec<PathBuf>,
    /// Take guard's own filter where it has one of the same name, and mount none for it
    #[arg(long)]
    own_filters: bool,
    /// Print only the compose file of this project; `-`: of services whose project is not known
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    project: Option<String>,
    /// Don't ask Docker whose log a path is
    #[arg(long)]
    no_docker: bool,
    /// Take over the bans of fail2ban's database; `-` reads it from standard input
    #[arg(
        long,
        value_name = "DB",
        conflicts_with_all = ["paths", "own_filters", "project", "no_docker"]
    )]
    bans: Option<PathBuf>,
    /// With --bans: the bans of fail2ban's jail OLD belong to guard's jail NEW; given twice for one
    /// OLD, to both
    #[arg(long, value_name = "OLD=NEW", requires = "bans")]
    jail: Vec<Renamed>,
}

/// Runs `guardctl import`.
///
/// # Errors
/// The configuration or the database can't be read, or guard can't be asked.
pub(crate) fn run(options: Options, socket: &Path, json: bool) -> Result<Outcome, Failure> {
    if let Some(database) = options.bans {
        return bans::run(&database, &options.jail, (socket, json));
    }
    let configuration = sources::read(&options.paths).map_err(Failure::Input)?;
    let (containers, problem) = match containers(options.no_docker) {
        Ok(containers) => (Some(containers), None),
        Err(why) => (None, Some(why)),
    };
    let own = containers.iter().flatten().find(|container| container.own);
    let ground = Ground {
        on_host: on_host(&options.paths, own),
        files: configuration.files,
        filter_folders: configuration.filter_folders,
        action_folders: configuration.action_folders,
        own: own_filters(own.is_some()),
        prefer_own: options.own_filters,
        containers,
    };
    let server = configuration.server;
    let mut import = import(configuration.settings, &ground);
    import.remarks.extend(server.iter().flat_map(of_server));
    if let Some(wanted) = &options.project {
        only(&mut import, wanted)?;
    }
    if json {
        anstream::stdout().write_all(report::json(&import, problem.as_deref()).as_bytes())?;
    } else {
        let mut out = anstream::stdout().lock();
        out.write_all(report::compose(&import).as_bytes())?;
        out.flush()?;
        anstream::stderr().write_all(report::text(&import, problem.as_deref()).as_bytes())?;
    }
    let lost = import.remarks.iter().any(|remark| remark.level == Level::Lost);
    Ok(if lost || import.enabled == 0 { Outcome::Refused } else { Outcome::Done })
}

/// Leaves only the compose file of a project to be printed.
fn only(import: &mut Import, wanted: &str) -> Result<(), Failure> {
    let is_it = |file: &guard::import::ComposeFile| {
        !file.outside && file.project.as_deref().unwrap_or("-") == wanted
    };
    if !import.files.iter().any(is_it) {
        let known = report::projects(import);
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let what = format!("no jail is for a project `{wanted}`; those that get labels: {known}");
        return Err(Failure::Usage(what));
    }
    import.files.retain(is_it);
    Ok(())
}

/// All containers, or why nobody says what there are.
fn containers(not_asked: bool) -> Result<Vec<Container>, String> {
    if not_asked {
        return Err("--no-docker".to_owned());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let engine = Engine::connect().await.map_err(|error| error.sentence())?;
        engine.containers("guard.").await.map_err(|error| error.sentence())
    })
}

/// The filters that guard has: beside its own those that are mounted, if this is its
/// container.
fn own_filters(inside: bool) -> SharedFiles {
    let named = std::env::var("GUARD_FILTER_PATH").ok();
    let path = named.as_deref().or(inside.then_some(DEFAULT_PATH)).unwrap_or_default();
    Arc::new(Catalog::new(path))
}

/// What the host calls the folders that guard's container has from it; none: all is called the
/// same, on the host itself or in an archive of it.
fn on_host(paths: &[PathBuf], own: Option<&Container>) -> Option<Vec<(String, String)>> {
    let own = own.filter(|_| paths.iter().all(|path| path.as_os_str() != "-"))?;
    let mounts = own.mounts.iter();
    let mounts = mounts.filter(|mount| mount.kind != MountKind::Other && !mount.source.is_empty());
    Some(mounts.map(|mount| (mount.destination.clone(), mount.source.clone())).collect())
}
