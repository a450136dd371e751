//! (pure) `GUARD_NOTIFY`: a list of URLs → [`Target`]s, every mistake at once.
//!
//! The words are those of Apprise and shoutrrr, where they agree. What names a service
//! alone (`ntfy://`, `gotify://`) is spoken to by TLS; without it only by a scheme that
//! says so (`ntfy+http://`), so that no forgotten letter sends a token in the clear.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::fmt;

use super::encode::base64;
use super::flaw::Flaw;
use super::mail;
use super::url::{Place, Url, scheme};
use crate::model::{Level, NoticeKind};

pub use super::mail::Mail;

/// Most targets: each has a thread.
pub const MOST_TARGETS: usize = 16;
/// The longest name of a target.
const LONGEST_NAME: usize = 32;

/// A text that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl Secret {
    /// The text, for those who send it.
    pub(super) fn tell(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// One place that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What people call it: `?name=`, or the service's word.
    pub name: String,
    /// Where it is, as far as that is no secret: `ntfy.sh`.
    pub place: String,
    /// What it is.
    pub service: Service,
    /// What it is told of.
    pub kinds: BTreeSet<NoticeKind>,
    /// It is told of nothing that is less bad.
    pub level: Level,
}

/// What a target is, with everything that its service needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Anybody who takes JSON.
    Webhook {
        /// Where to.
        url: Secret,
        /// `Authorization`, if any.
        auth: Option<Secret>,
    },
    /// ntfy.
    Ntfy {
        /// The server.
        url: Secret,
        /// The topic.
        topic: Secret,
        /// `Authorization`, if any.
        auth: Option<Secret>,
    },
    /// Gotify.
    Gotify {
        /// Where to.
        url: Secret,
        /// The application's token.
        token: Secret,
    },
    /// A webhook of Discord, or of what speaks like it.
    Discord {
        /// Where to.
        url: Secret,
    },
    /// A webhook of Slack, or of what speaks like it (Mattermost, Rocket.Chat).
    Slack {
        /// Where to.
        url: Secret,
    },
    /// A bot of Telegram.
    Telegram {
        /// Where to.
        url: Secret,
        /// The chat.
        chat: Secret,
    },
    /// Mail by SMTP.
    Mail(Box<Mail>),
}

impl Service {
    /// Its word in names, status and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Service::Webhook { .. } => "webhook",
            Service::Ntfy { .. } => "ntfy",
            Service::Gotify { .. } => "gotify",
            Service::Discord { .. } => "discord",
            Service::Slack { .. } => "slack",
            Service::Telegram { .. } => "telegram",
            Service::Mail(_) => "mail",
        }
    }

    /// Everything in it that must not be shown, also where a server sends it back.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let all: Vec<Option<&Secret>> = match self {
            Service::Webhook { url, auth } => vec![Some(url), auth.as_ref()],
            Service::Ntfy { url, topic, auth } => vec![Some(url), Some(topic), auth.as_ref()],
            Service::Gotify { url, token } => vec![Some(url), Some(token)],
            Service::Discord { url } | Service::Slack { url } => vec![Some(url)],
            Service::Telegram { url, chat } => vec![Some(url), Some(chat)],
            Service::Mail(mail) => mail.secrets(),
        };
        all.into_iter().flatten().map(Secret::tell).collect()
    }

    /// `text` without this service's secrets, and without the pieces of its URL.
    pub fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets() {
            // A chat called `1` would take every 1 out of the text.
            if secret.len() >= 4 {
                text = text.replace(secret, "…");
            }
            // Of a URL a server may repeat the path, or a part of it; of
            // `Authorization` the credentials alone.
            let (_, rest) = secret.split_once("://").unwrap_or(("", secret));
            let pieces = rest.split(['/', ' ', '?', '&', '=', ':']).skip(1);
            let known = ["webhooks", "services", "message", "sendMessage"];
            for piece in pieces.filter(|piece| piece.len() >= 6 && !known.contains(piece)) {
                text = text.replace(piece, "…");
            }
        }
        text
    }
}

