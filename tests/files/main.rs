//! Log files while guard watches and while it does not: every line once, whatever
//! happens to the file, in whatever encoding; and how far back a first start reads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

mod blind;
mod chaos;
mod down;
mod first_start;
mod text;
mod world;
