//! The Docker API, GET only: discovery, events, log streams, mounts. The only module that knows bollard.
//!
//! Invariants: nothing in here changes anything in the engine (every request is
//! a GET, so a socket proxy with `POST=0` is enough); everything that comes from
//! the engine is bounded before it is kept.

mod checkup;
mod discover;
mod error;
mod follow;
mod frames;
mod identity;
mod inspect;
mod messages;
pub mod mounts;
mod output;
mod platform;
mod resume;
mod roster;
mod tail;
pub mod tar;
mod zone;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use futures::Stream;

pub use checkup::TimedLine;
pub use discover::{Change, Discovery, discover};
pub use error::DockerError;
pub use follow::OutputReader;
pub use frames::OutputChoice;
pub use identity::container_ids;
pub use output::{OutputBatch, OutputNews, OutputStart};
pub use tail::Gap;

use crate::model::{ContainerId, EnginePlatform};

/// Where the engine listens unless `DOCKER_HOST` says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// How long the engine may take for the head of an answer and, again, for all
/// of a short one. A busy engine needs seconds for a long list.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// How long it may take to say that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Oldest API that has what guard needs: Docker 17.06's.
const OLDEST_API: (u32, u32) = (1, 30);

/// A connected engine. Cheap to clone; every clone is the same connection.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    host: String,
    info: std::sync::Arc<EngineInfo>,
}

/// What is known of the engine since it was connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its version, such as `28.5.2`.
    pub version: String,
    /// The API's version, such as `1.51`.
    pub api_version: String,
    /// The host's name, as the engine says it.
    pub name: Option<String>,
    /// `iptables`, `nftables`, each perhaps with `+firewalld`; `None`: an engine
    /// before 28.1, or one whose firewall is off, or `/info` may not be read
    /// ([`EngineInfo::tells_firewall`]).
    pub firewall_backend: Option<String>,
    /// What it runs on.
    pub platform: EnginePlatform,
    /// Is docker-proxy used? Only engines since 29.5 say it.
    pub userland_proxy: Option<bool>,
    /// Why `/info` can't be read, if so: a socket proxy without `INFO=1`.
    pub info_refused: Option<String>,
}

impl EngineInfo {
    /// Is it an engine that says what its firewall is? Then one that says nothing has
    /// none.
    pub fn tells_firewall(&self) -> bool {
        const SINCE: (u32, u32) = (1, 49);
        self.info_refused.is_none()
            && api_number(&self.api_version).is_some_and(|number| number >= SINCE)
    }
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and
    /// `DOCKER_CERT_PATH` name, agrees on a version of the API and asks what it is.
    pub async fn connect() -> Result<Engine, DockerError> {
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.trim().is_empty());
        let verify = std::env::var("DOCKER_TLS_VERIFY").is_ok_and(|value| !value.is_empty());
        Self::connect_to(host.as_deref().unwrap_or(DEFAULT_HOST), verify).await
    }

    /// Connects to the engine at `host`, written as in `DOCKER_HOST`; over TLS with
    /// the keys in `DOCKER_CERT_PATH` where `tls` says so, or `https://` does.
    pub async fn connect_to(host: &str, tls: bool) -> Result<Engine, DockerError> {
        let docker =
            open(host, tls).map_err(|error| setup_error(&error, host))?.with_timeout(ANSWER_TIME);
        // Before any clone: bollard's clones keep the version they were made with.
        let docker = timed("/version", docker.negotiate_version())
            .await?
            .map_err(|error| DockerError::from_bollard(&error, "/version", host))?;
        let mut engine = Engine { docker, host: host.to_owned(), info: std::sync::Arc::default() };
        engine.info = std::sync::Arc::new(engine.describe().await?);
        Ok(engine)
    }

    /// What was learned of the engine when it was connected.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Can the connection die without a word? (A socket on this host can't.)
    pub(crate) fn is_remote(&self) -> bool {
        !self.host.starts_with("unix://")
    }

    /// Asks the engine for a sign of life.
    pub(crate) async fn ping(&self) -> Result<(), DockerError> {
        let answer = tokio::time::timeout(SIGN_OF_LIFE, self.ask("/_ping", self.docker.ping()));
        answer.await.map_err(|_| DockerError::Timeout("/_ping"))?.map(drop)
    }

    /// One question with one short answer.
    async fn ask<T>(
        &self,
        what: &'static str,
        question: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        timed(what, question)
            .await?
            .map_err(|error| DockerError::from_bollard(&error, what, &self.host))
    }

    async fn describe(&self) -> Result<EngineInfo, DockerError> {
        let version = self.ask("/version", self.docker.version()).await?;
        let podman = platform::is_podman(&version);
        let api_version = version.api_version.unwrap_or_default();
        if api_number(&api_version).is_some_and(|number| number < OLDEST_API) {
            return Err(DockerError::TooOld(error::shorten(&api_version)));
        }
        let mut info = EngineInfo {
            version: error::shorten(&version.version.unwrap_or_default()),
            api_version: error::shorten(&api_version),
            platform: EnginePlatform { podman, ..EnginePlatform::default() },
            ..EngineInfo::default()
        };
        match self.ask("/info", self.docker.info()).await {
            Ok(told) => {
                info.platform = platform::platform(&told, podman, &self.host);
                info.name = told.name.as_deref().map(error::shorten);
                let firewall = told.firewall_backend.unwrap_or_default();
                info.userland_proxy = userland_proxy(&firewall.info.unwrap_or_default());
                info.firewall_backend = firewall.driver;
            }
            // guard can do without: it then looks at the firewall itself.
            Err(error) => info.info_refused = Some(error.sentence()),
        }
        Ok(info)
    }

    /// A container's output as the engine sends it, byte for byte.
    ///
    /// bollard's own `logs` would gather a TTY's output until a newline, without
    /// a bound, has no place for stream 3 and takes whole seconds only. Its
    /// export of a container is a GET below the same path whose body it hands
    /// on untouched; so that request is aimed at `logs` instead.
    pub(crate) fn raw_logs(
        &self,
        id: &ContainerId,
        query: &str,
    ) -> impl Stream<Item = Result<impl AsRef<[u8]> + use<>, DockerError>> + Send + Unpin + use<>
    {
        let target = format!("/logs?{query}");
        let docker = self.docker.clone().with_request_modifier(move |mut request| {
            let uri = request.uri().to_string();
            let aimed = uri.strip_suffix("/export").map(|base| format!("{base}{target}"));
            if let Some(Ok(uri)) = aimed.map(|uri| uri.parse()) {
                *request.uri_mut() = uri;
            }
            request
        });
        let host = self.host.clone();
        let stream = docker.export_container(&id.0);
        Box::pin(futures::StreamExt::map(stream, move |item| {
            item.map_err(|error| DockerError::from_bollard(&error, "/containers/logs", &host))
        }))
    }
}

