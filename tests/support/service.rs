//! Containers of the login service.

use super::image::IMAGE;
use super::{Host, run};

/// Arguments with which the login service logs as the Flask application does.
pub const FLASK: &[&str] = &["--format", "flask"];
/// The label that guards it.
pub const FLASK_REGEX: &str = r"Login failed for user '.*' \[IP: <HOST>\]$";
/// Arguments with which the login service logs as ownCloud does, to a file.
pub const OWNCLOUD: &[&str] = &["--format", "owncloud", "--file", "/mnt/data/files/owncloud.log"];
/// The label that guards it.
pub const OWNCLOUD_REGEX: &str = r#""message":"Login failed: '.*' \(Remote IP: '<HOST>'\)""#;

/// A container of the login service to be run.
#[derive(Clone, Debug)]
pub struct Service {
    name: String,
    program: String,
    options: Vec<String>,
    arguments: Vec<String>,
}

impl Service {
    /// A container of this name. SIGKILL stops it: nothing in it hears SIGTERM.
    pub fn new(name: &str) -> Service {
        let service = Service {
            name: name.to_owned(),
            program: IMAGE.to_owned(),
            options: Vec::new(),
            arguments: Vec::new(),
        };
        service.option("--name", name).option("--stop-signal", "KILL")
    }

    /// A container of a compose service, named as compose does.
    pub fn compose(project: &str, service: &str, number: usize) -> Service {
        Service::new(&format!("{project}-{service}-{number}"))
            .label("com.docker.compose.project", project)
            .label("com.docker.compose.service", service)
            .label("com.docker.compose.container-number", &number.to_string())
            .label("com.docker.compose.oneoff", "False")
    }

    /// An option of `docker run`.
    pub fn option(mut self, option: &str, value: &str) -> Service {
        self.options.extend([option.to_owned(), value.to_owned()]);
        self
    }

    /// An option of `docker run` that has no value.
    pub fn flag(mut self, option: &str) -> Service {
        self.options.push(option.to_owned());
        self
    }

    /// A label.
    pub fn label(self, label: &str, value: &str) -> Service {
        self.option("--label", &format!("{label}={value}"))
    }

    /// Labels of guard, without their prefix: `failregex`, `maxretry`, …
    pub fn guarded(self, labels: &[(&str, &str)]) -> Service {
        labels
            .iter()
            .fold(self, |service, (label, value)| service.label(&format!("guard.{label}"), value))
    }

    /// In the network with IPv4 and IPv6.
    pub fn dual(self) -> Service {
        self.option("--network", "dual")
    }

    /// A published port, as `-p` has it.
    pub fn publish(self, ports: &str) -> Service {
        self.option("--publish", ports)
    }

    /// A volume or bind mount, as `-v` has it.
    pub fn mount(self, mount: &str) -> Service {
        self.option("--volume", mount)
    }

    /// Runs this program, which was imported, instead of the login service.
    pub fn program(mut self, program: &str) -> Service {
        self.program = program.to_owned();
        self
    }

    /// Arguments of the program.
    pub fn arguments(mut self, arguments: &[&str]) -> Service {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Runs it, and gives the container's name.
    #[track_caller]
    pub fn run(&self, host: &Host) -> String {
        run(host
            .docker_command()
            .args(["run", "--detach"])
            .args(&self.options)
            .args([&self.program, &format!("/{}", self.program)])
            .args(&self.arguments));
        self.name.clone()
    }
}
