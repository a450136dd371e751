//! (pure) How each service wants a message: where to, which headers, which JSON.
//!
//! Everything that is not guard's own word is a string of serde's, and on the way there it
//! loses what would mean something to the service: mentions, links and Markdown in Discord
//! and Slack; Mattermost and Rocket.Chat get a block of code, in which nothing means
//! anything; Telegram is told of no `parse_mode`, so that there text is text.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde_json::{Value, json};

use super::notice::{Message, Notice};
use super::target::{Secret, Service};
use crate::model::Level;

/// Most bytes of a text: less than each service takes.
const NTFY: usize = 3800;
const DISCORD: usize = 1900;
const SLACK: usize = 8000;
/// Mattermost's oldest limit is 4000 characters, beyond which it would cut a block in two;
/// Rocket.Chat's is 5000, if nobody changed it.
const CODE: usize = 3800;
const TELEGRAM: usize = 3800;
const ANY: usize = 16_000;

/// An HTTP request: a POST of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub(super) url: Secret,
    /// A header with a secret in it.
    pub(super) header: Option<(&'static str, Secret)>,
    /// The body.
    pub body: Value,
}

/// The mail of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// The message as mail.
pub fn letter(message: &Message, host: &str) -> Letter {
    let text = message.text(ANY, str::to_owned) + "\n";
    Letter { subject: message.title(host), text }
}

/// The request that brings a message to a service; none: it is brought by mail.
pub fn request(service: &Service, message: &Message, host: &str) -> Option<Request> {
    let title = message.title(host);
    Some(match service {
        Service::Mail(_) => return None,
        Service::Webhook { url, auth } => Request {
            url: url.clone(),
            header: auth.clone().map(|auth| ("Authorization", auth)),
            body: webhook(message, host),
        },
        Service::Ntfy { url, topic, auth } => Request {
            url: url.clone(),
            header: auth.clone().map(|auth| ("Authorization", auth)),
            body: json!({
                "topic": topic.tell(),
                "title": title,
                "message": message.text(NTFY, str::to_owned),
                "priority": priority(message, [3, 4, 5]),
                "tags": [tag(message)],
            }),
        },
        Service::Gotify { url, token } => Request {
            url: url.clone(),
            header: Some(("X-Gotify-Key", token.clone())),
            body: json!({
                "title": title,
                "message": message.text(ANY, str::to_owned),
                "priority": priority(message, [4, 6, 8]),
                "extras": {"client::display": {"contentType": "text/plain"}},
            }),
        },
        Service::Discord { url } => Request {
            url: url.clone(),
            header: None,
            body: json!({
                "username": "guard",
                "content": format!("**{}**\n{}", markdown(&title), message.text(DISCORD - 400, markdown)),
                "allowed_mentions": {"parse": []},
                // No previews of what an attacker links to.
                "flags": 4,
            }),
        },
        Service::Slack { url } => Request {
            url: url.clone(),
            header: None,
            body: json!({
                "text": format!("{}\n{}", entities(&title), message.text(SLACK, entities)),
                "mrkdwn": false,
                "unfurl_links": false,
                "unfurl_media": false,
            }),
        },
        Service::Mattermost { url } => {
            Request { url: url.clone(), header: None, body: json!({"text": code(&title, message)}) }
        }
        Service::RocketChat { url } => Request {
            url: url.clone(),
            header: None,
            // No previews of what an attacker links to.
            body: json!({"text": code(&title, message), "parseUrls": false}),
        },
        Service::Telegram { url, chat } => Request {
            url: url.clone(),
            header: None,
            body: json!({
                "chat_id": chat.tell(),
                "text": format!("{title}\n{}", message.text(TELEGRAM - 200, str::to_owned)),
                "link_preview_options": {"is_disabled": true},
            }),
        },
    })
}

/// What anybody's program gets: everything, in guard's own words.
fn webhook(message: &Message, host: &str) -> Value {
    let notice = |notice: &Notice| {
        json!({
            "at": notice.at,
            "event": if message.test { "test" } else { notice.kind.as_str() },
            "level": notice.level,
            "jail": notice.jail,
            "over": notice.over,
            "text": notice.line,
        })
    };
    let more = message
        .more
        .iter()
        .map(|((kind, jail), count)| json!({"event": kind, "jail": jail, "count": count}));
    json!({
        "version": 1,
        "guard": env!("CARGO_PKG_VERSION"),
        "host": host,
        "title": message.title(host),
        "text": message.text(ANY, str::to_owned),
        "level": message.level(),
        "count": message.count(),
        "notices": message.lines.iter().map(notice).collect::<Vec<_>>(),
        "more": more.collect::<Vec<_>>(),
    })
}

/// The service's number for a note, a warning and an error.
fn priority(message: &Message, [note, warning, error]: [u8; 3]) -> u8 {
    match message.level() {
        _ if message.is_over() => note,
        Level::Ok | Level::Note => note,
        Level::Warning => warning,
        Level::Error => error,
    }
}

