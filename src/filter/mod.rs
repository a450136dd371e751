//! fail2ban's filter language: regexes with tags, dates, and what a line means.
//!
//! A [`FilterSpec`] is what a user wrote; a [`Filter`] is that, compiled, and
//! shared by everyone with the same spec; a [`Judge`] is a filter at work on one
//! source. A line goes through it like this, as in fail2ban:
//!
//! ```text
//! line ─▶ dates: find the timestamp, cut it out ─▶ failregex, in order
//!                                                     │ the first that finds an address
//!         time policy: when was that?  ◀── ignoreregex ┘
//! ```
//!
//! A user's regex gets here in three steps, each of which remembers where in the
//! user's text it came from: `tags` puts groups in the place of `<HOST>` and its
//! like, `python` turns Python's dialect into Rust's, `engine` compiles it.
//!
//! Invariants: time and memory are linear in the line, whatever the regex and
//! the line; nothing but a parsed address leaves this module.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod ansi;
mod dates;
mod engine;
mod error;
#[expect(clippy::module_inception, reason = "the filter itself, among what it is made of")]
mod filter;
mod judge;
mod library;
mod needles;
mod pattern;
mod python;
mod tags;
mod time;
mod zone;

pub use error::{RegexError, RegexPlace};
pub use filter::{Filter, FilterSpec};
pub use judge::{Hit, Judge, Verdict};
pub use library::Library;
pub use time::{Phase, ZoneHint};
pub use zone::{UnknownZone, parse_zone};
