//! Metrics in Prometheus' words. (pure)
//!
//! Counters begin at 0 with guard's process, as Prometheus expects, and never go
//! back, whatever jails and readers come and go: the [`Ledger`] keeps them. All else
//! is looked at when somebody asks, and put with them into a [`Snapshot`];
//! [`FAMILIES`] is the table of what is told of it, and [`Format`] how.
//!
//! ```text
//!  effects of the warden ─▶ Ledger ──┐
//!  what followers read ──▶ (counters)├─▶ Snapshot ─ FAMILIES ─▶ text
//!  jails, firewall, store ───────────┘
//! ```
//!
//! Invariant: what labels can hold is bounded. They are names of jails (at most
//! [`MAX_JAILS`], all others together are [`OTHERS`]) and words of guard's own; never
//! an address, a container or a text from a log.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod families;
mod ledger;
mod process;
mod snapshot;
mod sources;
#[cfg(test)]
mod tests;
mod text;

pub use families::{FAMILIES, Family, Kind};
pub use ledger::{BUCKETS, JailCounters, Latency, Ledger, MAX_JAILS, OTHERS, WardenTotals};
pub use process::Process;
pub use snapshot::{
    Counted, Database, Engine, Firewall, JailFigures, JailState, Snapshot, SourceFigures,
    SourceState,
};
pub use sources::{Count, SourceCounters, SourceKind};
pub use text::Format;
