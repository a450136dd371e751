//! The socket between guardctl and guard.
