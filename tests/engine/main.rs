//! `guard::docker` on real Docker engines: discovery, output, and what is asked about
//! a container.
//!
//! As in `tests/docker`, each test has hosts of its own (see `support`), one on each
//! engine, and groups cases that can share it: a host costs two seconds. The machine's
//! own engine is never talked to: every connection names its host's socket.
// Clippy knows only `#[test]` functions as tests, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod attach;
mod containers;
mod discovery;
mod lab;
mod output;
mod proxy;
mod resume;
