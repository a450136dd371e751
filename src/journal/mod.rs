//! The host's journal, read from its files: no journald, no library of systemd's.
//!
//! A [`JournalReader`] follows all files of the machine's journal, in the order in which
//! their entries were numbered. inotify wakes it, a tick makes sure.
//!
//! journald numbers its entries over all files that it writes (the system's, the
//! users'), so that a number is a place that survives rotation. Reading goes in
//! rounds. Each looks how far the numbers have come, then looks *again* at what is
//! in the files, and gives entries up to those numbers: all with smaller numbers were
//! written before, and so none can come late and be lost to a place behind it.
//!
//! Invariants: over restarts, rotation and removal no entry is given twice, and none
//! is lost that a file still has; a turn is bounded; files are untrusted.

mod entry;
mod file;
mod folder;
mod hash;
mod layout;
mod reader;
mod state;
mod terms;
mod track;
mod unpack;

pub use folder::JournalFolders;
pub use reader::{JournalBatch, JournalReader};
pub use state::JournalState;

#[cfg(test)]
mod tests;
