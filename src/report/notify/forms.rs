//! (pure) The forms of a target's URL: which service it is, and what that needs.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::encode::base64;
use super::mail;
use super::target::{Secret, Service};
use super::url::{Place, Url};

/// The schemes, for whoever wrote another.
const SCHEMES: &str = "https, http, ntfy, gotify, discord, slack, mattermost, rocketchat, \
                       telegram, smtp, smtps";

/// The service of a URL, and where it is.
pub(super) fn service(url: &Url<'_>) -> Result<(Service, String), String> {
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
        ("mattermost" | "rocketchat", transport) => hooks(url, word, transport),
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
        (Some(token), None) | (None, Some(token)) => {
            // What is none can't stand in a header.
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("its access token is none: ntfy's are `tk_` and letters and digits; \
                            a user also needs a password, `ntfy://user:password@host/topic`"
                    .into());
            }
            Some(Secret(format!("Bearer {token}")))
        }
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
    // As they are written: decoded they may be what no URL can hold.
    let written = url.path.split('/').filter(|piece| !piece.is_empty());
    let folders: String = written.take(folders.len()).map(|folder| format!("/{folder}")).collect();
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

/// `mattermost://host/TOKEN` and `rocketchat://host/ID/TOKEN`, as shoutrrr has them, or
/// with `+https` or `+http` the webhook's whole address.
fn hooks(url: &Url<'_>, word: &str, transport: Option<&str>) -> Result<(Service, String), String> {
    nothing_left(url)?;
    let is_rocket = word == "rocketchat";
    let (secret, place) = match transport {
        Some(transport) => bare(url, transport)?,
        None => {
            let (pieces, (_, place)) = (url.pieces()?, bare(url, "https")?);
            let count = if is_rocket { 2 } else { 1 };
            if pieces.len() != count || !pieces.iter().all(|piece| is_token(piece)) {
                return Err(format!(
                    "it is not the host and what stands behind `hooks/` in the webhook's \
                     address: put `{word}+` before that whole address"
                ));
            }
            (Secret(format!("https://{place}/hooks/{}", pieces.join("/"))), place)
        }
    };
    let service = match is_rocket {
        true => Service::RocketChat { url: secret },
        false => Service::Mattermost { url: secret },
    };
    Ok((service, place))
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
