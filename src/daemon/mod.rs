//! Settings and wiring: tasks, channels, shutdown. The only module that knows all others.
