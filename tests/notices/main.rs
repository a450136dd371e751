//! Notices, by the real daemon to real receivers: HTTP servers that are as strict as the
//! services' documents, a real mail server, and servers that are dead, slow and hostile.
//!
//! Each test is a network of its own without a Docker engine, which guard tells of at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod descriptors;
mod flood;
mod hostile;
mod mail;
mod receiver;
mod services;
mod smtp;
mod world;
