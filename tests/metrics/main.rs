//! The metrics, without a daemon: what dashboard, alerts and documentation say of them is
//! so, Prometheus' own tool takes them, and the server that gives them out can't be held up.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests report by panicking")]

mod documents;
mod prometheus;
mod promql;
mod promtool;
mod sample;
mod server;
mod written;
