//! Brings a message to its target: the only place that talks to the net.
//!
//! No server is trusted with more than a status: redirects are not followed (the secret
//! would go along), some kilobytes of an answer are read, and every try has its time as a
//! whole.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::answer::{Answer, Outcome, shortened};
use super::outboxes::Due;
use super::service::{self, Request};
use super::smtp::{Parcel, Postman};
use super::target::{Service, Target};
use crate::model::chain;

/// A try takes so long at most.
const PATIENCE: Duration = Duration::from_secs(15);
/// So much of an answer's head is read, and of its body.
const MOST_HEAD: usize = 32 * 1024;
const MOST_BODY: u64 = 4096;

/// Sends messages; shared by all threads.
#[derive(Debug)]
pub struct Sender {
    host: String,
    /// By the CAs that everybody trusts, and by the private one, if there is any.
    agents: Vec<ureq::Agent>,
    postman: Postman,
}

/// The certificates in a PEM file.
///
/// # Errors
/// There are none, or they are none.
pub fn certificates(pem: &str) -> Result<Vec<ureq::tls::Certificate<'static>>, String> {
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(pem.as_bytes()) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    match found.is_empty() {
        true => Err("it holds no certificate in PEM".to_owned()),
        false => Ok(found),
    }
}

impl Sender {
    /// One that signs as `host` and trusts the private CA `ca` (PEM) too.
    pub fn new(host: String, ca: Option<&str>) -> Sender {
        let private = ca.and_then(|pem| certificates(pem).ok());
        let private = private.map(|certificates| RootCerts::Specific(Arc::new(certificates)));
        let agents = [RootCerts::WebPki].into_iter().chain(private).map(agent).collect();
        let postman = Postman::new(host.clone(), ca);
        Sender { host, agents, postman }
    }

    /// Tries once, and says what came of each.
    pub fn send(&self, target: &Target, due: &[Due]) -> Vec<Outcome> {
        let service = &target.service;
        if let Service::Mail(mail) = service {
            let parcel = |due: &Due| Parcel {
                to: mail.to.get(due.recipient).map_or("", String::as_str),
                letter: service::letter(&due.message, &self.host),
            };
            return self.postman.deliver(
                service,
                mail,
                &due.iter().map(parcel).collect::<Vec<_>>(),
            );
        }
        let one = |due: &Due| match service::request(service, &due.message, &self.host) {
            Some(request) => self.http(service, &request),
            None => Outcome::Refused("guard knows no way to send this".to_owned()),
        };
        due.iter().map(one).collect()
    }

    fn http(&self, service: &Service, request: &Request) -> Outcome {
        let mut last = None;
        for agent in &self.agents {
            match post(agent, request) {
                Ok(answer) => return answer.judge(service, Timestamp::now()),
                // Another CA may vouch for it; nothing was sent yet.
                Err(error) if is_tls(&error) => last = Some(error),
                Err(error) => return failed(service, &words(&error)),
            }
        }
        failed(service, &last.map(|error| words(&error)).unwrap_or_default())
    }
}

fn agent(roots: RootCerts) -> ureq::Agent {
    ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_response_header_size(MOST_HEAD)
        // A connection kept for hours would only be found dead.
        .max_idle_connections(0)
        .user_agent(concat!("guard/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn post(agent: &ureq::Agent, request: &Request) -> Result<Answer, ureq::Error> {
    let mut post = agent.post(request.url.tell()).header("Content-Type", "application/json");
    if let Some((name, value)) = &request.header {
        post = post.header(*name, value.tell());
    }
    if request.url.tell().starts_with("http://") {
        // A proxy of the environment would read the secret.
        post = post.config().proxy(None).build();
    }
    let mut response = post.send(request.body.to_string())?;
    let retry_after = response.headers().get("Retry-After");
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    // The status is there; a body that never ends, or breaks off, changes nothing.
    let _ = response.body_mut().as_reader().take(MOST_BODY).read_to_end(&mut body);
    Ok(Answer { status, retry_after, body })
}

fn is_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Why a try failed, for people.
fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        ureq::Error::HostNotFound => "the host's name is not found".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        error => chain(error),
    }
}

fn failed(service: &Service, why: &str) -> Outcome {
    Outcome::Failed { why: shortened(service, why), after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::{Message, targets};

    #[test]
    fn what_is_no_ca() {
        assert!(certificates("").is_err());
        assert!(
            certificates("-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----").is_err()
        );
    }

    #[test]
    fn nobody_there() {
        let target = targets(&["http://SECRETS@127.0.0.1:1/SECRETS"]).unwrap().remove(0);
        let message = Arc::new(Message::test(Timestamp::UNIX_EPOCH));
        let due = Due { recipient: 0, message };
        match Sender::new("h".into(), None).send(&target, &[due]).as_slice() {
            [Outcome::Failed { why, after: None }] => {
                assert!(why.contains("refused") && !why.contains("SECRET"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}
