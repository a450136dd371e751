//! Finding the place where reading goes on, however large the log is. Pure.
//!
//! To ask the engine for what was written `since` a time makes it decode its
//! whole log; the last N messages (`tail=N`) it reads from the end. So tails are
//! asked for that grow until one begins before the place, and what follows the
//! place is taken out of the same answer. Only where tails would have to grow
//! beyond a bound a `since` is asked for, without following.
//!
//! The place is met by its own message, not by comparing times: timestamps
//! repeat, and after a clock was set back newer messages look older. What the
//! engine keeps has one order, that of writing; the place that was reached last
//! (see [`Position::advance`]) lies in it behind every line that was given, so
//! only that one is looked for. Of the other stream the lines before it were
//! given, and what is still open there goes on behind it.
//!
//! Some lines before the place may be wanted too: those from which on a filter must
//! read again to know what it knew. A tail that does not reach back to them is
//! lengthened, up to a bound; if the engine has them no more, they are done without.
//!
//! Where the place isn't to be found, that is proven before it is believed: the
//! tail is read once more to its end, without following. If it holds the whole
//! log, the engine has dropped the place: a [`Gap`].
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod answer;

use crate::model::{Mark, Position, Progress, Stream, StreamMark, Timestamp};
use answer::{Answer, First};

/// How long tails are.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    /// The first one has more than what is written while a cut stream is attached again.
    first: u32,
    /// So much longer is the next one.
    growth: u32,
    /// The longest one.
    last: u32,
    /// Up to this length one that seems to begin behind the place is read on: the
    /// clock may have been set back.
    scanned: u32,
}

const LENGTHS: Lengths = Lengths { first: 256, growth: 8, last: 1 << 20, scanned: 16 * 1024 };

/// How much older than the place a line may be that is still open, in seconds,
/// where `since` is asked for.
const OPEN_FOR: i64 = 60;

/// What is wanted of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sought {
    /// All of it.
    Everything,
    /// From the first message of this time on.
    From(Timestamp),
    /// What comes after a place.
    After(Position),
}

/// How much to ask the engine for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All it has.
    All,
    /// The last messages.
    Tail(u32),
    /// From this second on.
    Since(i64),
}

/// What to ask the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) extent: Extent,
    /// Follow, if the container runs.
    pub(crate) follow: bool,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It lies before the place; the line that it belongs to may not.
    Pass,
    /// It is the last one before the place.
    Met,
    /// It is new.
    Take,
    /// This answer does not reach back far enough: ask again.
    Again,
}

/// The end of an answer that does not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// That was all.
    Over,
    /// Ask again.
    Again,
}

/// Lines that the engine dropped before they were read, perhaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Until then everything was read.
    pub after: Timestamp,
    /// The oldest message there is now, if there is one that is newer.
    pub before: Option<Timestamp>,
    /// Reading goes on with all there is, and not behind `after`.
    pub all_new: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A tail, followed.
    Tail(u32),
    /// A tail to its end, to be sure that the place is not in it.
    Survey(u32),
    /// All that the engine has.
    Whole,
    /// What is not older than a time, to its end.
    Since,
}

/// The search for the place, over all answers that it takes.
#[derive(Debug)]
pub(crate) struct Search {
    lengths: Lengths,
    sought: Sought,
    stage: Stage,
    answer: Answer,
    /// How the tail before began: a longer one with the same beginning is whole.
    began: Option<First>,
    /// A survey has met the place: it will come.
    sure: bool,
    /// From there on the lines before the place are wanted too, once.
    again_from: Option<Position>,
    /// The answer before was one to `since`: what tails can't reach now is followed
    /// from there.
    drained: bool,
    gap: Option<Gap>,
}

impl Search {
    /// All the output there is.
    pub(crate) fn everything() -> Self {
        Self::new(Sought::Everything)
    }

    /// What was written at a time or later.
    pub(crate) fn from(at: Timestamp) -> Self {
        Self::new(Sought::From(at))
    }

