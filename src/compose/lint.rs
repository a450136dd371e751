//! What is wrong in a compose file, and what is hardly meant so.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::services::{Label, Service, Volume, services};
use super::yaml;
use crate::filter::Library;
use crate::labels::{self, Complaint, Defaults, Severity};
use crate::model::{Container, ContainerId, LabelSet, ServiceId};

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Does it keep a jail from working, or is it only worth a look?
    pub severity: Severity,
    /// The line of the file, counted from 1.
    pub line: usize,
    /// The service; none: the file itself.
    pub service: Option<String>,
    /// What is wrong and what to do, in one line.
    pub what: String,
    /// The place shown with the text around it, where a label's value is wrong.
    pub shown: Option<String>,
}

/// Looks at a compose file called `path`, whose text is `file`; `variables` are those
/// that Compose would put in for `$`.
pub fn lint(
    path: &str,
    file: &str,
    variables: &BTreeMap<String, String>,
    defaults: &Defaults,
    library: &mut Library,
) -> Vec<Finding> {
    let whole = |line, what: String| {
        vec![Finding { severity: Severity::Error, line, service: None, what, shown: None }]
    };
    if file.len() > super::MAX_FILE {
        return whole(1, format!("the file is longer than {} bytes", super::MAX_FILE));
    }
    let root = match yaml::read(file) {
        Ok(Some(root)) => root,
        Ok(None) => return whole(1, "the file is empty".to_owned()),
        Err(broken) => return whole(broken.line, format!("this is no YAML: {}", broken.what)),
    };
    let services = services(&root, file, variables);
    if services.is_empty() {
        return whole(1, "the file has no services: is it a compose file?".to_owned());
    }
    let guard = services.iter().find(|service| is_guard(service));
    let mut findings = Vec::new();
    for service in &services {
        let own = guard.is_some_and(|guard| guard.name == service.name);
        let mut notes = Notes { path, service, findings: &mut findings };
        if own {
            notes.about_guard();
        }
        notes.dollars(defaults.prefix());
        notes.labels(own, defaults, library);
        notes.surroundings(guard.filter(|_| !own), defaults.prefix());
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// guard's own service has the engine's socket and guard's name somewhere.
fn is_guard(service: &Service) -> bool {
    let names = [Some(&service.name), service.container_name.as_ref(), Some(&service.image)];
    let named = names.into_iter().flatten().any(|name| {
        let last = name.rsplit('/').next().unwrap_or(name);
        last.split([':', '@']).next() == Some("guard")
    });
    let socket = |volume: &Volume| volume.target.ends_with("docker.sock");
    named && (service.network_mode == "host" || service.volumes.iter().any(socket))
}

struct Notes<'a> {
    path: &'a str,
    service: &'a Service,
    findings: &'a mut Vec<Finding>,
}

impl Notes<'_> {
    fn add(&mut self, severity: Severity, line: usize, what: impl Into<String>) {
        let service = Some(self.service.name.clone());
        self.findings.push(Finding { severity, line, service, what: what.into(), shown: None });
    }

    fn error(&mut self, line: usize, text: impl Into<String>) {
        self.add(Severity::Error, line, text);
    }

    fn warn(&mut self, line: usize, text: impl Into<String>) {
        self.add(Severity::Warning, line, text);
    }

    /// What Compose does to `$`, and YAML to `#`.
    fn dollars(&mut self, prefix: &str) {
        let service = self.service;
        for label in service.labels.iter().filter(|label| is_ours(&label.key, prefix)) {
            let key = &label.key;
            if let Some(invalid) = &label.value.invalid {
                self.error(
                    label.line,
                    format!(
                        "{key}: Compose refuses `{invalid}`: write `$$` for each `$` of a regex"
                    ),
                );
            }
            for name in &label.value.swallowed {
                self.error(
                    label.line,
                    format!(
                        "{key}: Compose puts a variable in for `${name}`, and it is not set, so \
                         nothing stands there: write `$${name}` if it belongs to the regex"
                    ),
                );
            }
            // Behind a number a comment is usual; a regex may go on with it.
            if let Some(comment) = label.comment.as_ref().filter(|_| is_regex(key)) {
                self.warn(
                    label.line,
                    format!(
                        "{key}: YAML takes `{comment}` for a comment: put the value in quotes if \
                         it belongs to it"
                    ),
                );
            }
        }
        for (key, line) in service.deploy_labels.iter().filter(|(key, _)| is_ours(key, prefix)) {
            self.error(
                *line,
                format!(
                    "{key}: labels under `deploy` are the Swarm service's, its containers don't \
                     get them: move it to `labels` of the service"
                ),
            );
        }
    }

    /// What guard itself will say of the labels.
    fn labels(&mut self, own: bool, defaults: &Defaults, library: &mut Library) {
        let service = self.service;
        let container = container(service, own);
        for complaint in labels::read(&container, defaults, library).complaints {
            let label = service.labels.iter().find(|label| label.key == complaint.label);
            let line = label.map_or(service.line, |label| line_of(label, &complaint));
            let whose = format!("{}:{line}, service {}", self.path, service.name);
            let remedy = complaint.remedy.as_ref().map(|remedy| format!("; {remedy}"));
            self.findings.push(Finding {
                severity: complaint.severity,
                line,
                service: Some(service.name.clone()),
                what: format!(
                    "{}: {}{}",
                    complaint.label,
                    complaint.what,
                    remedy.unwrap_or_default()
                ),
                shown: Some(complaint.render_of(&whose)),
            });
        }
    }

    /// What keeps guard from reading and banning, other than labels.
    fn surroundings(&mut self, guard: Option<&Service>, prefix: &str) {
        let service = self.service;
        let ours = service.labels.iter().filter(|label| is_ours(&label.key, prefix));
        let paths: Vec<&Label> = ours.clone().filter(|label| is_logpath(&label.key)).collect();
        if ours.count() == 0 {
            return;
        }
        let driver = service.log_driver.as_ref();
        if let Some((driver, line)) = driver.filter(|(name, _)| name == "none")
            && paths.is_empty()
        {
            self.error(
                *line,
                format!(
                    "the log driver `{driver}` keeps nothing that could be read: take json-file, \
                     local or journald, or follow a file by `{prefix}.logpath`"
                ),
            );
        }
        if service.network_mode == "none" {
            self.warn(service.line, "with `network_mode: none` nobody comes to this service");
        }
        if let Some(guard) = guard {
            self.reach(guard, &paths);
        }
    }

    /// Can guard see the files?
    fn reach(&mut self, guard: &Service, paths: &[&Label]) {
        let service = self.service;
        for label in paths {
            for path in label.value.text.lines().map(str::trim).filter(|path| path.starts_with('/'))
            {
                let mounts = service.volumes.iter().filter(|volume| is_below(path, &volume.target));
                let longest = mounts.max_by_key(|volume| volume.target.len());
                let Some(volume) = longest else {
                    self.warn(
                        label.line,
                        format!(
                            "{}: `{path}` is on no volume, so guard sees it only with `pid: host` \
                             and the capability SYS_PTRACE: put the log's folder on a volume",
                            label.key
                        ),
                    );
                    continue;
                };
                let (seen, line) = if volume.is_path() {
                    let source = volume.source.trim_end_matches('/');
                    let seen = guard.volumes.iter().any(|mine| covers(&mine.source, source));
                    (seen, format!("{source}:/host/logs/{}:ro", service.name))
                } else {
                    const VOLUMES: &str = "/var/lib/docker/volumes";
                    let seen = guard
                        .volumes
                        .iter()
                        .any(|mine| mine.source == volume.source || covers(&mine.source, VOLUMES));
                    (seen, format!("{VOLUMES}:{VOLUMES}:ro,rslave"))
                };
                if !seen {
                    self.error(
                        label.line,
                        format!(
                            "{}: guard does not see `{path}`: add to the volumes of service `{}`: \
                             `- {line}`",
                            label.key, guard.name
                        ),
                    );
                }
            }
        }
    }

    /// What guard's own service needs.
    fn about_guard(&mut self) {
        let service = self.service;
        if service.network_mode != "host" {
            self.error(
                service.line,
                "guard needs `network_mode: host`: in a network of its own it bans nobody",
            );
        }
        let socket = |volume: &Volume| volume.target.ends_with("docker.sock");
        if !service.volumes.iter().any(socket) {
            self.warn(
                service.line,
                "guard sees no engine unless DOCKER_HOST names one: mount \
                 `/var/run/docker.sock:/var/run/docker.sock:ro`",
            );
        }
        let has = |name: &str| {
            service.privileged || service.capabilities.iter().any(|c| c == name || c == "ALL")
        };
        let missing: Vec<&str> =
            ["NET_ADMIN", "NET_RAW"].into_iter().filter(|name| !has(name)).collect();
        if !missing.is_empty() {
            let text = format!("guard can't ban without `cap_add: [{}]`", missing.join(", "));
            self.error(service.line, text);
        }
        if !service
            .volumes
            .iter()
            .any(|volume| volume.target.trim_end_matches('/') == "/var/lib/guard")
        {
            self.warn(
                service.line,
                "nothing is mounted at /var/lib/guard: bans are forgotten with the container; add \
                 `- guard-data:/var/lib/guard`",
            );
        }
    }
}

