//! guard on real Docker engines, attacked with real packets from other machines.
//!
//! Each test has a host of its own (see `support`) on each engine, and groups what
//! can share it: a host costs two seconds. What a test needs to be sure of is asked
//! of the packets first, of the kernel second, and of `guardctl` third. Bans close
//! the whole host to an address unless `guard.port` says otherwise, so each case
//! attacks from addresses of its own.

#[allow(dead_code, clippy::unwrap_used, reason = "it belongs to the tests beside these")]
#[path = "../engine/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

mod alone;
mod bans;
mod bed;
mod by_hand;
mod context;
mod fail2ban_client;
mod files;
mod filters;
mod firewall;
mod healing;
mod host_network;
mod import;
mod labels;
mod logs;
mod memory;
mod mistakes;
mod never_ban;
mod nftables;
mod output;
mod policy;
mod pressure;
mod restarts;
mod services;
mod shipped;
mod top;
mod tries;
mod troubles;
mod why;
mod zones;
