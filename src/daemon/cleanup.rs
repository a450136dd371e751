//! `guard cleanup`: takes away what a guard that runs no more has left.

use super::alone::{Alone, AnotherGuard};
use crate::firewall::{self, Removed};

/// Does a guard that runs matter?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Only what a guard left that is gone.
    OfTheDead,
    /// Also what one that runs needs, and makes again in a moment.
    Anybodys,
}

/// Takes everything of guard's out of this network namespace's firewall. The
/// database stays: bans that are not over come back with the next start.
pub fn clean_up(whose: Whose) -> Result<Removed, AnotherGuard> {
    let _alone = match whose {
        Whose::OfTheDead => Some(Alone::claim()?),
        Whose::Anybodys => None,
    };
    Ok(firewall::clean_up())
}
