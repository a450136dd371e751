//! fail2ban's own tools speak to guard: its socket protocol, and its client's words.
//!
//! `fail2ban-client`, exporters and panels send a list of words, pickled, and get
//! a value back, pickled. What the words mean is worked out once ([`Command`]),
//! for the socket as well as for `guardctl set web unbanip 192.0.2.7`; the daemon
//! answers with a [`Value`], which [`shown`] prints as `fail2ban-client` does.
//!
//! | file | |
//! |---|---|
//! | `value` | what an answer can be (pure) |
//! | `pickle` | Python's pickles: a reader that builds nothing but lists, texts and numbers, and a writer (pure) |
//! | `command` | words → what is wanted (pure) |
//! | `shown` | an answer for people (pure) |
//! | `server` | the socket |

mod command;
mod pickle;
pub mod server;
mod shown;
mod value;

pub use command::{Command, Detail, InvalidCommand, is_foreign};
pub use server::words;
pub use shown::shown;
pub use value::{Exception, Value};
