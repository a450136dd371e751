//! guard on real Docker engines, attacked with real packets from other machines.
//!
//! Each test has a host of its own (see `support`) on each engine, and groups what
//! can share it: a host costs two seconds. What a test needs to be sure of is asked
//! of the packets first, of the kernel second, and of `guardctl` third. Bans close
//! the whole host to an address unless `guard.port` says otherwise, so each case
//! attacks from addresses of its own.

#[allow(dead_code, clippy::panic, reason = "it belongs to the tests beside these")]
#[path = "../metrics/prometheus.rs"]
mod prometheus;
#[path = "../metrics/promql.rs"]
mod promql;
#[allow(dead_code, clippy::unwrap_used, reason = "it belongs to the tests beside these")]
#[path = "../engine/proxy.rs"]
mod proxy;
#[allow(dead_code, clippy::unwrap_used, reason = "it belongs to the tests of notices")]
#[path = "../notices/receiver.rs"]
mod receiver;
#[path = "../support/mod.rs"]
mod support;
#[allow(
    dead_code,
    clippy::panic,
    clippy::unwrap_used,
    reason = "it belongs to the tests beside these"
)]
#[path = "../metrics/written.rs"]
mod written;

mod alone;
mod backup;
mod bans;
mod bed;
mod by_hand;
mod context;
mod fail2ban;
mod fail2ban_beside;
mod fail2ban_client;
mod files;
mod filters;
mod firewall;
mod healing;
mod host_network;
mod import;
mod labels;
mod legacy;
mod locked_out;
mod logs;
mod memory;
mod metrics;
mod mistakes;
mod never_ban;
mod nftables;
mod notices;
mod output;
mod platforms;
mod policy;
mod pressure;
mod restarts;
mod services;
mod shipped;
mod slow_tools;
mod top;
mod tries;
mod troubles;
mod why;
mod zones;
