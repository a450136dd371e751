//! Whose the table is that bears guard's name, and what the kernel shows of Docker.

use crate::firewall::iptables::{self, ToolError};
use crate::firewall::kind::{DOCKER_USER, Kind, docker_jump};
use crate::firewall::names::{CHAIN_PREFIX, Family};
use crate::firewall::sets::SetError;
use crate::firewall::socket::SocketError;

use super::choice::{DockerFirewall, Signs};
use super::plan::{Found, RuleFound};
use super::{Nft, TABLE, decode, encode, failed};

/// A table's name that is another's is tried with so many numbers.
const ATTEMPTS: u32 = 8;

/// Every name that guard's table may have, the one that it should have first.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let numbered = (2..=ATTEMPTS).map(|attempt| format!("{TABLE}-{attempt}"));
    std::iter::once(TABLE.to_owned()).chain(numbered)
}

/// Why guard's table is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum NftError {
    /// The tool failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The kernel could not be asked.
    #[error("nftables can't be read: {0}")]
    Socket(#[from] SocketError),
    /// Every name is another's.
    #[error("nftables' table inet {TABLE} and every name like it belong to other programs")]
    Foreign,
}

impl Nft {
    /// [`Nft::look`], at a table that is no other program's.
    pub(super) fn look_at_own(&mut self) -> Result<(&Found, bool), NftError> {
        let mut moved = false;
        for attempt in 2..=ATTEMPTS + 1 {
            let (found, others) = self.look()?;
            if !found.is_foreign() {
                let others = others || moved;
                return Ok((self.found.get_or_insert_default(), others));
            }
            moved = true;
            self.table = format!("{TABLE}-{attempt}");
            self.found = None;
        }
        self.table = TABLE.to_owned();
        Err(NftError::Foreign)
    }

    /// guard's own tables that there are, but the one that is `used`: most often none or one;
    /// more after another program's table of guard's name came or went. Beside them the
    /// last error: a table that can't be read keeps nobody from the others.
    pub(crate) fn open_all(used: Option<&str>) -> (Vec<Nft>, Option<SetError>) {
        let (mut all, mut failure) = (Vec::new(), None);
        for name in names().filter(|name| Some(name.as_str()) != used) {
            let mut nft = match Nft::open() {
                Ok(nft) => nft,
                // A kernel without nftables holds no table.
                Err(SetError::Unusable(_)) => break,
                Err(error) => return (all, Some(error)),
            };
            nft.table = name;
            let what = format!("reading nftables' table inet {}", nft.table);
            match nft.look().map_err(failed(what)) {
                Ok((found, _)) if found.flags.is_some() && !found.is_foreign() => all.push(nft),
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        (all, failure)
    }

    /// Does iptables-nft's filter table of a family have chains that could be guard's? The
    /// kernel tells, also where the tool can't show the table.
    pub(crate) fn has_jail_chains(family: Family) -> Result<bool, SetError> {
        let mut nft = match Nft::open() {
            Ok(nft) => nft,
            Err(SetError::Unusable(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let of = match family {
            Family::V4 => encode::IPV4,
            Family::V6 => encode::IPV6,
        };
        let chains = nft.socket.dump(encode::GET_CHAIN, of, |q| q, decode::chain);
        let chains = chains.map_err(failed("listing nftables' chains"))?;
        let named = |name: &str| name.starts_with(CHAIN_PREFIX);
        Ok(chains.iter().any(|chain| chain.table == "filter" && named(&chain.name)))
    }

    /// What the kernel shows of Docker and guard; `jumped`: was a jump to DOCKER-USER seen
    /// at the last look? Where nobody asks for one, none is looked for.
    pub(super) fn signs(&mut self, engine: DockerFirewall, jumped: Option<bool>) -> Signs {
        let chains = self.socket.dump(encode::GET_CHAIN, encode::IPV4, |q| q, decode::chain);
        let chains = chains.unwrap_or_default();
        let forward = self.socket.dump(
            encode::GET_RULE,
            encode::IPV4,
            |q| q.of_table("filter").of_chain("FORWARD"),
            decode::rule,
        );
        let is_jump = |rule: &RuleFound| rule.jump.as_deref() == Some(DOCKER_USER);
        let jump = forward.is_ok_and(|rules| rules.iter().any(|(_, rule)| is_jump(rule)));
        let own = !Nft::open_all(None).0.is_empty();
        // A table that can't be read is no sign that there is none.
        let legacy = || {
            iptables::has_legacy_table(Family::V4)
                && iptables::save(Family::V4, Kind::Legacy)
                    .map_or(true, |table| docker_jump(&table).is_some())
        };
        let is_asked = engine != DockerFirewall::Unknown || own;
        Signs {
            bridges: chains.iter().any(|chain| chain.table == "docker-bridges"),
            user: jump || !is_asked || jumped == Some(true) || legacy(),
            own,
        }
    }
}
