//! What guard tells the world: notices, unasked, and metrics for Prometheus, asked.
//!
//! | file | |
//! |---|---|
//! | `metrics/` | counters, a snapshot of everything, and its text (pure) |
//! | `address` | where to listen, as people write it (pure) |
//! | `http` | a small server for a few pages |
//! | `notify/` | notices: what is told, how each service wants it, and the way there |

pub mod address;
pub mod http;
pub mod metrics;
pub mod notify;
