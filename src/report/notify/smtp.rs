//! Hands mail over to its server: one connection, and in it a mail for each recipient.
//!
//! The server may be anybody until its certificate is seen. So all that it says has a
//! bound ([`Bounded`]), and all that it takes has one time.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{Outcome, shortened};
use super::bounded::{Bounded, Encrypted};
use super::mail::Encryption;
use super::service::Letter;
use super::target::{Mail, Service};
use crate::model::chain;

/// A try takes so long at most, whomever it is for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hands over mail; shared by all threads.
#[derive(Debug)]
pub(super) struct Postman {
    host: String,
    ca: Option<Certificate>,
    patience: Duration,
}

/// A mail for one of a target's recipients.
pub(super) struct Parcel<'a> {
    pub(super) to: &'a str,
    pub(super) letter: Letter,
}

/// Why there is no connection any more: in words, as they came.
struct Broken(String);

impl From<Error> for Broken {
    fn from(error: Error) -> Broken {
        Broken(chain(&error))
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken(error.to_string())
    }
}

impl Postman {
    /// One that calls this machine `host` and trusts the private CA `ca` (PEM) too.
    pub(super) fn new(host: String, ca: Option<&str>) -> Postman {
        let ca = ca.and_then(|pem| Certificate::from_pem(pem.as_bytes()).ok());
        Postman { host, ca, patience: PATIENCE }
    }

    /// Tries once, and says what came of each. Blocks, for a known time.
    pub(super) fn deliver(
        &self,
        service: &Service,
        mail: &Mail,
        parcels: &[Parcel<'_>],
    ) -> Vec<Outcome> {
        let mut done = Vec::with_capacity(parcels.len());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let broken = match runtime {
            Err(error) => Broken(error.to_string()),
            Ok(runtime) => {
                let all = self.converse(service, mail, parcels, &mut done);
                let ended = runtime.block_on(async { timeout(self.patience, all).await });
                // A name that is still looked up is not waited for.
                runtime.shutdown_background();
                ended
                    .unwrap_or_else(|_| Err(self.too_slow()))
                    .err()
                    .unwrap_or(Broken(String::new()))
            }
        };
        done.resize_with(parcels.len(), || failed(service, &broken.0));
        done
    }

    fn too_slow(&self) -> Broken {
        Broken(format!("not done within {} s", self.patience.as_secs_f32()))
    }

    /// The whole conversation; what came of each mail is put into `done`, in order.
    async fn converse(
        &self,
        service: &Service,
        mail: &Mail,
        parcels: &[Parcel<'_>],
        done: &mut Vec<Outcome>,
    ) -> Result<(), Broken> {
        let mut server = self.greet(mail).await?;
        for parcel in parcels {
            let refusal = match hand_over(&mut server, mail, parcel).await? {
                Ok(response) => {
                    let said: Vec<&str> = response.message().collect();
                    let said = format!("{} {}", response.code(), said.join(" "));
                    done.push(Outcome::Sent(shortened(service, &said)));
                    continue;
                }
                Err(refusal) => refusal,
            };
            let why = chain(&refusal.error);
            done.push(match refusal.is_for_ever() {
                true => Outcome::Refused(shortened(service, &why)),
                false => failed(service, &why),
            });
            server.command(commands::Rset).await?;
        }
        // It has the mail; how it takes leave is nobody's business.
        let _ = server.quit().await;
        Ok(())
    }

    /// Connects, by TLS where it is wanted, and logs in.
    async fn greet(&self, mail: &Mail) -> Result<AsyncSmtpConnection, Broken> {
        let stream = self.connect(mail.host.trim_matches(['[', ']']), mail.port).await?;
        let hello = hello(&self.host, stream.local_addr()?.ip());
        let stream = Bounded::new(stream);
        let mut server = match mail.encryption {
            Encryption::Tls => {
                let stream = Encrypted::new(stream, self.tls(mail)?).await?;
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await?
            }
            Encryption::StartTls | Encryption::None => {
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await?
            }
        };
        if mail.encryption == Encryption::StartTls {
            server.starttls(self.tls(mail)?, &hello).await?;
        }
        if let Some((user, password)) = &mail.login {
            let login = Credentials::new(user.tell().to_owned(), password.tell().to_owned());
            server.auth(DEFAULT_MECHANISMS, &login).await?;
        }
        Ok(server)
    }

    /// The first of the host's addresses that answers.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Broken> {
        let mut last = None;
        for address in tokio::net::lookup_host((host, port)).await? {
            // One that is silent leaves time for another.
            match timeout(self.patience / 3, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Some(Broken::from(error)),
                Err(_) => last = Some(Broken("no answer to the connection".to_owned())),
            }
        }
        Err(last.unwrap_or_else(|| Broken("the host has no address".to_owned())))
    }

    fn tls(&self, mail: &Mail) -> Result<TlsParameters, Error> {
        let host = mail.host.trim_matches(['[', ']']);
        let mut parameters = TlsParameters::builder(host.to_owned());
        if let Some(ca) = &self.ca {
            parameters = parameters.add_root_certificate(ca.clone());
        }
        parameters.build()
    }
}

/// What a server said no to.
struct Refusal {
    error: Error,
    /// Was it the recipient?
    recipient: bool,
}

impl Refusal {
    /// Would it never take this mail, for this recipient?
    fn is_for_ever(&self) -> bool {
        let Some(code) = self.error.status().map(u16::from) else { return false };
        // Who may not send, or not from there, can be put right (RFC 3463: x.7.x).
        match code {
            552 => true,
            554 => !self.is_policy(),
            550 | 551 | 553 => self.recipient && !self.is_policy(),
            _ => false,
        }
    }

