//! Notices: being told on the night on which something goes wrong.
//!
//! ```text
//!  Event ─▶ Notice ─▶ Outbox ─ Message ─▶ Service::request ─▶ send ─▶ ntfy, Slack, mail, …
//!           (words)   (one a target:      (how each wants it)  │
//!                      rate, digest,                           ▼
//!                      backoff) ◀───────────── Outcome ◀── judge
//! ```
//!
//! Everything but [`send`] (with [`smtp`] for mail) and [`post`] is pure. A target has its own outbox and its own thread, so a
//! dead one delays no other. Nobody who has news waits: an outbox takes them in constant
//! time and room, what does not fit as a line is counted by kind and jail, and a target
//! that comes back is told the counts. So nothing is lost silently however much happens.
//!
//! What hostile logs and labels hold comes in here as text: control characters and what
//! turns the writing round are taken out once ([`notice`]), and what means something to a
//! service is escaped for that service ([`service`]).

mod answer;
mod bounded;
mod encode;
mod flaw;
mod forms;
mod mail;
pub mod notice;
pub mod outbox;
pub mod outboxes;
pub mod post;
pub mod send;
pub mod service;
mod smtp;
mod target;
mod url;

pub use answer::{Outcome, shortened};
pub use flaw::Flaw;
pub use notice::{Message, Notice};
pub use outbox::{Next, Outbox};
pub use outboxes::{Due, Outboxes, Step, sum_up};
pub use target::{MOST_TARGETS, Mail, Secret, Service, Target, targets};

/// Where notices go.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The targets; each has another name.
    pub targets: Vec<Target>,
    /// Certificates of a private CA, in PEM, that are trusted besides the built-in ones.
    pub ca: Option<String>,
}
