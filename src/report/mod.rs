//! What guard tells the world by itself, unasked.

pub mod notify;
