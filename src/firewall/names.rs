//! Names of chains and sets.
//!
//! Invariant: a chain's name has at most 28 bytes, a set's at most 31 (the
//! kernel's limits), both are made of the characters of a [`JailName`], and
//! the same jail and try always give the same name, in every version of guard:
//! that is how the next start finds what this one left.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::JailName;

/// IPv4 or IPv6: the kernel keeps a firewall for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub(crate) const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// For people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    /// The family of an address or prefix.
    pub(crate) fn of(network: crate::model::Network) -> Family {
        if network.is_ipv6() { Family::V6 } else { Family::V4 }
    }
}

/// What every chain of fail2ban and guard begins with.
pub(crate) const CHAIN_PREFIX: &str = "f2b-";

/// A jail's name that is another's is tried with so many hashes.
pub(crate) const ATTEMPTS: u32 = 8;

const CHAIN_MAX: usize = 28;
const SET_MAX: usize = 31;

/// The chain and the sets of a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// `f2b-<jail>`, the same in both families.
    pub(crate) chain: String,
    /// `f2b4-<jail>`
    pub(crate) set4: String,
    /// `f2b6-<jail>`
    pub(crate) set6: String,
}

impl Names {
    /// The names of `jail`. Try 0 is the plain name, cut and hashed where it is
    /// too long; further tries bear a hash, for when the plain name is another's.
    pub(crate) fn new(jail: &JailName, attempt: u32) -> Names {
        let fit = |prefix: &str, max: usize| fit(prefix, jail.as_str(), max, attempt);
        Names {
            chain: fit(CHAIN_PREFIX, CHAIN_MAX),
            set4: fit("f2b4-", SET_MAX),
            set6: fit("f2b6-", SET_MAX),
        }
    }

    /// The set of one family.
    pub(crate) fn set(&self, family: Family) -> &str {
        match family {
            Family::V4 => &self.set4,
            Family::V6 => &self.set6,
        }
    }

    /// Do the two share a name?
    pub(crate) fn clash(&self, other: &Names) -> bool {
        self.chain == other.chain || self.set4 == other.set4 || self.set6 == other.set6
    }
}

/// The family of which a set's name says that it is guard's; `None` for other sets.
pub(crate) fn set_family(name: &str) -> Option<Family> {
    match name.get(..5) {
        Some("f2b4-") => Some(Family::V4),
        Some("f2b6-") => Some(Family::V6),
        _ => None,
    }
}

fn fit(prefix: &str, name: &str, max: usize, attempt: u32) -> String {
    if attempt == 0 && prefix.len() + name.len() <= max {
        return format!("{prefix}{name}");
    }
    const SUFFIX: usize = 1 + 8;
    let hash = fnv1a(name, attempt);
    let kept: String = name.chars().take(max - prefix.len() - SUFFIX).collect();
    format!("{prefix}{kept}-{hash:08x}")
}

/// FNV-1a, folded to 32 bits: short, and the same for ever, which the standard
/// library's hasher does not promise. Nobody is kept out by it: two jails whose
/// names would meet get different ones where they are chosen.
pub(crate) fn fnv1a(name: &str, attempt: u32) -> u32 {
    let bytes = name.bytes().chain(attempt.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jail(name: &str) -> JailName {
        name.parse().unwrap()
    }

    #[test]
    fn short_names_are_plain() {
        let names = Names::new(&jail("web"), 0);
        assert_eq!(
            (names.chain.as_str(), names.set4.as_str(), names.set6.as_str()),
            ("f2b-web", "f2b4-web", "f2b6-web")
        );
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let one = Names::new(&jail(&format!("{}1", "x".repeat(60))), 0);
        let two = Names::new(&jail(&format!("{}2", "x".repeat(60))), 0);
        assert!(!one.clash(&two), "{one:?} {two:?}");
        for attempt in 0..5 {
            let names = Names::new(&jail(&"y".repeat(100)), attempt);
            assert_eq!(names.chain.len(), 28);
            assert_eq!(names.set4.len(), 31);
            assert_eq!(names.set(Family::V6).len(), 31);
        }
    }

    #[test]
    fn limits_fit_exactly() {
        assert_eq!(Names::new(&jail(&"a".repeat(24)), 0).chain, format!("f2b-{}", "a".repeat(24)));
        assert_eq!(Names::new(&jail(&"a".repeat(25)), 0).chain.len(), 28);
    }

    #[test]
    fn names_never_change() {
        // A new version of guard must find what an older one left.
        assert_eq!(Names::new(&jail("web"), 1).chain, "f2b-web-d2b15bfa");
        assert_eq!(Names::new(&jail("web"), 1).set4, "f2b4-web-d2b15bfa");
    }

    #[test]
    fn sets_are_known_by_name() {
        assert_eq!(set_family("f2b4-web"), Some(Family::V4));
        assert_eq!(set_family("f2b6-web"), Some(Family::V6));
        assert_eq!(set_family("f2b-web"), None);
        assert_eq!(set_family("é"), None);
    }
}