    /// What comes after a place.
    pub(crate) fn after(place: Position) -> Self {
        let nowhere = marks(&place).iter().all(Option::is_none);
        Self::new(if nowhere { Sought::Everything } else { Sought::After(place) })
    }

    /// The same, with the lines between `resume` and the place: see
    /// [`Search::is_known`].
    pub(crate) fn again(progress: Progress) -> Self {
        let Progress { resume, judged } = progress;
        let again_from = (resume != judged).then_some(resume);
        Search { again_from, ..Self::after(judged) }
    }

    fn new(sought: Sought) -> Self {
        let mut search = Search {
            lengths: LENGTHS,
            sought,
            stage: Stage::Whole,
            answer: Answer { found: true, ..Answer::default() },
            began: None,
            sure: false,
            again_from: None,
            drained: false,
            gap: None,
        };
        search.begin();
        search
    }

    /// The place after the newest line that was taken.
    pub(crate) fn position(&self) -> Position {
        match &self.sought {
            Sought::After(place) => place.clone(),
            Sought::Everything | Sought::From(_) => Position::OUTPUT_START,
        }
    }

    /// A line was taken.
    pub(crate) fn advance(&mut self, mark: &Mark) {
        let mut place = self.position();
        place.advance(mark);
        self.sought = Sought::After(place);
    }

    /// A new answer will come, to what [`Search::ask`] says.
    pub(crate) fn begin(&mut self) {
        if self.answer.found {
            // That search is over; the next one looks for the place reached since.
            self.again_from = None;
            let was = self.stage;
            self.stage = match self.sought {
                Sought::Everything => Stage::Whole,
                Sought::From(_) | Sought::After(_) => Stage::Tail(self.lengths.first),
            };
            (self.began, self.sure) = (None, false);
            self.drained = was == Stage::Since;
        }
        let everything = self.stage == Stage::Whole && self.sought == Sought::Everything;
        self.answer = Answer { found: everything, ..Answer::default() };
        // What is cut by time is cut between two times.
        self.answer.whole = matches!(self.stage, Stage::Whole | Stage::Since);
    }

    /// What to ask the engine for.
    pub(crate) fn ask(&self) -> Ask {
        match self.stage {
            Stage::Tail(count) => Ask { extent: Extent::Tail(count), follow: true },
            Stage::Survey(count) => Ask { extent: Extent::Tail(count), follow: false },
            Stage::Whole => Ask { extent: Extent::All, follow: true },
            Stage::Since => Ask { extent: Extent::Since(self.since()), follow: self.drained },
        }
    }

    fn since(&self) -> i64 {
        let second = match &self.sought {
            Sought::Everything => 0,
            Sought::From(at) => at.as_second(),
            Sought::After(place) => {
                let newest = marks(place).into_iter().flatten().map(|mark| mark.at).max();
                newest.map_or(0, |at| at.as_second() - OPEN_FOR)
            }
        };
        second.max(0)
    }

    /// Was the place reached in this answer?
    pub(crate) fn is_found(&self) -> bool {
        self.answer.found
    }

    /// Is the latest message one that lies before the place, and is wanted again?
    pub(crate) fn is_known(&self) -> bool {
        self.answer.known
    }

    /// A gap that came up since the last call.
    pub(crate) fn take_gap(&mut self) -> Option<Gap> {
        self.gap.take()
    }

    /// Judges the next message of the answer.
    pub(crate) fn message(
        &mut self,
        stream: Stream,
        at: Timestamp,
        hash: u32,
        ends_line: bool,
    ) -> Step {
        let is_first = self.answer.note(stream, (at, hash), self.began);
        let older = is_first && self.answer.first.is_some_and(|(first, _)| at < first);
        let found = self.answer.found;
        self.answer.known = !found && self.is_again(stream);
        let step = if found {
            Step::Take
        } else {
            match self.sought.clone() {
                Sought::Everything => self.found(Step::Take),
                Sought::From(time) => self.look_for_time(time, at),
                Sought::After(place) => self.look_for_place(&marks(&place), stream, at, is_first),
            }
        };
        self.mind_heads(stream, step, older, ends_line)
    }

