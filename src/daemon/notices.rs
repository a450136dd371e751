//! Notices: events → the outboxes of those who want to be told, and what jails say to it.
//!
//! Events come here straight from [`announce`](super::pump::announce), not by the channel
//! of those who watch: a batch of ten thousand bans would overrun that. Each is counted in
//! every outbox in constant time; nobody waits for a target.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use crate::control::protocol::{NotifyTried, TargetView};
use crate::model::{Event, JailName, JailRules, NoticeKind, Timestamp};
use crate::report::notify::post::Post;
use crate::report::notify::send::Sender;
use crate::report::notify::{Due, Message, Outcome, Settings, Target, sum_up};

/// A test that hangs is given up; a little longer than any try takes.
const PATIENCE: Duration = Duration::from_secs(40);
/// The stop waits so long for the last notices.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// All who are told what happens, besides the log.
#[derive(Clone)]
pub(crate) struct Listeners {
    pub(crate) watchers: broadcast::Sender<Event>,
    pub(crate) notices: Notices,
}

impl Listeners {
    /// Tells all of them; waits for none.
    pub(crate) fn tell(&self, event: Event) {
        self.notices.offer(&event);
        self.tell_watchers(event);
    }

    /// Tells those who watch.
    pub(crate) fn tell_watchers(&self, event: Event) {
        // Nobody may be watching.
        let _ = self.watchers.send(event);
    }
}

/// The targets' posts; cheap to clone.
#[derive(Clone)]
pub(crate) struct Notices(Arc<Inner>);

struct Inner {
    posts: Vec<Arc<Post>>,
    sender: Arc<Sender>,
    /// What jails want to be told of that don't want all.
    wishes: Mutex<HashMap<JailName, BTreeSet<NoticeKind>>>,
}

impl Notices {
    /// Starts a thread for each target.
    pub(crate) fn start(settings: &Settings) -> Notices {
        let sender = Arc::new(Sender::new(host(), settings.ca.as_deref()));
        let chance = RandomState::new();
        let post = |(at, target): (usize, &Target)| {
            Post::start(target.clone(), Arc::clone(&sender), chance.hash_one(at))
        };
        let posts = settings.targets.iter().enumerate().map(post).collect();
        Notices(Arc::new(Inner { posts, sender, wishes: Mutex::default() }))
    }

    /// What the jails say to notices; all that there are.
    pub(crate) fn jails<'a>(&self, rules: impl Iterator<Item = &'a JailRules>) {
        let wishes = rules.filter_map(|rules| {
            rules.policy.notify.clone().map(|kinds| (rules.name.clone(), kinds))
        });
        *self.0.wishes.lock().unwrap_or_else(PoisonError::into_inner) = wishes.collect();
    }

    fn offer(&self, event: &Event) {
        if self.0.posts.is_empty() {
            return;
        }
        let Some((kind, jail)) = NoticeKind::of(&event.news) else { return };
        let wishes = self.0.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        // A jail that is refused is not there: its labels were asked already, and what an
        // earlier jail of that name said is nothing to them.
        let unwanted = kind != NoticeKind::Refused
            && jail.and_then(|jail| wishes.get(jail)).is_some_and(|kinds| !kinds.contains(&kind));
        drop(wishes);
        if !unwanted {
            self.0.posts.iter().for_each(|post| post.offer(kind, jail, event));
        }
    }

    /// The targets, for `guardctl status`.
    pub(crate) fn views(&self) -> Vec<TargetView> {
        let posts = self.0.posts.iter();
        posts
            .map(|post| {
                let (target, view) = (post.target(), post.view());
                let (last_error_at, last_error) = view.totals.last_error.unzip();
                TargetView {
                    name: target.name.clone(),
                    service: target.service.word().to_owned(),
                    place: target.place.clone(),
                    events: target.kinds.iter().copied().collect(),
                    level: target.level,
                    sent: view.totals.sent,
                    failed: view.totals.failed,
                    waiting: view.waiting,
                    dropped: view.totals.dropped,
                    last_error,
                    last_error_at,
                }
            })
            .collect()
    }

    /// The names of the targets.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.posts.iter().map(|post| post.target().name.clone()).collect()
    }

    /// Sends a test to one target, or to all, side by side: what came of each.
    pub(crate) async fn test(&self, name: Option<&str>) -> Vec<NotifyTried> {
        let targets = self.0.posts.iter().map(|post| post.target());
        let meant = targets.filter(|target| name.is_none_or(|name| target.name == name));
        let tries: Vec<_> = meant.map(|target| (target.clone(), self.spawn_test(target))).collect();
        // One end for all of them: several that hang take no longer than one.
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut tried = Vec::new();
        for (target, task) in tries {
            let outcomes = match tokio::time::timeout_at(end, task).await {
                Ok(Ok(outcomes)) => outcomes,
                Ok(Err(_)) => {
                    vec![Outcome::Refused("sending died, a defect of guard's".to_owned())]
                }
                Err(_) => {
                    let why = format!("no answer within {} s", PATIENCE.as_secs());
                    vec![Outcome::Refused(why)]
                }
            };
            tried.push(judged(target, &outcomes));
        }
        tried
    }

    fn spawn_test(&self, target: &Target) -> tokio::task::JoinHandle<Vec<Outcome>> {
        let (sender, target) = (Arc::clone(&self.0.sender), target.clone());
        let message = Arc::new(Message::test(Timestamp::now()));
        let due = |recipient| Due { recipient, message: Arc::clone(&message) };
        let due: Vec<_> = (0..target.recipients().len().max(1)).map(due).collect();
        tokio::task::spawn_blocking(move || sender.send(&target, &due))
    }

    /// The last words, for which guard waits a second at most. Blocks.
    pub(crate) fn stop(&self) {
        let until = Instant::now() + LAST_WORDS;
        // All at once: one that is dead must not use up the others' time.
        self.0.posts.iter().for_each(|post| post.begin_close());
        for post in &self.0.posts {
            let left = post.close(until);
            if left > 0 {
                let name = &post.target().name;
                tracing::warn!("{left} notices to {name} were not sent before the end");
            }
        }
    }
}

/// What came of a test: well only if it came to every recipient.
fn judged(target: Target, outcomes: &[Outcome]) -> NotifyTried {
    let ok = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Sent(_)));
    let words = outcomes.iter().map(|outcome| match outcome {
        Outcome::Sent(answer) => answer.as_str(),
        Outcome::Failed { why, .. } | Outcome::Refused(why) => why.as_str(),
    });
    let names = match outcomes.len() {
        1 => &[],
        _ => target.recipients(),
    };
    let answer = sum_up(names, words.enumerate());
    let Target { name, place, service, .. } = target;
    NotifyTried { name, service: service.word().to_owned(), place, ok, answer }
}

/// What this machine calls itself.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = name.trim().chars().filter(good).take(64).collect();
    if name.is_empty() { "this host".to_owned() } else { name }
}
