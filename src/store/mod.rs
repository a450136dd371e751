//! SQLite: what must survive a restart. The only module that knows SQL.
