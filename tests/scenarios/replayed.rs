//! What `guardctl try` says of lines is what guard does with them as they come.

use std::sync::Arc;
use std::time::Duration;

use guard::model::{BanTime, JailRules, Limits, Network, News, Timestamp, Until};
use guard::replay::Replay;
use guard::warden::{Settings, Surroundings};
use proptest::prelude::*;

use super::world::{World, at};
use super::{JailText, rules};

type Seen = Vec<(String, Network, Timestamp, Until, u32)>;

fn jail(key: &str, (max_retry, find_time, ban_time): (u32, u64, u64)) -> JailRules {
    let text: JailText = toml::from_str(
        "maxretry = 1
findtime = 1
bantime = 1
ignoreip = ['203.0.113.0']",
    )
    .unwrap();
    let limits = Limits {
        max_retry: max_retry.try_into().unwrap(),
        find_time: Duration::from_secs(find_time),
        ban_time: BanTime::For(Duration::from_secs(ban_time)),
    };
    JailRules { limits, ..rules(key, &text) }
}

fn any_limits() -> impl Strategy<Value = (u32, u64, u64)> {
    (1..4_u32, 1..300_u64, 1..500_u64)
}

/// The bans as they come when each line is judged in its moment.
fn as_it_comes(jails: &[JailRules], lines: &[(i64, usize, Network)]) -> Seen {
    let mut world = World::new(Settings::default(), Surroundings::default());
    for rules in jails {
        world.jail(0, rules.clone());
    }
    let mut seen = Seen::new();
    for (second, jail, network) in lines {
        world.fail(*second, &jails[*jail].name, (*network, &[]), *second);
        for event in &world.told {
            match &event.news {
                News::Banned { ban, .. } => {
                    let (name, since) = (ban.jail.to_string(), ban.since);
                    seen.push((name, ban.network, since, ban.until, ban.failures));
                }
                News::Prolonged { ban, .. } => {
                    let mut known = seen.iter_mut().rev();
                    let same = |row: &&mut (String, Network, Timestamp, Until, u32)| {
                        (row.0.as_str(), row.1) == (ban.jail.as_str(), ban.network)
                    };
                    let known = known.find(same).unwrap();
                    (known.3, known.4) = (ban.until, ban.failures);
                }
                _ => {}
            }
        }
    }
    seen
}

proptest! {
    #[test]
    fn a_trial_bans_as_guard_does(
        limits in (any_limits(), any_limits()),
        lines in prop::collection::vec((0..120_i64, 0..2_usize, 0..4_u8), 0..80),
        cut in 0..40_usize,
    ) {
        let jails = [jail("a", limits.0), jail("b", limits.1)];
        let mut second = 0;
        let lines: Vec<(i64, usize, Network)> = lines
            .into_iter()
            .map(|(pause, jail, host)| {
                second += pause;
                (second, jail, format!("203.0.113.{host}").parse().unwrap())
            })
            .collect();
        let mut expected = as_it_comes(&jails, &lines);

        let mut replay = Replay::new(jails.map(Arc::new).into(), None);
        // As from two sources, the newer one read first.
        let cut = cut.min(lines.len());
        for (second, jail, network) in lines[cut..].iter().chain(&lines[..cut]) {
            replay.failure(*jail, (*network, &[], at(*second)), "line");
        }
        let tried = replay.play(at(second), Settings::default(), Surroundings::default());
        let mut seen: Seen = tried
            .bans
            .iter()
            .map(|tried| {
                let ban = &tried.ban;
                (ban.jail.to_string(), ban.network, ban.since, ban.until, ban.failures)
            })
            .collect();
        // Bans of one moment have no order.
        for bans in [&mut seen, &mut expected] {
            bans.sort_by_key(|(jail, network, since, ..)| (*since, jail.clone(), *network));
        }
        prop_assert_eq!(seen, expected);
        let ignored = lines.iter().filter(|(_, _, net)| *net == "203.0.113.0".parse().unwrap());
        prop_assert_eq!(tried.never.iter().map(|n| n.failures).sum::<u64>(), ignored.count() as u64);
    }
}
