//! Does Docker's set-up ask for nftables?
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// What the engine says of its firewall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DockerFirewall {
    /// Nothing: it has not answered yet.
    #[default]
    Unknown,
    /// It has answered, but an engine before 28.1 can't say, or may not be asked.
    Unsaid,
    /// iptables.
    Iptables,
    /// nftables: there is no DOCKER-USER.
    Nftables,
    /// It leaves the firewall alone: nobody makes a DOCKER-USER.
    Off,
}

/// What the kernel shows of Docker and guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// The table that Docker's own nftables backend makes. Going from iptables to it,
    /// Docker leaves DOCKER-USER; going back, it takes this table away.
    pub(super) bridges: bool,
    /// A jump to DOCKER-USER, in either kind of iptables.
    pub(super) user: bool,
    /// guard's own table, from an earlier run.
    pub(super) own: bool,
}

/// Is nftables to be used? `signs` are looked at only where the engine does not say.
pub(super) fn wants_nftables(engine: DockerFirewall, signs: impl FnOnce() -> Signs) -> bool {
    match engine {
        DockerFirewall::Iptables => false,
        DockerFirewall::Nftables | DockerFirewall::Off => true,
        // It makes its chains before it answers: what is not there now never will be.
        DockerFirewall::Unsaid => {
            let signs = signs();
            signs.bridges || !signs.user
        }
        // It may be about to make them: what was last is kept.
        DockerFirewall::Unknown => {
            let signs = signs();
            signs.bridges || (!signs.user && signs.own)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_decides_and_else_the_kernel() {
        let check = |engine, signs: [bool; 3], wanted| {
            let [bridges, user, own] = signs;
            let signs = Signs { bridges, user, own };
            assert_eq!(wants_nftables(engine, || signs), wanted, "{engine:?} {signs:?}");
        };
        for (at, engine) in
            [DockerFirewall::Iptables, DockerFirewall::Nftables, DockerFirewall::Off]
                .into_iter()
                .enumerate()
        {
            check(engine, [true, true, true], at > 0);
            check(engine, [false, false, false], at > 0);
        }
        check(DockerFirewall::Unsaid, [false, true, true], false);
        check(DockerFirewall::Unsaid, [true, true, false], true);
        check(DockerFirewall::Unsaid, [false, false, false], true);
        check(DockerFirewall::Unknown, [false, false, false], false);
        check(DockerFirewall::Unknown, [false, true, true], false);
        check(DockerFirewall::Unknown, [false, false, true], true);
        check(DockerFirewall::Unknown, [true, true, false], true);
    }
}
