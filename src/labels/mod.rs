//! (pure)
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
mod complaint;
pub mod duration;
pub use complaint::{Complaint, Flaw, Severity};