/// The picture that ntfy shows.
fn tag(message: &Message) -> &'static str {
    match message.level() {
        _ if message.is_over() => "white_check_mark",
        Level::Ok | Level::Note => "no_entry",
        Level::Warning => "warning",
        Level::Error => "rotating_light",
    }
}

/// A block of code: of all that Mattermost and Rocket.Chat have, only that shows a text as
/// it is. Neither knows `mrkdwn` or entities, and Rocket.Chat takes `\[` for the begin of a
/// formula.
fn code(title: &str, message: &Message) -> String {
    format!("```\n{}\n{}\n```", fenced(title), message.text(CODE - 400, fenced))
}

/// Text that does not end a block of code. Mattermost makes a mention of Slack's
/// `<!channel>` even there, and who is mentioned is looked for by programs of different
/// ages; a gap that nobody sees keeps them from both.
pub(super) fn fenced(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        safe.push(c);
        if matches!(c, '`' | '<' | '@') {
            safe.push('\u{200b}');
        }
    }
    safe
}

/// Text as Discord shows it unchanged.
pub(super) fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if matches!(
            c,
            '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '<' | '#' | '[' | ']' | '(' | ')' | '@'
        ) {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

/// Text as Slack shows it unchanged. What speaks like Slack may take `@all` for a
/// mention, and a gap that nobody sees keeps it from that.
fn entities(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '@' => safe.push_str("@\u{200b}"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NoticeKind, Timestamp};
    use crate::report::notify::targets;

    /// A message whose one line is hostile.
    fn message(line: &str) -> Message {
        let notice = Notice {
            kind: NoticeKind::Refused,
            level: Level::Error,
            line: line.into(),
            ..Notice::test(Timestamp::UNIX_EPOCH)
        };
        Message { lines: vec![notice], ..Message::default() }
    }

    fn body(target: &str, message: &Message) -> Value {
        let target = targets(&[target]).unwrap().remove(0);
        request(&target.service, message, "h").unwrap().body
    }

    const HOSTILE: &str =
        "@everyone <!channel> <a href='x'>&amp; **b** `c` [d](http://e) \"}, \\ ``` ![](http://f)";

    #[test]
    fn hostile_text_is_only_text() {
        let message = message(HOSTILE);
        let discord = body("discord://1/a", &message);
        assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
        let content = discord["content"].as_str().unwrap();
        assert!(content.contains(r"\@everyone \<!channel\>"), "{content}");
        assert!(content.contains(r"\*\*b\*\* \`c\` \[d\]\(http://e\)"), "{content}");
        let slack = body("slack://T/B/c", &message);
        let text = slack["text"].as_str().unwrap();
        assert!(text.contains("&lt;!channel&gt; &lt;a href='x'&gt;&amp;amp;"), "{text}");
        assert!(text.contains("@\u{200b}everyone"), "{text}");
        for target in ["mattermost://h/x", "rocketchat://h/x/y"] {
            let body = body(target, &message);
            let text = body["text"].as_str().unwrap();
            let inside = text.strip_prefix("```\n").and_then(|text| text.strip_suffix("\n```"));
            let inside = inside.unwrap();
            assert!(!inside.contains("``") && !inside.contains("<!"), "{text}");
            assert!(inside.contains("@\u{200b}everyone"), "{text}");
            assert!(inside.replace('\u{200b}', "").contains(HOSTILE), "{text}");
        }
        let telegram = body("telegram://1:a/2", &message);
        assert_eq!(telegram.get("parse_mode"), None);
        assert!(telegram["text"].as_str().unwrap().contains(HOSTILE));
        let webhook = body("https://x/", &message);
        assert_eq!(webhook["notices"][0]["text"], HOSTILE);
    }

    #[test]
    fn limits_hold_for_the_worst_text() {
        let mut long = message(&"@".repeat(400));
        long.lines = vec![long.lines[0].clone(); 20];
        let length = |target: &str, field: &str| {
            body(target, &long)[field].as_str().unwrap().chars().count()
        };
        assert!(length("discord://1/a", "content") <= 2000);
        assert!(length("telegram://1:a/2", "text") <= 4096);
        assert!(length("slack://T/B/c", "text") <= 40_000);
        assert!(length("mattermost://h/x", "text") <= 4000);
        assert!(length("rocketchat://h/x/y", "text") <= 5000);
        assert!(body("ntfy://x/t", &long)["message"].as_str().unwrap().len() <= 4096);
    }

    #[test]
    fn how_bad_it_is() {
        let mut message = message("x");
        assert_eq!(body("ntfy://x/t", &message)["priority"], 5);
        assert_eq!(body("gotify://x/t", &message)["priority"], 8);
        message.lines[0].over = true;
        assert_eq!(body("ntfy://x/t", &message)["priority"], 3);
    }
}
