//! What can go wrong with the engine, in words that a person can act on.

use std::error::Error as _;
use std::io::ErrorKind;

use bollard::errors::Error as Bollard;

/// Longest text of the engine that is shown.
const MAX_MESSAGE: usize = 400;

/// A question to the engine that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DockerError {
    /// The socket's file is not there.
    #[error("there is no Docker socket at {0}")]
    NoSocket(String),
    /// The socket may not be opened.
    #[error("guard may not open the Docker socket {0}: permission denied")]
    Denied(String),
    /// Nothing listens at the other end.
    #[error("no Docker engine answers at {0}: connection refused")]
    Refused(String),
    /// `DOCKER_HOST` names something that guard can't speak to.
    #[error("DOCKER_HOST `{0}` is no address that guard can use")]
    BadHost(String),
    /// The keys for TLS can't be used.
    #[error("TLS to the Docker engine can't be set up: {0}")]
    Tls(String),
    /// A socket proxy in between refuses the question.
    #[error("the socket proxy refuses {0}")]
    Forbidden(&'static str),
    /// The engine speaks only older versions of the API.
    #[error("the Docker engine speaks API {0}, which is too old")]
    TooOld(String),
    /// The container's output can't be read back. Permanent.
    #[error("the output can't be read with the logging driver `{driver}`: {said}")]
    Unreadable {
        /// Its logging driver.
        driver: String,
        /// What the engine says.
        said: String,
    },
    /// There is no such container, or no such file in it.
    #[error("the Docker engine knows no such thing: {0}")]
    NotFound(String),
    /// The engine did not answer in time.
    #[error("the Docker engine did not answer {0} in time")]
    Timeout(&'static str),
    /// The engine answered with an error.
    #[error("the Docker engine answered {what} with status {status}: {message}")]
    Api {
        /// The path that was asked.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Anything else: a broken connection, an answer that can't be read.
    #[error("asking the Docker engine for {what} failed: {reason}")]
    Broken {
        /// The path that was asked.
        what: &'static str,
        /// The whole chain of causes.
        reason: String,
    },
}

impl DockerError {
    /// What to do about it, where that is known.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            DockerError::NoSocket(path) => format!(
                "mount it into guard's container with `- {path}:{path}:ro`, or set DOCKER_HOST"
            ),
            DockerError::Denied(_) => "run guard as root, or as a member of the group that owns \
                the socket (`group_add:`); with SELinux add `security_opt: [label=disable]`"
                .into(),
            DockerError::Refused(_) => {
                "start the Docker engine or the socket proxy, or correct DOCKER_HOST".into()
            }
            DockerError::BadHost(_) => {
                "use unix:///path, tcp://host:port, http://… or https://…".into()
            }
            DockerError::Tls(_) => {
                "DOCKER_CERT_PATH must name a directory with ca.pem, cert.pem and key.pem".into()
            }
            DockerError::Forbidden(what) => {
                let variable = proxy_variable(what);
                format!(
                    "set {variable}=1 in the socket proxy's environment (guard needs CONTAINERS, EVENTS, INFO, NETWORKS, PING and VERSION, and never POST)"
                )
            }
            DockerError::TooOld(_) => "update Docker to 20.10 or newer".into(),
            DockerError::Unreadable { .. } => "give the service `logging: {driver: local}` in \
                the compose file (json-file and journald do as well, and any other one without \
                `cache-disabled`), or give guard a log file with guard.logpath"
                .into(),
            DockerError::Timeout(_) => "look whether the Docker engine hangs (`docker ps`)".into(),
            DockerError::NotFound(_) | DockerError::Api { .. } | DockerError::Broken { .. } => {
                return None;
            }
        })
    }

    /// What is wrong and what to do, in one line.
    pub fn sentence(&self) -> String {
        match self.remedy() {
            Some(remedy) => format!("{self}; {remedy}"),
            None => self.to_string(),
        }
    }

    /// Can only a person mend it? Then asking again is of no use.
    pub fn is_permanent(&self) -> bool {
        matches!(self, DockerError::Unreadable { .. })
    }

    /// What bollard said, when guard asked for `what` at `host`.
    pub(crate) fn from_bollard(error: &Bollard, what: &'static str, host: &str) -> Self {
        match error {
            Bollard::DockerResponseServerError { status_code, message } => {
                Self::from_status(*status_code, message, what)
            }
            Bollard::SocketNotFoundError(path) => DockerError::NoSocket(plain_path(path)),
            Bollard::UnsupportedURISchemeError { uri } => DockerError::BadHost(shorten(uri)),
            Bollard::RequestTimeoutError => DockerError::Timeout(what),
            other => Self::from_cause(other, what, host),
        }
    }

    fn from_status(status: u16, message: &str, what: &'static str) -> Self {
        let lower = message.to_ascii_lowercase();
        match status {
            403 => DockerError::Forbidden(what),
            404 => DockerError::NotFound(shorten(message)),
            400 if lower.contains("is too new") => DockerError::TooOld(shorten(message)),
            // 501: the driver can't; 400: there is nothing that could be asked for.
            _ if lower.contains("does not support reading")
                || (what == "/containers/logs" && matches!(status, 400 | 501)) =>
            {
                DockerError::Unreadable { driver: "unknown".into(), said: shorten(message) }
            }
            _ => DockerError::Api { what, status, message: shorten(message) },
        }
    }

    /// Looks for the operating system's error behind whatever wraps it.
    fn from_cause(error: &Bollard, what: &'static str, host: &str) -> Self {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                match io.kind() {
                    ErrorKind::PermissionDenied => return DockerError::Denied(plain_path(host)),
                    ErrorKind::ConnectionRefused => return DockerError::Refused(plain_path(host)),
                    ErrorKind::NotFound if host.starts_with("unix://") => {
                        return DockerError::NoSocket(plain_path(host));
                    }
                    _ => {}
                }
            }
            let text = inner.to_string();
            if !reason.contains(&text) {
                reason = format!("{reason}: {text}");
            }
            cause = inner.source();
        }
        DockerError::Broken { what, reason: shorten(&reason) }
    }
}

