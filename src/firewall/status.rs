//! What people are told of the firewall.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{About, JailName, Network, News};

/// The state of the firewall.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What is used, such as `ipset, iptables-nft`; empty before the first look.
    pub backend: String,
    /// Is everything that is wanted in the kernel?
    pub healthy: bool,
    /// What is wrong, in words for people. Retried all the time.
    pub problems: Vec<String>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// How often something that others took away was put back.
    pub repairs: u64,
    /// How often guard looked because it heard of another program's change to
    /// nftables' rules.
    pub heard: u64,
    /// The installed jails.
    pub jails: BTreeMap<JailName, JailStatus>,
    /// Bans that were lifted, and that the kernel may still hold. Retried all the time.
    pub unlifted: Vec<Unlifted>,
}

impl Status {
    /// What may still be refused though it was lifted, a sentence each.
    pub fn unlifted(&self) -> impl Iterator<Item = String> {
        self.unlifted.iter().map(Unlifted::to_string)
    }

    /// Why the kernel may still hold bans that were lifted: of one jail or any, of these
    /// networks and what shares addresses with them, or of all. `None`: it holds none.
    pub fn may_still_hold(
        &self,
        jail: Option<&JailName>,
        networks: Option<&[Network]>,
    ) -> Option<String> {
        let holds = |held: &&Unlifted| {
            jail.is_none_or(|jail| *jail == held.jail)
                && networks.is_none_or(|all| all.iter().any(|network| held.may_hold(*network)))
        };
        let why: Vec<String> =
            self.unlifted.iter().filter(holds).map(Unlifted::to_string).collect();
        (!why.is_empty()).then(|| why.join("; "))
    }
}

/// Bans of a jail that were lifted, and that the kernel may still hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlifted {
    /// The jail.
    pub jail: JailName,
    /// Whose bans they are.
    pub networks: BTreeSet<Network>,
    /// Are there more of them than are named?
    pub more: bool,
    /// Why, in words for people.
    pub why: String,
}

impl Unlifted {
    fn may_hold(&self, network: Network) -> bool {
        self.more
            || self.networks.contains(&network)
            || self.networks.iter().any(|held| held.overlaps(network))
    }
}

impl std::fmt::Display for Unlifted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unlifted { jail, networks, more, why } = self;
        match networks.first() {
            Some(only) if networks.len() == 1 && !more => write!(f, "{only}")?,
            Some(first) => {
                let or_more = if *more { " or more" } else { "" };
                write!(f, "{} bans{or_more}, such as {first},", networks.len())?;
            }
            None => write!(f, "some bans")?,
        }
        write!(f, " in jail {jail} may still be refused: {why}")
    }
}

/// The state of a jail in the firewall.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JailStatus {
    /// Its chain.
    pub chain: String,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// How many of its bans are not in force.
    pub pending: usize,
}

/// What one turn found wrong or worth knowing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// Wrong for all.
    pub(crate) problems: BTreeSet<String>,
    /// Wrong for one jail.
    pub(crate) jail_problems: BTreeMap<JailName, BTreeSet<String>>,
    /// Not wrong.
    pub(crate) notes: BTreeSet<String>,
}

impl Findings {
    /// Something is wrong.
    pub(crate) fn problem(&mut self, what: &impl ToString) {
        self.problems.insert(what.to_string());
    }

    /// Something is wrong with one jail.
    pub(crate) fn jail_problem(&mut self, jail: &JailName, what: String) {
        self.jail_problems.entry(jail.clone()).or_default().insert(what);
    }

    /// Everything that is wrong, each jail's with its name.
    fn all(&self) -> BTreeSet<(Option<JailName>, String)> {
        let of_jails = self.jail_problems.iter().flat_map(|(jail, problems)| {
            let told = move |problem| (Some(jail.clone()), format!("jail {jail}: {problem}"));
            problems.iter().map(told)
        });
        let of_all = self.problems.iter().map(|problem| (None, problem.clone()));
        of_all.chain(of_jails).collect()
    }

    /// What became wrong, and what is well again, since `before`.
    pub(crate) fn news_since(&self, before: &Findings) -> Vec<News> {
        let (old, new) = (before.all(), self.all());
        let over = old.difference(&new).map(|what| (what, true));
        let begun = new.difference(&old).map(|what| (what, false));
        let news = |((jail, what), over): (&(Option<JailName>, String), bool)| News::Trouble {
            about: About::Firewall,
            jail: jail.clone(),
            what: what.clone(),
            over,
        };
        over.chain(begun).map(news).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_its_end_too() {
        let mut first = Findings::default();
        first.problem(&"a");
        first.jail_problem(&"web".parse().unwrap(), "b".to_owned());
        let mut second = Findings::default();
        second.problem(&"a");
        let told = |news: Vec<News>| -> Vec<(String, bool)> {
            news.into_iter()
                .map(|news| match news {
                    News::Trouble { what, over, .. } => (what, over),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(
            told(first.news_since(&Findings::default())),
            [("a".into(), false), ("jail web: b".into(), false)]
        );
        assert_eq!(told(second.news_since(&first)), [("jail web: b".into(), true)]);
        assert_eq!(told(second.news_since(&second)), []);
    }
}