/// Reads the targets of several texts, one after the other; each is a list with blanks
/// or line ends between. Lines that begin with `#` are comments.
///
/// # Errors
/// All that is wrong, with the number of the text it is wrong in.
pub fn targets(texts: &[&str]) -> Result<Vec<Target>, Vec<(usize, Flaw)>> {
    let (mut targets, mut flaws) = (Vec::<Target>::new(), Vec::new());
    for (which, text) in texts.iter().enumerate() {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for (at, word) in lines.flat_map(str::split_whitespace).enumerate() {
            let flaw = |what: String| (which, Flaw { number: at + 1, scheme: scheme(word), what });
            if targets.len() + flaws.len() >= MOST_TARGETS {
                flaws.push(flaw(format!("there are more than {MOST_TARGETS} targets")));
                return Err(flaws);
            }
            match one(word) {
                Ok((target, named)) => match unique(&targets, &target.name, named) {
                    Some(name) => targets.push(Target { name, ..target }),
                    None => flaws.push(flaw(
                        "another target has the same `name`: give each one of its own".into(),
                    )),
                },
                Err(what) => flaws.push(flaw(what)),
            }
        }
    }
    if flaws.is_empty() { Ok(targets) } else { Err(flaws) }
}

/// The name for a further target; what was not asked for gets a number.
fn unique(others: &[Target], name: &str, named: bool) -> Option<String> {
    let free = |name: &String| others.iter().all(|other| other.name != *name);
    let name = name.to_owned();
    if free(&name) || named {
        return free(&name).then_some(name);
    }
    (2..).map(|n| format!("{name}-{n}")).find(free)
}

/// What every target may have behind its `?`.
struct Common {
    name: Option<String>,
    kinds: BTreeSet<NoticeKind>,
    level: Level,
}

/// One target, and whether it has a name of its own.
fn one(text: &str) -> Result<(Target, bool), String> {
    let mut url = Url::parse(text)?;
    let common = common(&mut url)?;
    let (service, place) = service(&url)?;
    let named = common.name.is_some();
    let name = common.name.unwrap_or_else(|| service.word().to_owned());
    let Common { kinds, level, .. } = common;
    Ok((Target { name, place, service, kinds, level }, named))
}

/// Takes from the query what every target may have.
fn common(url: &mut Url<'_>) -> Result<Common, String> {
    let take = |url: &mut Url<'_>, name: &str| {
        let at = url.query.iter().position(|pair| pair.name == name)?;
        Some(url.query.remove(at).value)
    };
    let kinds = match take(url, "events") {
        None => NoticeKind::ALL.into(),
        Some(list) => kinds(&list)?,
    };
    let level = match take(url, "level").as_deref() {
        None | Some("note") => Level::Note,
        Some("warning") => Level::Warning,
        Some("error") => Level::Error,
        Some(_) => return Err("`level` takes note, warning or error".into()),
    };
    if kinds.iter().all(|kind| kind.level() < level) {
        return Err("its `level` leaves none of its `events`".into());
    }
    let name = take(url, "name");
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(name) = &name
        && (name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(good))
    {
        return Err("`name` takes letters, digits, `.`, `_` and `-`, at most 32".into());
    }
    Ok(Common { name, kinds, level })
}

/// A list of kinds; a word that is none is a mistake, and no secret.
fn kinds(list: &str) -> Result<BTreeSet<NoticeKind>, String> {
    match NoticeKind::list(list) {
        Ok(kinds) if kinds.is_empty() => Err("`events` names none".into()),
        Ok(kinds) => Ok(kinds),
        Err(_) => {
            let words: Vec<_> = NoticeKind::words().collect();
            Err(format!("`events` takes, with commas between: {}", words.join(", ")))
        }
    }
}

/// The schemes, for whoever wrote another.
const SCHEMES: &str = "https, http, ntfy, gotify, discord, slack, telegram, smtp, smtps";

