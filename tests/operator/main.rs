//! guardctl as a person sees it: `top` in a pseudo terminal, and the transcripts of
//! docs/guardctl.md. Behind guard's real end of the socket a task stands in for the
//! daemon's wiring, with answers that are always the same.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

mod replies;
mod top;
mod transcripts;
mod world;
