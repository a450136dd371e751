//! guardctl: the client.

fn main() {}
