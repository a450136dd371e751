//! (pure) A server's answer → what came of a message. Servers may be hostile: an answer is
//! a status, and a few hundred bytes that are only shown.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::notice::plain;
use super::target::Service;
use crate::model::Timestamp;

/// So much of an answer is shown.
const SHOWN: usize = 200;

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it; what it answered.
    Sent(String),
    /// It may be tried again.
    Failed {
        /// Why, without secrets.
        why: String,
        /// So long the target wants to be left alone.
        after: Option<Duration>,
    },
    /// The target will never take this message.
    Refused(String),
}

/// An HTTP answer, as far as anybody reads it.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After`, if it was text.
    pub retry_after: Option<String>,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

/// A text of a server's as it may be shown: short, on one line, without the target's secrets.
pub fn shortened(service: &Service, text: &str) -> String {
    plain(service.scrub(text).trim(), SHOWN)
}

impl Answer {
    /// What it means.
    pub(super) fn judge(&self, service: &Service, now: Timestamp) -> Outcome {
        let said = shortened(service, &String::from_utf8_lossy(&self.body));
        let words = match said.as_str() {
            "" => format!("HTTP {}", self.status),
            said => format!("HTTP {}: {said}", self.status),
        };
        match self.status {
            200..=299 => Outcome::Sent(words),
            300..=399 => Outcome::Failed {
                why: format!(
                    "HTTP {}: a redirect, which guard does not follow with a secret in \
                     its hands; give the address that it leads to",
                    self.status
                ),
                after: None,
            },
            // What is wrong is the message itself.
            400 | 413 | 422 => Outcome::Refused(words),
            _ => Outcome::Failed { why: words, after: self.after(now) },
        }
    }

    /// How long the server wants to be left alone: by the header, or as Discord and
    /// Telegram write it into the body.
    fn after(&self, now: Timestamp) -> Option<Duration> {
        let header = self.retry_after.as_deref().and_then(|text| retry_after(text.trim(), now));
        let body = || {
            let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
            let own = body.get("retry_after").and_then(serde_json::Value::as_f64);
            let telegrams = || body.get("parameters")?.get("retry_after")?.as_f64();
            Duration::try_from_secs_f64(own.or_else(telegrams)?).ok()
        };
        header.into_iter().chain(body()).max()
    }
}

/// Seconds, or a date (RFC 9110).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Duration::try_from(date.timestamp().duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::targets;

    fn judge(status: u16, retry_after: Option<&str>, body: &[u8]) -> Outcome {
        let target = targets(&["telegram://1:SECRET/-100"]).unwrap().remove(0);
        let answer =
            Answer { status, retry_after: retry_after.map(str::to_owned), body: body.to_vec() };
        answer.judge(&target.service, "2026-03-01T12:00:00Z".parse().unwrap())
    }

    fn after(retry_after: Option<&str>, body: &[u8]) -> Option<u64> {
        match judge(429, retry_after, body) {
            Outcome::Failed { after, .. } => after.map(|time| time.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn statuses() {
        assert_eq!(judge(204, None, b""), Outcome::Sent("HTTP 204".into()));
        assert!(matches!(judge(302, None, b""), Outcome::Failed { .. }));
        assert!(matches!(judge(400, None, b"x"), Outcome::Refused(_)));
        assert!(matches!(judge(401, None, b"x"), Outcome::Failed { .. }));
        let hostile = judge(500, None, b"\x1b[2Jbot1:SECRET\r\n\xff");
        let why = "HTTP 500: \u{fffd}[2Jbot1:…  \u{fffd}".to_owned();
        assert_eq!(hostile, Outcome::Failed { why, after: None });
    }

    #[test]
    fn retry_after() {
        assert_eq!(after(Some("17"), b""), Some(17));
        assert_eq!(after(Some("Sun, 01 Mar 2026 12:01:00 GMT"), b""), Some(60));
        assert_eq!(after(Some("Sun, 01 Mar 2020 12:01:00 GMT"), b""), None);
        assert_eq!(after(Some("soon"), b"{\"retry_after\": 2.5}"), Some(2));
        assert_eq!(after(None, b"{\"ok\":false,\"parameters\":{\"retry_after\":35}}"), Some(35));
        for bad in
            ["{\"retry_after\":-1}", "{\"retry_after\":1e400}", "[[[[", "{\"retry_after\":\"1\"}"]
        {
            assert_eq!(after(Some("-5"), bad.as_bytes()), None, "{bad}");
        }
    }
}