/// The variable of Tecnativa's and LinuxServer's socket proxies that allows a path.
fn proxy_variable(what: &str) -> &'static str {
    match what {
        "/events" => "EVENTS",
        "/info" => "INFO",
        "/networks" => "NETWORKS",
        "/_ping" => "PING",
        "/version" => "VERSION",
        _ => "CONTAINERS",
    }
}

fn plain_path(host: &str) -> String {
    shorten(host.strip_prefix("unix://").unwrap_or(host))
}

/// Cuts foreign text and makes it harmless on a terminal.
pub(crate) fn shorten(text: &str) -> String {
    text.trim().chars().take(MAX_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_refuses_names_its_variable() {
        let error = Bollard::DockerResponseServerError {
            status_code: 403,
            message: "<html>forbidden</html>".into(),
        };
        for (what, variable) in [
            ("/containers/json", "CONTAINERS=1"),
            ("/events", "EVENTS=1"),
            ("/networks", "NETWORKS=1"),
        ] {
            let sentence = DockerError::from_bollard(&error, what, "tcp://proxy:2375").sentence();
            assert!(sentence.contains(variable), "{sentence}");
            assert!(sentence.contains(what), "{sentence}");
        }
    }

    #[test]
    fn a_driver_that_cannot_be_read_is_permanent() {
        let error = Bollard::DockerResponseServerError {
            status_code: 501,
            message: "configured logging driver does not support reading".into(),
        };
        let error = DockerError::from_bollard(&error, "/containers/logs", "unix:///x");
        assert!(error.is_permanent());
        assert!(error.sentence().contains("guard.logpath"));
        assert!(error.sentence().contains("logging: {driver: local}"), "{}", error.sentence());
    }

    #[test]
    fn only_logs_that_are_refused_are_permanent() {
        for (status, what, permanent) in [
            (501, "/containers/logs", true),
            (400, "/containers/logs", true),
            (500, "/containers/logs", false),
            (409, "/containers/logs", false),
            (400, "/events", false),
        ] {
            let message = "no".into();
            let error = Bollard::DockerResponseServerError { status_code: status, message };
            let error = DockerError::from_bollard(&error, what, "unix:///x");
            assert_eq!(error.is_permanent(), permanent, "{status} {what}");
        }
    }

    #[test]
    fn a_missing_socket_names_the_line_to_add() {
        let error = Bollard::SocketNotFoundError("/var/run/docker.sock".into());
        let sentence = DockerError::from_bollard(&error, "/version", "unix:///x").sentence();
        assert!(sentence.contains("- /var/run/docker.sock:/var/run/docker.sock:ro"), "{sentence}");
    }

    #[test]
    fn foreign_text_is_cut_and_harmless() {
        let text = shorten(&format!("\x1b[31m{}", "x".repeat(10_000)));
        assert_eq!(text.len(), MAX_MESSAGE);
        assert!(!text.contains('\x1b'));
    }
}
