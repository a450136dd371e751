//! Brings a message to its target: the only place that talks to the net.
//!
//! No server is trusted with more than a status: redirects are not followed (the secret
//! would go along), a few kilobytes of an answer are read, and every try has its time.

use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::answer::{Answer, Outcome, shortened};
use super::mail::Encryption;
use super::notice::Message;
use super::service::{self, Letter, Request};
use super::target::{Mail, Service, Target};
use crate::model::chain;

/// A try takes so long at most.
const PATIENCE: Duration = Duration::from_secs(15);
/// Each step of handing over mail does.
const MAIL_PATIENCE: Duration = Duration::from_secs(10);
/// So much of an answer's head is read, and of its body.
const MOST_HEAD: usize = 32 * 1024;
const MOST_BODY: u64 = 4096;

/// Sends messages; shared by all threads.
#[derive(Debug)]
pub struct Sender {
    host: String,
    /// By the CAs that everybody trusts, and by the private one, if there is any.
    agents: Vec<ureq::Agent>,
    ca: Option<Certificate>,
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
        let ca = ca.and_then(|pem| Certificate::from_pem(pem.as_bytes()).ok());
        Sender { host, agents, ca }
    }

    /// Tries once, and says what came of it.
    pub fn send(&self, target: &Target, message: &Message) -> Outcome {
        let service = &target.service;
        match (service, service::request(service, message, &self.host)) {
            (_, Some(request)) => self.http(service, &request),
            (Service::Mail(mail), None) => {
                self.mail(service, mail, &service::letter(message, &self.host))
            }
            (_, None) => Outcome::Refused("guard knows no way to send this".to_owned()),
        }
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

    fn mail(&self, service: &Service, mail: &Mail, letter: &Letter) -> Outcome {
        let handed_over =
            self.transport(mail).map_err(|error| error.to_string()).and_then(|smtp| {
                let mail = envelope(mail, letter).map_err(|error| error.to_string())?;
                Ok(smtp.send(&mail))
            });
        match handed_over {
            Ok(Ok(response)) => {
                let said: Vec<&str> = response.message().collect();
                let said = format!("{} {}", response.code(), said.join(" "));
                Outcome::Sent(shortened(service, &said))
            }
            Ok(Err(error)) if is_wrong_itself(&error) => {
                Outcome::Refused(shortened(service, &chain(&error)))
            }
            Ok(Err(error)) => failed(service, &mail_words(&error)),
            Err(why) => failed(service, &why),
        }
    }

    fn transport(&self, mail: &Mail) -> Result<SmtpTransport, lettre::transport::smtp::Error> {
        let host = mail.host.trim_matches(['[', ']']);
        let parameters = || {
            let mut parameters = TlsParameters::builder(host.to_owned());
            if let Some(ca) = &self.ca {
                parameters = parameters.add_root_certificate(ca.clone());
            }
            parameters.build()
        };
        let tls = match mail.encryption {
            Encryption::Tls => Tls::Wrapper(parameters()?),
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::None => Tls::None,
        };
        let mut smtp = SmtpTransport::builder_dangerous(host)
            .port(mail.port)
            .timeout(Some(MAIL_PATIENCE))
            .tls(tls);
        if let Some((user, password)) = &mail.login {
            let login = Credentials::new(user.tell().to_owned(), password.tell().to_owned());
            smtp = smtp.credentials(login);
        }
        Ok(smtp.build())
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

/// Is something wrong with the mail itself, rather than with who sends it, or to whom?
fn is_wrong_itself(error: &lettre::transport::smtp::Error) -> bool {
    error.status().is_some_and(|code| match u16::from(code) {
        552 => true,
        // Relays that refuse a sender say 554 as well (RFC 3463: 5.7.1).
        554 => !chain(error).contains("5.7.1"),
        _ => false,
    })
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

/// Why handing over mail failed, for people.
fn mail_words(error: &lettre::transport::smtp::Error) -> String {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    match cause.map(std::io::Error::kind) {
        Some(ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            format!("no answer within {} s", MAIL_PATIENCE.as_secs())
        }
        _ => chain(error),
    }
}

fn failed(service: &Service, why: &str) -> Outcome {
    Outcome::Failed { why: shortened(service, why), after: None }
}

fn envelope(
    mail: &Mail,
    letter: &Letter,
) -> Result<lettre::Message, Box<dyn std::error::Error + Send + Sync>> {
    let mut message = lettre::Message::builder()
        .from(mail.from.parse()?)
        .subject(letter.subject.clone())
        .message_id(Some(message_id(mail, letter)))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    for to in &mail.to {
        message = message.to(to.parse()?);
    }
    Ok(message.body(letter.text.clone())?)
}

/// Mail without one is taken for spam (RFC 5322, 3.6.4: it should have one).
fn message_id(mail: &Mail, letter: &Letter) -> String {
    let from = mail.from.trim_end_matches('>');
    let domain = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let unique = RandomState::new().hash_one(&letter.text);
    format!("<{:x}.{unique:x}@{domain}>", Timestamp::now().as_nanosecond())
}

/// Nobody's absence is to be answered to guard (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::targets;

    #[test]
    fn a_mail_has_its_headers_and_nobody_elses() {
        let target = "smtp://m.x/?from=guard@x.example&to=a@y.example,b@y.example";
        let target = targets(&[target]).unwrap().remove(0);
        let Service::Mail(mail) = &target.service else { panic!() };
        let text = ".\r\nQUIT\r\nBcc: evil@example.org\n".to_owned();
        let letter = Letter { subject: "guard on h: ban\r\nBcc: evil@example.org".into(), text };
        let formatted = envelope(mail, &letter).unwrap().formatted();
        let text = String::from_utf8(formatted).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        for line in [
            "From: guard@x.example",
            "To: a@y.example, b@y.example",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(head.contains(line), "{head}");
        }
        assert!(head.contains("Date: "), "{head}");
        let id = head.lines().find(|line| line.starts_with("Message-ID: <"));
        assert!(id.is_some_and(|id| id.ends_with("@x.example>")), "{head}");
    }

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
        let message = Message::test(Timestamp::UNIX_EPOCH);
        match Sender::new("h".into(), None).send(&target, &message) {
            Outcome::Failed { why, after: None } => {
                assert!(why.contains("refused") && !why.contains("SECRET"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}
