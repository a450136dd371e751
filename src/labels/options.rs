//! The values of one jail's labels, each read but none yet put to use.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::jail::StreamChoice;
use super::ports::PortWish;
use crate::filter::{FilterReference, UseDns};
use crate::model::{
    BanTime, BlockType, Chain, Growth, IgnoreEntry, JailName, JournalMatch, LogEncoding,
    NoticeKind, Policy, Prefixes, Protocol,
};

/// A label or variable to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    /// The label's key or the variable's name.
    pub(super) key: &'a str,
    /// Its value.
    pub(super) value: &'a str,
}

/// One of several texts in a label, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The label's key.
    pub(super) key: String,
    /// The byte of its value at which the text begins.
    pub(super) start: usize,
    /// The text, without blanks around it.
    pub(super) text: String,
}

/// What was set, and nothing that was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) enable: Option<bool>,
    pub(super) name: Option<JailName>,
    pub(super) filter: Option<(Piece, FilterReference)>,
    pub(super) failregex: Vec<Piece>,
    pub(super) ignoreregex: Vec<Piece>,
    pub(super) successregex: Vec<Piece>,
    pub(super) prefregex: Option<Piece>,
    pub(super) datepattern: Option<Piece>,
    pub(super) max_lines: Option<u32>,
    pub(super) use_dns: Option<UseDns>,
    pub(super) logpath: Vec<String>,
    pub(super) journal: Option<JournalMatch>,
    pub(super) stream: Option<StreamChoice>,
    pub(super) max_retry: Option<NonZeroU32>,
    pub(super) find_time: Option<Duration>,
    pub(super) ban_time: Option<BanTime>,
    pub(super) growth: GrowthOptions,
    pub(super) prefix_v4: Option<u8>,
    pub(super) prefix_v6: Option<u8>,
    pub(super) recidive: Option<bool>,
    pub(super) ignore: Option<Vec<IgnoreEntry>>,
    pub(super) ports: Option<PortSetting>,
    pub(super) protocols: Option<BTreeSet<Protocol>>,
    pub(super) chains: Option<BTreeSet<Chain>>,
    pub(super) block_type: Option<BlockType>,
    pub(super) dry_run: Option<bool>,
    pub(super) log_zone: Option<TimeZone>,
    pub(super) log_encoding: Option<LogEncoding>,
    pub(super) notify: Option<BTreeSet<NoticeKind>>,
}

/// `port`, and where it was set: what it means is known only when the
/// container's published ports are, and a complaint may come then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortSetting {
    pub(super) wish: PortWish,
    pub(super) key: String,
    pub(super) value: String,
}

/// `bantime.increment` and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GrowthOptions {
    pub(super) increment: Option<bool>,
    pub(super) factor: Option<u64>,
    pub(super) multipliers: Option<Vec<u32>>,
    pub(super) max_time: Option<Duration>,
    pub(super) random_time: Option<Duration>,
    pub(super) overall: Option<bool>,
}

impl GrowthOptions {
    fn or(&self, parent: &GrowthOptions) -> GrowthOptions {
        GrowthOptions {
            increment: self.increment.or(parent.increment),
            factor: self.factor.or(parent.factor),
            multipliers: self.multipliers.clone().or_else(|| parent.multipliers.clone()),
            max_time: self.max_time.or(parent.max_time),
            random_time: self.random_time.or(parent.random_time),
            overall: self.overall.or(parent.overall),
        }
    }

    /// How bans grow, if they do.
    fn growth(&self) -> Option<Growth> {
        let usual = Growth::default();
        self.increment.filter(|on| *on).map(|_| Growth {
            factor: self.factor.unwrap_or(usual.factor),
            multipliers: self.multipliers.clone().unwrap_or_default(),
            max_time: self.max_time,
            random_time: self.random_time.unwrap_or(usual.random_time),
            overall: self.overall.unwrap_or(usual.overall),
        })
    }
}

impl Options {
    /// What the jail does beyond counting.
    pub(super) fn policy(&self) -> Policy {
        let usual = Prefixes::default();
        Policy {
            growth: self.growth.growth(),
            prefixes: Prefixes {
                v4: self.prefix_v4.unwrap_or(usual.v4),
                v6: self.prefix_v6.unwrap_or(usual.v6),
            },
            recidive: self.recidive == Some(true),
            // All is what counts anyway.
            notify: self.notify.clone().filter(|kinds| kinds.len() < NoticeKind::ALL.len()),
        }
    }

    /// These options, and where they say nothing, those of `parent` that reach
    /// further than one jail.
    pub(super) fn or(&self, parent: &Options) -> Options {
        Options {
            use_dns: self.use_dns.or(parent.use_dns),
            max_retry: self.max_retry.or(parent.max_retry),
            find_time: self.find_time.or(parent.find_time),
            ban_time: self.ban_time.or(parent.ban_time),
            growth: self.growth.or(&parent.growth),
            prefix_v4: self.prefix_v4.or(parent.prefix_v4),
            prefix_v6: self.prefix_v6.or(parent.prefix_v6),
            ignore: self.ignore.clone().or_else(|| parent.ignore.clone()),
            ports: self.ports.clone().or_else(|| parent.ports.clone()),
            protocols: self.protocols.clone().or_else(|| parent.protocols.clone()),
            chains: self.chains.clone().or_else(|| parent.chains.clone()),
            block_type: self.block_type.or(parent.block_type),
            dry_run: self.dry_run.or(parent.dry_run),
            log_zone: self.log_zone.clone().or_else(|| parent.log_zone.clone()),
            log_encoding: self.log_encoding.or(parent.log_encoding),
            notify: self.notify.clone().or_else(|| parent.notify.clone()),
            ..self.clone()
        }
    }
}
