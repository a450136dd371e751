//! The last lines of whoever failed lately, so that history can show what led to a
//! ban. Kept beside the warden, which counts times and not texts; bounded. (pure)
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;

use hashlink::LruCache;

use crate::model::{BanOrigin, JailName, Network, Record};

/// So many addresses are kept, those seen last: 10 MB at most.
const ADDRESSES: usize = 10_000;

/// So many lines of each.
const LINES: usize = 3;

/// So much of a line, in bytes.
const LINE: usize = 300;

/// The last lines, by jail and address.
pub(crate) struct Evidence(LruCache<(JailName, Network), VecDeque<Box<str>>>);

impl Evidence {
    pub(crate) fn new() -> Evidence {
        Evidence(LruCache::new(ADDRESSES))
    }

    /// Notes the line of a failure.
    pub(crate) fn note(&mut self, jail: &JailName, network: Network, line: &str) {
        let line = line[..line.floor_char_boundary(LINE)].into();
        let key = (jail.clone(), network);
        match self.0.get_mut(&key) {
            Some(lines) => {
                if lines.len() >= LINES {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
            None => drop(self.0.insert(key, VecDeque::from([line]))),
        }
    }

    /// The last lines of whoever is in a banned prefix, or of the address that is banned.
    fn take(&mut self, jail: &JailName, network: Network) -> Option<VecDeque<Box<str>>> {
        if network.is_single() {
            return self.0.remove(&(jail.clone(), network));
        }
        let inside = |(of, known): &&(JailName, Network)| of == jail && network.covers(*known);
        let keys: Vec<_> = self.0.iter().map(|(key, _)| key).filter(inside).cloned().collect();
        let mut lines: VecDeque<_> =
            keys.iter().filter_map(|key| self.0.remove(key)).flatten().collect();
        lines.drain(..lines.len().saturating_sub(LINES));
        (!lines.is_empty()).then_some(lines)
    }

    /// The lines of `network` and of what lies in it, those of one address oldest first.
    pub(crate) fn on(&self, network: Network) -> Vec<(JailName, Network, Box<str>)> {
        let all = self.0.iter().filter(|((_, of), _)| network.covers(*of));
        let lines = all.flat_map(|((jail, of), lines)| {
            lines.iter().map(move |line| (jail.clone(), *of, line.clone()))
        });
        lines.collect()
    }

    /// What the records of bans are to be written with.
    pub(crate) fn of(&mut self, records: &[Record]) -> Vec<Record> {
        let bans = records.iter().filter_map(|record| match record {
            Record::History(ban) if ban.origin == BanOrigin::Failures => Some(ban),
            _ => None,
        });
        let lines = bans.filter_map(|ban| {
            let lines = self.take(&ban.jail, ban.network)?;
            let (jail, network, since) = (ban.jail.clone(), ban.network, ban.since);
            Some(Record::Lines { jail, network, since, lines: lines.into() })
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ban, Timestamp, Until};

    #[test]
    fn a_ban_has_the_last_lines_of_whom_it_hits() {
        let mut evidence = Evidence::new();
        let (web, ssh) = (JailName::from_lossy("web"), JailName::from_lossy("ssh"));
        let network = "192.0.2.1".parse().unwrap();
        for line in ["1", "2", "3", "4", &"é".repeat(LINE)] {
            evidence.note(&web, network, line);
        }
        evidence.note(&ssh, network, "x");
        assert_eq!(evidence.on("192.0.2.0/24".parse().unwrap()).len(), LINES + 1);
        assert!(evidence.on("192.0.2.2".parse().unwrap()).is_empty());
        let ban = Ban {
            jail: web.clone(),
            network,
            since: Timestamp::UNIX_EPOCH,
            until: Until::Forever,
            origin: BanOrigin::Failures,
            failures: 5,
        };
        let by_hand = Ban { origin: BanOrigin::Hand, jail: ssh, ..ban.clone() };
        let records = [Record::History(by_hand), Record::Ban(ban.clone()), Record::History(ban)];
        let given = evidence.of(&records);
        let [Record::Lines { jail, lines, .. }] = &given[..] else { panic!("{given:?}") };
        assert_eq!(*jail, web);
        assert_eq!(lines.iter().map(|line| line.len()).collect::<Vec<_>>(), [1, 1, LINE]);
        assert!(evidence.of(&records).is_empty(), "they are used up");
        // Those of a banned prefix are of all in it, the newest last.
        for (last, line) in [("1", "a"), ("2", "b"), ("2", "c"), ("3", "d")] {
            evidence.note(&web, format!("2001:db8::{last}").parse().unwrap(), line);
        }
        evidence.note(&web, "2001:db8:1::1".parse().unwrap(), "other");
        let Record::History(ban) = &records[2] else { panic!() };
        let prefix = Ban { network: "2001:db8::/64".parse().unwrap(), ..ban.clone() };
        let given = evidence.of(&[Record::History(prefix)]);
        let [Record::Lines { lines, .. }] = &given[..] else { panic!("{given:?}") };
        assert_eq!(lines.iter().map(|line| &**line).collect::<Vec<_>>(), ["b", "c", "d"]);
        for n in 0..2 * ADDRESSES as u32 {
            let ip = std::net::Ipv4Addr::from(n).into();
            evidence.note(&web, crate::model::Address::new(ip).into(), "x");
        }
        assert_eq!(evidence.0.len(), ADDRESSES);
    }
}
