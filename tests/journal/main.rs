//! guard's reader of the journal against the real journald and journalctl.
//!
//! They are read where Debian's package `systemd` is unpacked: see `journald::tools`.
//! Needs root, for a mount namespace in which journald runs; the machine's own
//! journal is never touched.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test reports by panicking")]

mod following;
mod formats;
mod journald;
