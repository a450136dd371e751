//! What guard tells machines: metrics for Prometheus, and the server that gives them out.
//!
//! | file | |
//! |---|---|
//! | `metrics/` | counters, a snapshot of everything, and its text (pure) |
//! | `address` | where to listen, as people write it (pure) |
//! | `http` | a small server for a few pages |

pub mod address;
pub mod http;
pub mod metrics;