    fn is_policy(&self) -> bool {
        // `permanent error (550): 5.7.1 Relaying denied`
        chain(&self.error).split_once("): ").is_some_and(|(_, said)| said.starts_with("5.7."))
    }
}

/// Hands over one mail. The inner error leaves the connection as it was.
async fn hand_over(
    server: &mut AsyncSmtpConnection,
    mail: &Mail,
    parcel: &Parcel<'_>,
) -> Result<Result<Response, Refusal>, Broken> {
    let wrong = |error: &dyn std::error::Error| Broken(chain(error));
    let from = mail.from.parse().map_err(|error| wrong(&error))?;
    let to = parcel.to.parse().map_err(|error| wrong(&error))?;
    let letter = envelope(mail, parcel).map_err(|error| Broken(error.to_string()))?;
    let refused = |recipient| move |error| said_no(error, recipient);
    if let Err(error) = server.command(commands::Mail::new(Some(from), vec![])).await {
        return refused(false)(error);
    }
    if let Err(error) = server.command(commands::Rcpt::new(to, vec![])).await {
        return refused(true)(error);
    }
    if let Err(error) = server.command(commands::Data).await {
        return refused(false)(error);
    }
    server.message(&letter.formatted()).await.map_or_else(refused(false), |ok| Ok(Ok(ok)))
}

/// A server's no; anything else ends the conversation.
fn said_no(error: Error, recipient: bool) -> Result<Result<Response, Refusal>, Broken> {
    match error.status() {
        Some(_) => Ok(Err(Refusal { error, recipient })),
        None => Err(error.into()),
    }
}

/// How guard greets: by the host's name if others can know it, else by the address that
/// it speaks from (RFC 5321, 4.1.4). Servers that are strict refuse a name without a dot.
fn hello(host: &str, from: IpAddr) -> ClientId {
    let good = |label: &str| {
        let ends = [label.bytes().next(), label.bytes().last()];
        ends.iter().all(|end| end.is_some_and(|end| end.is_ascii_alphanumeric()))
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match from {
        _ if host.contains('.') && host.split('.').all(good) => ClientId::Domain(host.to_owned()),
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

fn failed(service: &Service, why: &str) -> Outcome {
    Outcome::Failed { why: shortened(service, why), after: None }
}

fn envelope(
    mail: &Mail,
    parcel: &Parcel<'_>,
) -> Result<lettre::Message, Box<dyn std::error::Error + Send + Sync>> {
    let message = lettre::Message::builder()
        .from(mail.from.parse()?)
        .to(parcel.to.parse()?)
        .subject(parcel.letter.subject.clone())
        .message_id(Some(message_id(mail, &parcel.letter)))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    Ok(message.body(parcel.letter.text.clone())?)
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
#[path = "smtp_tests.rs"]
mod tests;
