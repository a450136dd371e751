//! guard: fail2ban for Docker.
//!
//! Lines come in, failures are judged, bans go out:
//!
//! ```text
//!  docker ─┐                                        ┌─▶ firewall ──▶ kernel
//!          ├─ Line ─▶ filter ─ Failure ─▶ warden ───┤
//!  files ──┘                                        └─▶ store ─────▶ SQLite
//!             ▲                             ▲
//!  labels ────┴── a container's jails ──────┴──────── control ◀──── guardctl
//! ```
//!
//! The middle knows nothing of the world: the modules marked *pure* do no I/O,
//! read no clock and start no task, and lints hold them to it. Only [`daemon`]
//! knows all the others.
//!
//! | module | what it is for | |
//! |---|---|---|
//! | [`model`] | the words everyone shares: addresses, names, lines, bans | pure |
//! | [`labels`] | a container's labels → jails, complaints that point into the label | pure |
//! | [`filter`] | fail2ban's filter language: tags, regexes, dates | pure |
//! | [`filters`] | the filters that there are: files in folders, and guard's own | |
//! | [`compose`] | compose files before they run: what is wrong with their labels | pure |
//! | [`import`] | a fail2ban configuration → labels, and what has no counterpart | pure |
//! | [`warden`] | failures in, effects out: counting, ban times, ignore rules | pure |
//! | [`doctor`] | what keeps guard from its work, and what to do about it | pure |
//! | [`suggest`] | what could be guarded, by image and log | pure |
//! | [`replay`] | what guard would have done with a log | pure |
//! | [`docker`] | the Docker API, GET only: discovery, log streams, mounts | |
//! | [`files`] | log files, however they rotate | |
//! | [`journal`] | the host's journal, read from its files | |
//! | [`firewall`] | the wanted state → the kernel, and keeping it there | |
//! | [`store`] | SQLite: bans, counts, positions | |
//! | [`report`] | what guard tells by itself: notices | |
//! | [`control`] | the socket between guardctl and guard | |
//! | [`report`] | metrics for Prometheus, and the server that gives them out | |
//! | [`daemon`] | settings and wiring: tasks, channels, shutdown | |

pub mod compose;
pub mod control;
pub mod daemon;
pub mod docker;
pub mod doctor;
pub mod files;
pub mod filter;
pub mod filters;
pub mod firewall;
pub mod import;
pub mod journal;
pub mod labels;
pub mod model;
pub mod replay;
pub mod report;
pub mod store;
pub mod suggest;
mod wake;
pub mod warden;