    /// Does the latest message lie behind the place from which on lines are wanted again?
    fn is_again(&mut self, stream: Stream) -> bool {
        let Some(from) = &self.again_from else { return false };
        let marks = marks(from);
        let Some(newest) = marks.iter().flatten().map(|mark| mark.at).max() else {
            return self.answer.whole;
        };
        let was = self.answer.resumed;
        let sought = |mark: &&StreamMark| mark.at == newest;
        if !was
            && let Some(mark) = marks[stream as usize].as_ref().filter(sought)
            && self.answer.meets(stream, mark)
        {
            self.answer.streams[stream as usize].resumed = true;
            let mut places = marks.iter().zip(&self.answer.streams);
            self.answer.resumed =
                places.all(|(mark, known)| mark.as_ref().filter(sought).is_none() || known.resumed);
        }
        was
    }

    /// Would a longer tail reach back to the lines that are wanted again?
    fn lacks_lines(&self) -> bool {
        let short = matches!(self.stage, Stage::Tail(count) if count < self.lengths.scanned);
        short && self.again_from.is_some() && !self.answer.known && !self.answer.whole
    }

    fn found(&mut self, step: Step) -> Step {
        self.answer.found = true;
        step
    }

    fn look_for_time(&mut self, time: Timestamp, at: Timestamp) -> Step {
        let reaches = match self.stage {
            Stage::Whole | Stage::Since => true,
            Stage::Tail(_) | Stage::Survey(_) => {
                self.answer.whole || self.answer.first.is_some_and(|(first, _)| first < time)
            }
        };
        match reaches {
            false => self.grow(),
            true if at >= time => self.found(Step::Take),
            true => Step::Pass,
        }
    }

    fn look_for_place(
        &mut self,
        place: &[Option<StreamMark>; 2],
        stream: Stream,
        at: Timestamp,
        is_first: bool,
    ) -> Step {
        let newest = place.iter().flatten().map(|mark| mark.at).max();
        let sought = |mark: &&StreamMark| Some(mark.at) == newest;
        let Some(mark) = place[stream as usize].as_ref() else { return self.in_vain() };
        let known = self.answer.streams[stream as usize];
        if at == mark.at && !known.whole {
            // How many of its kind came before can't be known.
            return self.grow();
        }
        let Some(mark) = Some(mark).filter(sought).filter(|_| !known.met) else {
            return self.in_vain();
        };
        if self.answer.meets(stream, mark) {
            self.answer.streams[stream as usize].met = true;
            let all_met = place
                .iter()
                .zip(&self.answer.streams)
                .all(|(mark, known)| mark.as_ref().filter(sought).is_none() || known.met);
            // A survey can't be followed: the place is there, so ask for it again.
            return match self.stage {
                Stage::Survey(count) if all_met => {
                    self.sure = true;
                    self.ask_again(Stage::Tail(count))
                }
                _ if all_met && self.lacks_lines() => self.grow(),
                _ if all_met => self.found(Step::Met),
                _ => Step::Met,
            };
        }
        let behind = at > mark.at;
        match self.stage {
            Stage::Tail(count)
                if behind && is_first && !self.answer.whole && count > self.lengths.scanned =>
            {
                self.grow()
            }
            // What `since` gave can only be compared by its time.
            Stage::Since if behind => {
                self.lose(mark.at, Some(at));
                self.found(Step::Take)
            }
            _ => self.in_vain(),
        }
    }

    /// The place was not met by this message; a tail that is used up is too short.
    fn in_vain(&mut self) -> Step {
        match self.stage {
            Stage::Tail(count) | Stage::Survey(count) if self.answer.count >= count => self.grow(),
            Stage::Tail(_) | Stage::Survey(_) | Stage::Whole | Stage::Since => Step::Pass,
        }
    }

