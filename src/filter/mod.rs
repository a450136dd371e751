//! fail2ban's filter language: filter files, regexes with tags, dates, and what a line
//! means.
//!
//! A [`FilterSpec`] is what a user wrote; a [`Filter`] is that, compiled, and
//! shared by everyone with the same spec; a [`Judge`] is a filter at work on one
//! source. A line goes through it like this, as in fail2ban:
//!
//! ```text
//! line ─▶ needles: can it match at all? ─▶ dates: find the timestamp, cut it out
//!      ─▶ prefregex, and what is left of the line ─▶ failregex, in order: the first
//!      ─▶ ignoreregex ─▶ connections: what did its other lines say? ─▶ when was that?
//! ```
//!
//! A user's regex gets here in three steps, each of which remembers where in the
//! user's text it came from: `tags` puts groups in the place of `<HOST>` and its
//! like, `python` turns Python's dialect into Rust's, `engine` compiles it.
//!
//! Invariants: time and memory are bounded, whatever the regex and the line, and linear
//! in the line for every regex that allows it; nothing but a parsed address can be
//! banned.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod ansi;
mod buffer;
mod candidates;
mod compile;
mod dates;
mod dating;
mod engine;
mod error;
mod example;
mod fields;
mod file;
#[expect(clippy::module_inception, reason = "the filter itself, among what it is made of")]
mod filter;
mod judge;
mod library;
mod lint;
mod near;
mod needles;
mod pattern;
mod prefix;
mod python;
mod spec;
mod tags;
mod time;
mod tracking;
mod zone;

pub use candidates::Candidates;
pub use dating::Dating;
pub use error::{RegexError, RegexPlace};
pub use fields::{Value, address_in};
pub use file::{
    FilePlace, FilterFileError, FilterFiles, FilterReference, InvalidReference, LoadedFilter,
    MAX_LINES, Setting, Settings, load,
};
pub use filter::Filter;
pub use judge::{Carrier, Groups, Hit, Judge, Verdict, Who};
pub use library::Library;
pub use lint::{Injection, Note, Report, lint, notes};
pub use near::{Near, Nearest, Stop};
pub use spec::{FilterSpec, InvalidUseDns, UseDns};
pub use time::{Phase, ZoneHint};
pub use zone::{UnknownZone, parse_zone};