/// The service of a URL, and where it is.
fn service(url: &Url<'_>) -> Result<(Service, String), String> {
    let (word, transport) = match url.scheme.split_once('+') {
        Some((word, transport @ ("http" | "https"))) => (word, Some(transport)),
        Some(_) => return Err("behind the `+` of its scheme stands http or https".into()),
        None => (url.scheme.as_str(), None),
    };
    match (word, transport) {
        ("http" | "json", None) => webhook(url, "http"),
        ("https" | "jsons", None) => pasted(url).unwrap_or_else(|| webhook(url, "https")),
        ("json", Some(transport)) => webhook(url, transport),
        ("ntfy" | "ntfys", transport) => ntfy(url, transport.unwrap_or("https")),
        ("gotify" | "gotifys", transport) => gotify(url, transport.unwrap_or("https")),
        ("discord", Some(transport)) => {
            bare(url, transport).map(|(url, place)| (Service::Discord { url }, place))
        }
        ("slack", Some(transport)) => {
            bare(url, transport).map(|(url, place)| (Service::Slack { url }, place))
        }
        ("discord", None) => discord(url),
        ("slack", None) => slack(url),
        ("telegram" | "tgram", transport) => telegram(url, transport),
        ("smtp" | "smtps" | "mailto" | "mailtos", None) => {
            let (mail, place) = mail::read(url)?;
            Ok((Service::Mail(Box::new(mail)), place))
        }
        _ => Err(format!("guard knows no such scheme; it knows {SCHEMES}")),
    }
}

/// The address that Discord or Slack gives to be pasted.
fn pasted(url: &Url<'_>) -> Option<Result<(Service, String), String>> {
    let host = url.place().ok()?.host;
    let service: fn(Secret) -> Service = match host.as_str() {
        "discord.com" | "discordapp.com" | "ptb.discord.com" | "canary.discord.com" => {
            |url| Service::Discord { url }
        }
        "hooks.slack.com" => |url| Service::Slack { url },
        _ => return None,
    };
    Some(bare(url, "https").map(|(url, place)| (service(url), place)))
}

/// The URL itself, with what is left of its query.
fn whole(url: &Url<'_>, place: &Place, transport: &str) -> Secret {
    let mut text = format!("{transport}://{}", place.shown());
    text.push_str(if url.path.is_empty() { "/" } else { url.path });
    for (at, pair) in url.query.iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(pair.raw);
    }
    Secret(text)
}

fn webhook(url: &Url<'_>, transport: &str) -> Result<(Service, String), String> {
    let place = url.place()?;
    let auth = place.user.as_deref().map(|user| basic(user, place.password.as_deref()));
    Ok((Service::Webhook { url: whole(url, &place, transport), auth }, place.shown()))
}

/// A URL that is itself the secret.
fn bare(url: &Url<'_>, transport: &str) -> Result<(Secret, String), String> {
    let place = url.place()?;
    if place.user.is_some() || place.password.is_some() {
        return Err("its secret is in the path, and it takes no user and password".into());
    }
    if url.path.len() < 2 {
        return Err("its path is missing: paste the webhook's whole address".into());
    }
    Ok((whole(url, &place, transport), place.shown()))
}

fn basic(user: &str, password: Option<&str>) -> Secret {
    let login = format!("{user}:{}", password.unwrap_or_default());
    Secret(format!("Basic {}", base64(login.as_bytes())))
}

/// A query that the service does not know may be a misspelt choice.
fn nothing_left(url: &Url<'_>) -> Result<(), String> {
    if url.query.is_empty() {
        return Ok(());
    }
    Err("behind the `?` it takes events, level and name only".into())
}

fn ntfy(url: &Url<'_>, transport: &str) -> Result<(Service, String), String> {
    nothing_left(url)?;
    let place = url.place()?;
    let pieces = url.pieces()?;
    let [topic] = pieces.as_slice() else {
        return Err("it names no topic, or several: write `ntfy://ntfy.sh/topic`".into());
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if topic.len() > 64 || !topic.chars().all(good) {
        return Err("its topic is not letters, digits, `_` and `-`, at most 64".into());
    }
    let auth = match (&place.user, &place.password) {
        (Some(user), Some(password)) => Some(basic(user, Some(password))),
        (Some(token), None) | (None, Some(token)) => Some(Secret(format!("Bearer {token}"))),
        (None, None) => None,
    };
    let server = Secret(format!("{transport}://{}/", place.shown()));
    Ok((Service::Ntfy { url: server, topic: Secret(topic.clone()), auth }, place.shown()))
}

fn gotify(url: &Url<'_>, transport: &str) -> Result<(Service, String), String> {
    nothing_left(url)?;
    let place = url.place()?;
    let pieces = url.pieces()?;
    let Some((token, folders)) = pieces.split_last() else {
        return Err("it names no token: write `gotify://host/token`".into());
    };
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its token is none: Gotify's begin with an `A`".into());
    }
    let folders: String = folders.iter().map(|folder| format!("/{folder}")).collect();
    let to = Secret(format!("{transport}://{}{folders}/message", place.shown()));
    Ok((Service::Gotify { url: to, token: Secret(token.clone()) }, place.shown()))
}