    /// A line that is older than the answer has lost its head: it is wanted if it
    /// ends behind the place.
    fn mind_heads(&mut self, stream: Stream, step: Step, older: bool, ends_line: bool) -> Step {
        let short = matches!(self.stage, Stage::Tail(_)) && !self.answer.whole;
        let known = &mut self.answer.streams[stream as usize];
        let headless = known.headless || (older && short);
        known.headless = headless && !ends_line && step != Step::Met;
        let wanted = match step {
            Step::Take => headless,
            Step::Met => self.answer.found && self.answer.has_headless(),
            Step::Pass | Step::Again => false,
        };
        match self.stage {
            // Beyond that it is not worth it.
            Stage::Tail(count) if wanted && count < self.lengths.last => self.grow(),
            _ => step,
        }
    }

    /// A longer tail.
    fn grow(&mut self) -> Step {
        (self.began, self.sure) = (self.answer.first, false);
        let Lengths { growth, last, .. } = self.lengths;
        self.ask_again(match self.stage {
            Stage::Tail(count) | Stage::Survey(count) if count < last => {
                Stage::Tail((count * growth).min(last))
            }
            Stage::Tail(_) | Stage::Survey(_) | Stage::Since | Stage::Whole => Stage::Since,
        })
    }

    fn ask_again(&mut self, stage: Stage) -> Step {
        self.stage = stage;
        self.answer.found = false;
        Step::Again
    }

    /// Would it say something if no more came for a while?
    pub(crate) fn awaits_silence(&self) -> bool {
        let tail = matches!((self.stage, &self.sought), (Stage::Tail(_), Sought::After(_)));
        tail && !self.answer.found && !self.sure
    }

    /// The answer has given its history, it seems; ask again?
    pub(crate) fn silent(&mut self) -> bool {
        match self.stage {
            Stage::Tail(count) if self.awaits_silence() => {
                self.ask_again(Stage::Survey(count));
                true
            }
            Stage::Tail(_) | Stage::Survey(_) | Stage::Whole | Stage::Since => false,
        }
    }

    /// An answer that does not follow has ended.
    pub(crate) fn end(&mut self) -> End {
        match (self.stage, &self.sought) {
            (Stage::Tail(count) | Stage::Survey(count), Sought::After(_))
                if !self.answer.found && self.answer.count >= count =>
            {
                self.grow();
                End::Again
            }
            (_, Sought::After(place)) if !self.answer.found => {
                let newest = marks(place).into_iter().flatten().map(|mark| mark.at).max();
                let after = newest.unwrap_or(Timestamp::UNIX_EPOCH);
                self.lose(after, self.answer.first.map(|(first, _)| first));
                self.ask_again(Stage::Whole);
                End::Again
            }
            (Stage::Since, _) if self.drained => End::Over,
            // What was written meanwhile is near the end.
            (Stage::Since | Stage::Survey(_), Sought::After(_)) => End::Again,
            (Stage::Since | Stage::Survey(_), Sought::Everything | Sought::From(_)) => {
                self.ask_again(Stage::Whole);
                End::Again
            }
            (Stage::Tail(_) | Stage::Whole, _) => End::Over,
        }
    }

    /// The engine does not have the place any more. What it has is new, unless it
    /// reaches back beyond the place in good order.
    fn lose(&mut self, after: Timestamp, before: Option<Timestamp>) {
        self.again_from = None;
        let answer = &self.answer;
        let last = answer.streams.iter().filter_map(|known| known.last).max();
        let in_order = !answer.stepped
            && answer.first.is_some_and(|(first, _)| first <= after)
            && last.is_some_and(|last| last >= after);
        let next = after.checked_add(std::time::Duration::from_nanos(1)).unwrap_or(after);
        self.sought = if in_order { Sought::From(next) } else { Sought::Everything };
        let before = before.filter(|before| *before > after);
        self.gap = Some(Gap { after, before, all_new: !in_order });
    }
}

fn marks(place: &Position) -> [Option<StreamMark>; 2] {
    match place {
        Position::Output { stdout, stderr } => [*stdout, *stderr],
        Position::File(_) | Position::Journal(_) => [None, None],
    }
}

#[cfg(test)]
mod tests;