fn is_ours(key: &str, prefix: &str) -> bool {
    key.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        && key[prefix.len()..].starts_with('.')
}

fn is_logpath(key: &str) -> bool {
    key.to_ascii_lowercase().split('.').any(|part| part == "logpath")
}

fn is_regex(key: &str) -> bool {
    key.to_ascii_lowercase().split('.').any(|part| part.ends_with("regex") || part == "datepattern")
}

fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Does a mount of `mine` show `theirs`?
fn covers(mine: &str, theirs: &str) -> bool {
    mine == "/" || is_below(theirs, mine)
}

/// The line of the file that a complaint is about.
fn line_of(label: &Label, complaint: &Complaint) -> usize {
    if complaint.in_key {
        return label.line;
    }
    let before = complaint.value.get(..complaint.span.start).unwrap_or_default();
    label.value_line + before.matches('\n').count()
}

fn container(service: &Service, own: bool) -> Container {
    let labels: LabelSet =
        service.labels.iter().map(|label| (label.key.clone(), label.value.text.clone())).collect();
    Container {
        id: ContainerId(Arc::from(service.name.as_str())),
        name: Arc::from(service.name.as_str()),
        service: ServiceId::Compose {
            project: "compose".into(),
            service: Arc::from(service.name.as_str()),
        },
        labels,
        tty: service.tty,
        log_driver: service.log_driver.as_ref().map_or("json-file", |(name, _)| name).to_owned(),
        network_mode: service.network_mode.clone(),
        own,
        ..Container::named(&service.name)
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
