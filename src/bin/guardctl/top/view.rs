//! What `top` knows and what the keys do to it. (pure)

use std::collections::{BTreeMap, VecDeque};

use guard::control::protocol::{BanView, InForce, Overview, Reply};
use guard::model::{Event, JailName, Network, News};

use super::keys::Key;

/// So many of the newest bans are kept.
pub(super) const BANS: usize = 500;

/// So many seconds of each jail's failures are kept.
pub(super) const SECONDS: usize = 120;

/// Which list the keys move in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Jails,
    Bans,
}

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    Redraw,
    Unban(Network, JailName),
}

/// All that can be shown.
#[derive(Debug)]
pub(super) struct View {
    pub(super) overview: Option<Overview>,
    /// Why guard does not answer.
    pub(super) lost: Option<String>,
    /// The newest bans, the newest first.
    pub(super) bans: Vec<BanView>,
    /// Failures in each of the last seconds, the newest last.
    pub(super) rates: BTreeMap<JailName, VecDeque<u64>>,
    found: BTreeMap<JailName, u64>,
    pub(super) pane: Pane,
    pub(super) jail_at: usize,
    pub(super) ban_at: usize,
    /// Whose ban is to be lifted, if the person says yes.
    pub(super) asking: Option<(Network, JailName)>,
    /// What came of it.
    pub(super) message: Option<String>,
}

impl View {
    pub(super) fn new() -> View {
        View {
            overview: None,
            lost: None,
            bans: Vec::new(),
            rates: BTreeMap::new(),
            found: BTreeMap::new(),
            pane: Pane::Jails,
            jail_at: 0,
            ban_at: 0,
            asking: None,
            message: None,
        }
    }

    /// What guard said, a second after it was asked the last time.
    pub(super) fn hear(&mut self, reply: Reply) {
        match reply {
            Reply::Status(overview) => {
                self.lost = None;
                self.count(&overview);
                self.overview = Some(overview);
            }
            Reply::Banned { mut bans, .. } => {
                bans.sort_by_key(|ban| (std::cmp::Reverse(ban.since), ban.network));
                bans.truncate(BANS);
                self.bans = bans;
            }
            Reply::Event(event) => self.happened(event),
            Reply::Unban { lifted, absent, covered, .. } => {
                self.message = match (lifted.first(), covered.first(), absent.first()) {
                    (Some(ban), ..) => Some(format!("{} unbanned from {}", ban.network, ban.jail)),
                    (None, Some(covered), _) => Some(covered.message.clone()),
                    (None, None, Some(network)) => {
                        Some(format!("{network} is not banned any more"))
                    }
                    (None, None, None) => None,
                };
                for ban in &lifted {
                    self.forget(ban.network, &ban.jail);
                }
            }
            Reply::Refused { message, .. } => self.message = Some(message),
            _ => {}
        }
        self.stay_inside();
    }

    fn count(&mut self, overview: &Overview) {
        let names: Vec<_> = overview.jails.iter().map(|jail| jail.name.clone()).collect();
        self.rates.retain(|name, _| names.contains(name));
        self.found.retain(|name, _| names.contains(name));
        for jail in &overview.jails {
            let before = self.found.insert(jail.name.clone(), jail.found).unwrap_or(jail.found);
            let rates = self.rates.entry(jail.name.clone()).or_default();
            if rates.len() >= SECONDS {
                rates.pop_front();
            }
            rates.push_back(jail.found.saturating_sub(before));
        }
    }

    fn happened(&mut self, event: Event) {
        match event.news {
            News::Banned { ban, dry_run } | News::Prolonged { ban, dry_run } => {
                self.forget(ban.network, &ban.jail);
                let in_force = if dry_run { InForce::DryRun } else { InForce::Yes };
                self.bans.insert(0, BanView::new(&ban, in_force));
                self.bans.truncate(BANS);
                // Who is looked at stays looked at.
                if self.ban_at > 0 {
                    self.ban_at += 1;
                }
            }
            News::Unbanned { jail, network, .. } => self.forget(network, &jail),
            _ => {}
        }
    }

    fn forget(&mut self, network: Network, jail: &JailName) {
        self.bans.retain(|ban| ban.network != network || ban.jail != *jail);
    }

    fn stay_inside(&mut self) {
        self.jail_at = self.jail_at.min(self.jails().saturating_sub(1));
        self.ban_at = self.ban_at.min(self.bans.len().saturating_sub(1));
    }

    fn jails(&self) -> usize {
        self.overview.as_ref().map_or(0, |overview| overview.jails.len())
    }

    /// A key was pressed; `page` are the lines of the list.
    pub(super) fn press(&mut self, key: Key, page: usize) -> Wish {
        if let Some((network, jail)) = self.asking.take() {
            return match key {
                Key::Char('y' | 'Y') => Wish::Unban(network, jail),
                Key::Quit => Wish::Quit,
                _ => {
                    self.message = Some("nothing was done".to_owned());
                    Wish::Nothing
                }
            };
        }
        self.message = None;
        let (at, last) = match self.pane {
            Pane::Jails => {
                (&mut self.jail_at, self.overview.as_ref().map_or(0, |all| all.jails.len()))
            }
            Pane::Bans => (&mut self.ban_at, self.bans.len()),
        };
        let last = last.saturating_sub(1);
        match key {
            Key::Quit | Key::Char('q' | 'Q') => return Wish::Quit,
            Key::Redraw => return Wish::Redraw,
            Key::Up | Key::Char('k') => *at = at.saturating_sub(1),
            Key::Down | Key::Char('j') => *at = (*at + 1).min(last),
            Key::PageUp => *at = at.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => *at = (*at + page).min(last),
            Key::Home | Key::Char('g') => *at = 0,
            Key::End | Key::Char('G') => *at = last,
            Key::Tab => {
                self.pane = match self.pane {
                    Pane::Jails => Pane::Bans,
                    Pane::Bans => Pane::Jails,
                }
            }
            Key::Char('u') => match (self.pane, self.bans.get(self.ban_at)) {
                (Pane::Bans, Some(ban)) => self.asking = Some((ban.network, ban.jail.clone())),
                (Pane::Bans, None) => self.message = Some("nobody is banned".to_owned()),
                (Pane::Jails, _) => {
                    self.message = Some("Tab goes to the bans: u lifts the one there".to_owned());
                }
            },
            Key::Escape | Key::Char(_) => {}
        }
        Wish::Nothing
    }
}
