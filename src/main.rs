//! guard: the daemon.

fn main() {}