/// Letters, digits and what tokens have beside them.
fn is_token(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'.');
    !text.is_empty() && text.bytes().all(good)
}

/// `discord://ID/TOKEN`, as Apprise has it, or `discord://TOKEN@ID`, as shoutrrr.
fn discord(url: &Url<'_>) -> Result<(Service, String), String> {
    nothing_left(url)?;
    let pieces = url.pieces()?;
    let (id, token) = match (url.authority.split_once('@'), pieces.as_slice()) {
        (Some((token, id)), []) => (id, token),
        (None, [token]) => (url.authority, token.as_str()),
        _ => return Err("write `discord://ID/TOKEN`, or paste the webhook's address".into()),
    };
    if !id.bytes().all(|b| b.is_ascii_digit()) || !is_token(id) || !is_token(token) {
        return Err("the webhook's id is no number, or its token none: \
                    https://discord.com/api/webhooks/ID/TOKEN has both"
            .into());
    }
    let url = Secret(format!("https://discord.com/api/webhooks/{id}/{token}"));
    Ok((Service::Discord { url }, "discord.com".into()))
}

/// `slack://T…/B…/…`, or `slack://hook:T…-B…-…@webhook`, as shoutrrr has it.
fn slack(url: &Url<'_>) -> Result<(Service, String), String> {
    nothing_left(url)?;
    let pieces = url.pieces()?;
    let words = match url.authority.strip_prefix("hook:").and_then(|a| a.strip_suffix("@webhook")) {
        Some(tokens) => tokens.split('-').map(str::to_owned).collect(),
        None => [vec![url.authority.to_owned()], pieces].concat(),
    };
    match words.as_slice() {
        [team, bot, token] if words.iter().all(|word| is_token(word)) => {
            let url = format!("https://hooks.slack.com/services/{team}/{bot}/{token}");
            Ok((Service::Slack { url: Secret(url) }, "hooks.slack.com".into()))
        }
        _ => Err("write `slack://T…/B…/…`, or paste the webhook's address".into()),
    }
}

/// `telegram://TOKEN/CHAT` (also `tgram`, as Apprise has it),
/// `telegram://TOKEN@telegram?chats=CHAT`, as shoutrrr, or, for a server of one's own,
/// `telegram+http://host/TOKEN/CHAT`.
fn telegram(url: &Url<'_>, transport: Option<&str>) -> Result<(Service, String), String> {
    const WRITE: &str = "write `telegram://TOKEN/CHAT`, one chat a target";
    let pieces = url.pieces()?;
    let chats: Vec<&str> =
        url.query.iter().filter(|p| p.name == "chats").map(|p| p.value.as_str()).collect();
    if url.query.len() != chats.len() {
        nothing_left(url)?;
    }
    let shoutrrrs = url.authority.strip_suffix("@telegram");
    let (base, place, token, chat) =
        match (transport, shoutrrrs, pieces.as_slice(), chats.as_slice()) {
            (Some(transport), _, [token, chat], []) => {
                let place = url.place()?.shown();
                (format!("{transport}://{place}"), place, token.as_str(), chat.as_str())
            }
            (None, Some(token), [], [chat]) => {
                ("https://api.telegram.org".into(), "api.telegram.org".into(), token, *chat)
            }
            (None, None, [chat], []) => {
                let place = "api.telegram.org".to_owned();
                ("https://api.telegram.org".into(), place, url.authority, chat.as_str())
            }
            _ => return Err(WRITE.into()),
        };
    let good_token = token.split_once(':').is_some_and(|(bot, key)| {
        !bot.is_empty() && bot.bytes().all(|b| b.is_ascii_digit()) && is_token(key)
    });
    if !good_token {
        return Err(format!("its token is none: @BotFather's have the form 123456:AbC…; {WRITE}"));
    }
    let good_chat = chat.parse::<i64>().is_ok() || chat.strip_prefix('@').is_some_and(is_token);
    if !good_chat {
        return Err(format!("its chat is no number and no @channel; {WRITE}"));
    }
    let to = Secret(format!("{base}/bot{token}/sendMessage"));
    Ok((Service::Telegram { url: to, chat: Secret(chat.to_owned()) }, place))
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
