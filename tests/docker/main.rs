//! guard on real Docker engines, attacked with real packets from other machines.
//!
//! Each test has a host of its own (see `support`) on each engine, and groups what
//! can share it. What a test needs to be sure of is asked of the packets first, of
//! the kernel second, and of `guardctl` third.

#[path = "../support/mod.rs"]
mod support;

mod bed;
