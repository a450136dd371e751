//! What a jail does beyond counting within a window: bans that grow, prefixes
//! that count as one client, offenders of all jails.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BanTime, Network, NoticeKind, Until};

/// How a jail treats those who come back, and whom it takes for one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How the bans of one who was banned before grow (`bantime.increment`); `None`: not.
    pub growth: Option<Growth>,
    /// The prefixes that count, and are banned, as one client.
    pub prefixes: Prefixes,
    /// Its failures are the bans of the other jails, not lines (fail2ban's jail `recidive`).
    pub recidive: bool,
    /// What of it people are told by notices; `None`: everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<BTreeSet<NoticeKind>>,
}

/// How long a prefix is that counts as one client, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefixes {
    /// Of IPv4 addresses.
    pub v4: u8,
    /// Of IPv6 addresses.
    pub v6: u8,
}

impl Prefixes {
    /// The lengths that may be asked for, of IPv4 and IPv6: a shorter prefix holds
    /// thousands of clients.
    pub const ALLOWED: [std::ops::RangeInclusive<u8>; 2] = [16..=32, 32..=128];

    /// The prefix that counts as one client with `network`, which may be wider already.
    pub fn widen(self, network: Network) -> Network {
        let length = if network.is_ipv6() { self.v6 } else { self.v4 };
        if network.length() <= length {
            return network;
        }
        Network::new(network.address(), length).unwrap_or(network)
    }

    /// Are the lengths such as may be asked for?
    pub fn are_allowed(self) -> bool {
        let [v4, v6] = Self::ALLOWED;
        v4.contains(&self.v4) && v6.contains(&self.v6)
    }
}

impl Default for Prefixes {
    /// Single IPv4 addresses; of IPv6 a /64, which is what one customer has at least.
    fn default() -> Self {
        Prefixes { v4: 32, v6: 64 }
    }
}

/// fail2ban's `bantime.increment`, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Growth {
    /// `bantime.factor`, in millionths.
    pub factor: u64,
    /// `bantime.multipliers`; none: the time doubles with each ban.
    pub multipliers: Vec<u32>,
    /// `bantime.maxtime`: no raised time is longer.
    pub max_time: Option<Duration>,
    /// `bantime.rndtime`: up to so much is added to a raised time, by chance.
    pub random_time: Duration,
    /// `bantime.overalljails`: do the bans of all jails count?
    pub overall: bool,
}

impl Growth {
    /// A factor of 1.
    pub const ONE: u64 = 1_000_000;

    /// Most times that a ban's time doubles.
    const DOUBLINGS: u32 = 20;

    /// How long a ban lasts after `earlier` ones; `chance` is any number. Without
    /// earlier ones it is `base`, as is a ban for ever. Otherwise, as in fail2ban,
    /// `base × 2^earlier × factor` and no less than `base`, or `base × factor × `
    /// the multiplier in the place of `earlier` (counted from 0) or the last; then no
    /// more than the maximum; then what chance adds.
    pub fn time(&self, base: BanTime, earlier: u32, chance: u64) -> BanTime {
        let BanTime::For(base) = base else { return BanTime::Forever };
        if earlier == 0 {
            return BanTime::For(base);
        }
        let place = usize::try_from(earlier).unwrap_or(usize::MAX);
        let times = self.multipliers.get(place).or(self.multipliers.last());
        let raised = match times {
            Some(times) => self.times(base, u64::from(*times)),
            None => self.times(base, 1 << earlier.min(Self::DOUBLINGS)).max(base),
        };
        let capped = self.max_time.map_or(raised, |max| raised.min(max));
        let more = chance.checked_rem(self.random_time.as_secs().saturating_add(1)).unwrap_or(0);
        BanTime::For(capped.saturating_add(Duration::from_secs(more)))
    }

    /// In whole seconds, at least one.
    fn times(&self, base: Duration, times: u64) -> Duration {
        let seconds = u128::from(base.as_secs()) * u128::from(times);
        let scaled = seconds.saturating_mul(self.factor.into()) / u128::from(Self::ONE);
        Duration::from_secs(u64::try_from(scaled).unwrap_or(u64::MAX).max(1))
    }

