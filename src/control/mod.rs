//! The socket between guardctl and guard.
//!
//! Requests and replies are JSON, a line each ([`protocol`]); [`server`] is
//! guard's end of the socket, [`client`] guardctl's, and [`mod@print`] makes text for
//! people of replies. [`fail2ban`] is the same for fail2ban's own tools. Nothing here knows what a request does: [`server::serve`]
//! hands each to the daemon with a place for the answer.

pub mod client;
pub mod fail2ban;
pub mod print;
pub mod protocol;
pub mod server;
pub(crate) mod socket;

pub use server::{Asked, serve};

/// Where the socket is when nobody says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/guard/guard.sock";