/// What the engine says of docker-proxy among its pairs of words.
fn userland_proxy(told: &[Vec<String>]) -> Option<bool> {
    told.iter().find_map(|pair| match pair.as_slice() {
        [key, value] if key == "EnableUserlandProxy" => value.parse().ok(),
        _ => None,
    })
}

/// A client for `host`; nothing is asked yet.
fn open(host: &str, tls: bool) -> Result<Docker, bollard::errors::Error> {
    let plain = host.starts_with("tcp://") || host.starts_with("http://");
    if plain && !tls {
        // Not by `connect_with_host`: it takes an empty DOCKER_TLS_VERIFY for "on".
        return Docker::connect_with_http(
            host,
            ANSWER_TIME.as_secs(),
            bollard::API_DEFAULT_VERSION,
        );
    }
    Docker::connect_with_host(host)
}

/// An error before anything was sent: only the address and the keys can be wrong.
fn setup_error(error: &bollard::errors::Error, host: &str) -> DockerError {
    match DockerError::from_bollard(error, "/version", host) {
        DockerError::Broken { reason, .. } if Path::new(host).has_root() => {
            DockerError::BadHost(reason)
        }
        DockerError::Broken { reason, .. } if !host.starts_with("unix://") => {
            DockerError::Tls(reason)
        }
        other => other,
    }
}

async fn timed<T>(what: &'static str, question: impl Future<Output = T>) -> Result<T, DockerError> {
    tokio::time::timeout(ANSWER_TIME, question).await.map_err(|_| DockerError::Timeout(what))
}

fn api_number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A delay that doubles from try to try, up to a bound, and differs from one
/// follower to the next so that they don't all come back at once.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    first: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Backoff { next: first, first, longest }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait now: three quarters to five quarters of the plain delay.
    pub(crate) fn delay(&mut self) -> Duration {
        use std::hash::{BuildHasher, Hasher};
        let random = std::hash::RandomState::new().build_hasher().finish();
        let share = 0.75 + (random % 1000) as f64 / 2000.0;
        let delay = self.next.mul_f64(share);
        self.next = (self.next * 2).min(self.longest);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_and_is_bounded() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        assert!(backoff.delay() < Duration::from_millis(200));
        for _ in 0..100 {
            assert!(backoff.delay() <= Duration::from_millis(1250));
        }
        assert!(backoff.delay() >= Duration::from_millis(750));
        backoff.reset();
        assert!(backoff.delay() < Duration::from_millis(200));
    }

    #[test]
    fn api_versions_compare_as_numbers() {
        assert_eq!(api_number("1.41"), Some((1, 41)));
        assert!(api_number("1.9") < api_number("1.24"));
        assert_eq!(api_number("new"), None);
    }

    #[test]
    fn an_engine_that_says_nothing_of_its_firewall_has_none_or_is_old() {
        let told = |version: &str, refused: Option<&str>| {
            let info = EngineInfo {
                api_version: version.to_owned(),
                info_refused: refused.map(str::to_owned),
                ..EngineInfo::default()
            };
            info.tells_firewall()
        };
        assert!(told("1.49", None) && told("1.51", None));
        assert!(!told("1.48", None) && !told("", None));
        assert!(!told("1.51", Some("a proxy without INFO=1")));
    }

    #[tokio::test]
    async fn each_way_to_miss_the_engine_is_named() {
        let missing = Engine::connect_to("unix:///nowhere/docker.sock", false).await;
        assert_eq!(missing.err(), Some(DockerError::NoSocket("/nowhere/docker.sock".into())));
        let refused = Engine::connect_to("tcp://127.0.0.1:1", false).await;
        assert_eq!(refused.err(), Some(DockerError::Refused("tcp://127.0.0.1:1".into())));
        let scheme = Engine::connect_to("gopher://x", false).await;
        assert_eq!(scheme.err(), Some(DockerError::BadHost("gopher://x".into())));
    }
}