    /// As how many failures one counts of somebody with `earlier` bans in the jail:
    /// as in fail2ban 1, then 2, 3, 5, 9, …, up to `max_retry`, which is a ban at once.
    pub fn weight(earlier: u32, max_retry: u32) -> u32 {
        let weight = match earlier {
            0 => 1,
            earlier => (1 << (earlier - 1).min(Self::DOUBLINGS)) + 1,
        };
        weight.min(max_retry)
    }
}

impl Default for Growth {
    /// Twice as long each time.
    fn default() -> Self {
        Growth {
            factor: Self::ONE,
            multipliers: Vec::new(),
            max_time: None,
            random_time: Duration::ZERO,
            overall: false,
        }
    }
}

/// The bans that a jail made of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offence {
    /// How many there were.
    pub bans: u32,
    /// When the last of them ends or ended.
    pub until: Until,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// The times of the first six bans, in seconds.
    fn check(growth: &Growth, expected: [u64; 6]) {
        let time = |earlier| match growth.time(BanTime::For(HOUR / 60), earlier, 0) {
            BanTime::For(time) => time.as_secs(),
            BanTime::Forever => u64::MAX,
        };
        assert_eq!([0, 1, 2, 3, 4, 5].map(time), expected, "{growth:?}");
    }

    #[test]
    fn times_grow_as_in_fail2ban() {
        let usual = Growth::default();
        check(&usual, [60, 120, 240, 480, 960, 1920]);
        check(&Growth { factor: 2_500_000, ..usual.clone() }, [60, 300, 600, 1200, 2400, 4800]);
        check(&Growth { factor: 100_000, ..usual.clone() }, [60, 60, 60, 60, 96, 192]);
        let max_time = Some(Duration::from_secs(300));
        check(&Growth { max_time, ..usual.clone() }, [60, 120, 240, 300, 300, 300]);
        let multipliers = vec![1, 5, 30, 60];
        check(
            &Growth { multipliers: multipliers.clone(), ..usual.clone() },
            [60, 300, 1800, 3600, 3600, 3600],
        );
        check(&Growth { multipliers, factor: 500_000, ..usual }, [60, 150, 900, 1800, 1800, 1800]);
    }

    #[test]
    fn nothing_overflows() {
        let huge = Growth { factor: u64::MAX, multipliers: vec![u32::MAX], ..Growth::default() };
        let time = huge.time(BanTime::For(Duration::MAX), u32::MAX, u64::MAX);
        assert_eq!(time, BanTime::For(Duration::from_secs(u64::MAX)));
        let doubled = Growth { random_time: Duration::MAX, ..Growth::default() };
        assert_ne!(doubled.time(BanTime::For(HOUR), u32::MAX, u64::MAX), BanTime::Forever);
        assert_eq!(huge.time(BanTime::Forever, 3, 0), BanTime::Forever);
        assert_eq!(Growth::weight(u32::MAX, u32::MAX), (1 << 20) + 1);
    }

    #[test]
    fn chance_is_added_to_raised_times_beyond_the_maximum() {
        let max_time = Some(Duration::from_secs(100));
        let growth = Growth { max_time, random_time: Duration::from_secs(9), ..Growth::default() };
        let time = |earlier, chance| growth.time(BanTime::For(HOUR), earlier, chance);
        assert_eq!(time(0, 9), BanTime::For(HOUR), "the first is as it was asked for");
        let seen: std::collections::BTreeSet<u64> = (0..1000)
            .map(|chance| match time(1, chance) {
                BanTime::For(time) => time.as_secs(),
                BanTime::Forever => 0,
            })
            .collect();
        assert_eq!(seen, (100..=109).collect());
    }

    #[test]
    fn known_offenders_need_fewer_failures() {
        let weights = |max_retry| [0, 1, 2, 3, 4, 5].map(|bans| Growth::weight(bans, max_retry));
        assert_eq!(weights(100), [1, 2, 3, 5, 9, 17]);
        assert_eq!(weights(5), [1, 2, 3, 5, 5, 5]);
    }

    #[test]
    fn prefixes_widen_and_never_narrow() {
        let check = |network: &str, expected: &str| {
            let widened = Prefixes { v4: 24, v6: 56 }.widen(network.parse().unwrap());
            assert_eq!(widened.to_string(), expected);
        };
        check("192.0.2.7", "192.0.2.0/24");
        check("192.0.0.0/16", "192.0.0.0/16");
        check("2001:db8::1234:1", "2001:db8::/56");
        check("2001:db8::/48", "2001:db8::/48");
    }
}
