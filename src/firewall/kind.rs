//! Which of the two kinds of iptables is in use, and where forwarded traffic
//! is to be caught.
//!
//! Both kinds can hold rules side by side, but only one is Docker's: a chain
//! made in the other has no jump and keeps nobody out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::names::{CHAIN_PREFIX, Family};
use super::plan::may_end;
use super::rules::{Rule, Table};

/// The kinds of iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Over nftables.
    Nft,
    /// The older tables.
    Legacy,
}

impl Kind {
    /// As the tools' names have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Nft => "nft",
            Kind::Legacy => "legacy",
        }
    }

    /// The one that it is not.
    pub(crate) fn other(self) -> Kind {
        match self {
            Kind::Nft => Kind::Legacy,
            Kind::Legacy => Kind::Nft,
        }
    }
}

/// What is forwarded passes here.
const FORWARD: &str = "FORWARD";

/// Docker's chain for its users.
pub(crate) const DOCKER_USER: &str = "DOCKER-USER";

/// Chooses by what both kinds hold; `None` is a kind that is not there or can't be read.
pub(crate) fn choose(nft: Option<&Table>, legacy: Option<&Table>) -> Kind {
    let signs: [fn(&Table) -> bool; 3] = [
        |table| docker_jump(table).is_some(),
        |table| table.chain(DOCKER_USER).is_some(),
        |table| table.chains.iter().flat_map(|chain| &chain.rules).any(|rule| !rule.marked),
    ];
    for sign in signs {
        if nft.is_some_and(sign) {
            return Kind::Nft;
        }
        if legacy.is_some_and(sign) {
            return Kind::Legacy;
        }
    }
    if nft.is_none() && legacy.is_some() { Kind::Legacy } else { Kind::Nft }
}

/// Where FORWARD jumps to DOCKER-USER.
pub(crate) fn docker_jump(table: &Table) -> Option<usize> {
    let forward = table.chain(FORWARD)?;
    table.chain(DOCKER_USER)?;
    forward.rules.iter().position(|rule| rule.names() == Some(DOCKER_USER))
}

/// Where a jail on DOCKER-USER gets its jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DockerHook {
    /// The chain; `None`: there is none to use.
    pub(crate) chain: Option<&'static str>,
    /// Why bans there have no effect.
    pub(crate) problem: Option<String>,
    /// What a person may want to know.
    pub(crate) note: Option<String>,
}

/// Finds it: DOCKER-USER, or FORWARD itself where packets may not come to
/// DOCKER-USER or get past it. In IPv6 older engines make no DOCKER-USER; in IPv4
/// every engine does, and where there is none Docker forwards nothing.
pub(crate) fn docker_hook(family: Family, table: &Table) -> DockerHook {
    let hook = |chain| DockerHook { chain: Some(chain), problem: None, note: None };
    let instead = |why: String| DockerHook {
        note: Some(format!("{}: {why}: guard's jumps are in FORWARD itself", family.as_str())),
        ..hook(FORWARD)
    };
    if let Some(jump) = docker_jump(table) {
        return match past_docker_user(table, jump) {
            None => hook(DOCKER_USER),
            Some(rule) => instead(format!(
                "a rule in FORWARD above the jump to DOCKER-USER may let packets past it (`{}`)",
                rule.text
            )),
        };
    }
    match (family, table.chain(DOCKER_USER)) {
        (Family::V6, None) => hook(FORWARD),
        (_, Some(_)) => instead("FORWARD has no jump to DOCKER-USER".to_owned()),
        (Family::V4, None) => DockerHook {
            problem: Some(
                "DOCKER-USER does not exist in iptables, so Docker's firewall is off or not started: \
                 guard's jumps are in FORWARD, which keeps nobody from what docker-proxy takes on"
                    .to_owned(),
            ),
            ..hook(FORWARD)
        },
    }
}

fn past_docker_user(table: &Table, jump: usize) -> Option<&Rule> {
    let own = |rule: &Rule| {
        rule.marked && rule.names().is_some_and(|name| name.starts_with(CHAIN_PREFIX))
    };
    let above = table.chain(FORWARD)?.rules.get(..jump)?;
    above.iter().find(|rule| !own(rule) && may_end(table, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKER: &str = "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\nCOMMIT\n";
    const NO_JUMP: &str = "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN\nCOMMIT\n";
    const RULES: &str = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
    const OWN: &str = "*filter\n:INPUT DROP [0:0]\n:f2b-a - [0:0]\n-A INPUT -m comment --comment guard -j f2b-a\nCOMMIT\n";

    #[test]
    fn the_kind_is_where_docker_is() {
        let check = |nft: Option<&str>, legacy: Option<&str>, kind: Kind| {
            let [nft_table, legacy_table] =
                [nft, legacy].map(|text| text.map(|text| Table::parse(text).unwrap()));
            let chosen = choose(nft_table.as_ref(), legacy_table.as_ref());
            assert_eq!(chosen, kind, "{nft:?} {legacy:?}");
        };
        check(Some(""), None, Kind::Nft);
        check(None, None, Kind::Nft);
        check(None, Some(""), Kind::Legacy);
        check(Some(""), Some(DOCKER), Kind::Legacy);
        check(Some(DOCKER), Some(DOCKER), Kind::Nft);
        check(Some(NO_JUMP), Some(DOCKER), Kind::Legacy);
        check(Some(RULES), Some(NO_JUMP), Kind::Legacy);
        check(Some(RULES), Some(RULES), Kind::Nft);
        check(Some(OWN), Some(RULES), Kind::Legacy);
        check(Some(OWN), Some(""), Kind::Nft);
    }

    #[test]
    fn the_hook_and_what_is_wrong_with_it() {
        let check = |family, text: &str, chain: Option<&str>, problem: bool, note: bool| {
            let hook = docker_hook(family, &Table::parse(text).unwrap());
            assert_eq!(hook.chain, chain, "{text}");
            assert_eq!((hook.problem.is_some(), hook.note.is_some()), (problem, note), "{hook:?}");
        };
        check(Family::V4, DOCKER, Some("DOCKER-USER"), false, false);
        check(Family::V6, DOCKER, Some("DOCKER-USER"), false, false);
        check(Family::V4, "", Some("FORWARD"), true, false);
        check(Family::V6, "", Some("FORWARD"), false, false);
        check(Family::V4, NO_JUMP, Some("FORWARD"), false, true);
        check(Family::V6, NO_JUMP, Some("FORWARD"), false, true);
        let above =
            |rule: &str| DOCKER.replace("-A FORWARD", &format!("-A FORWARD {rule}\n-A FORWARD"));
        check(Family::V4, &above("-i eth0 -j ACCEPT"), Some("FORWARD"), false, true);
        check(Family::V4, &above("-i eth0 -j DROP"), Some("DOCKER-USER"), false, false);
        let own = above("-m comment --comment guard -j f2b-a");
        check(Family::V4, &own, Some("DOCKER-USER"), false, false);
    }
}
