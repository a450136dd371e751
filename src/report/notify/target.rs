//! (pure) `GUARD_NOTIFY`: a list of URLs → [`Target`]s, every mistake at once.
//!
//! The words are those of Apprise and shoutrrr, where they agree. What names a service
//! alone (`ntfy://`, `gotify://`) is spoken to by TLS; without it only by a scheme that
//! says so (`ntfy+http://`), so that no forgotten letter sends a token in the clear.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::fmt;

use super::encode::{decode_anything, unbase64};
use super::flaw::Flaw;
use super::forms::service;
use super::url::{Url, scheme};
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

impl Target {
    /// Who gets what the target is told, each by himself; none: it is one.
    pub fn recipients(&self) -> &[String] {
        match &self.service {
            Service::Mail(mail) => &mail.to,
            Service::Webhook { .. }
            | Service::Ntfy { .. }
            | Service::Gotify { .. }
            | Service::Discord { .. }
            | Service::Slack { .. }
            | Service::Mattermost { .. }
            | Service::RocketChat { .. }
            | Service::Telegram { .. } => &[],
        }
    }
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
    /// A webhook of Slack, or of what speaks like it.
    Slack {
        /// Where to.
        url: Secret,
    },
    /// A webhook of Mattermost, which takes Slack's JSON but not its markup.
    Mattermost {
        /// Where to.
        url: Secret,
    },
    /// A webhook of Rocket.Chat, likewise.
    RocketChat {
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
            Service::Mattermost { .. } => "mattermost",
            Service::RocketChat { .. } => "rocketchat",
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
            Service::Discord { url }
            | Service::Slack { url }
            | Service::Mattermost { url }
            | Service::RocketChat { url } => vec![Some(url)],
            Service::Telegram { url, chat } => vec![Some(url), Some(chat)],
            Service::Mail(mail) => mail.secrets(),
        };
        all.into_iter().flatten().map(Secret::tell).collect()
    }

    /// `text` without this service's secrets, in all the forms in which a server may send
    /// them back.
    pub fn scrub(&self, text: &str) -> String {
        let mut forms = self.forms();
        // A short one within a long one would leave the rest of that.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.iter().fold(text.to_owned(), |text, form| text.replace(form, "…"))
    }

    fn forms(&self) -> Vec<String> {
        let mut whole: Vec<String> = self.secrets().into_iter().map(str::to_owned).collect();
        whole.extend(self.login());
        if let Service::Mail(mail) = self {
            whole.extend(mail.coded());
        }
        // A chat called `1` would take every 1 out of the text.
        let mut forms: Vec<String> = whole.iter().filter(|it| it.len() >= 4).cloned().collect();
        for secret in &whole {
            // Of a URL a server may repeat the path, or a part of it, also decoded; of
            // `Authorization` the credentials alone.
            let (_, rest) = secret.split_once("://").unwrap_or(("", secret));
            let pieces = rest.split(['/', ' ', '?', '&', '=', ':']).skip(1).map(str::to_owned);
            let pieces = pieces.flat_map(|piece| {
                let decoded = decode_anything(&piece);
                let blanks = decode_anything(&piece.replace('+', "%20"));
                [Some(piece), decoded, blanks].into_iter().flatten()
            });
            let known = ["webhooks", "services", "message", "sendMessage"];
            forms.extend(pieces.filter(|it| it.len() >= 6 && !known.contains(&it.as_str())));
        }
        forms
    }

    /// User and password, if they are in `Authorization`: a server tells them as it got
    /// them, without Base64.
    fn login(&self) -> Vec<String> {
        let (Service::Webhook { auth: Some(auth), .. } | Service::Ntfy { auth: Some(auth), .. }) =
            self
        else {
            return Vec::new();
        };
        let login = auth.tell().strip_prefix("Basic ").and_then(unbase64);
        let Some(login) = login else { return Vec::new() };
        // As servers do (RFC 7617): a user has no colon.
        let (user, password) = login.split_once(':').unwrap_or((&login, ""));
        vec![user.to_owned(), password.to_owned(), login.clone()]
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

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
