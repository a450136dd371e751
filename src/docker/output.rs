//! The words in which a container's output is asked for and given.

use super::tail::Gap;
use crate::model::{Line, Position, Progress, Timestamp};

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputStart {
    /// With the first message of this time or later.
    Since(Timestamp),
    /// With the first message after this place.
    After(Position),
    /// With the first message after what was judged, and before it, as
    /// [`OutputBatch::Known`], with the lines behind `resume`.
    Again(Progress),
}

/// What came of a container's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputBatch {
    /// Lines that were judged in an earlier life, once and before all others. They do not
    /// come if they lie far back, or if the engine has them no more.
    Known(Vec<Line>),
    /// Lines in the order of each stream.
    Lines {
        /// At most 256; none, if only the place has moved.
        lines: Vec<Line>,
        /// Was all that the engine had stored before read by then?
        live: bool,
        /// The place behind these lines and those of the stream that is not wanted;
        /// `None`: further lines are here already.
        place: Option<Position>,
    },
    /// Something that people should know of.
    News(OutputNews),
    /// The container has stopped (or is gone) and all its output was read. If it
    /// is started again, a new reader goes on at [`OutputReader::position`](super::OutputReader::position).
    Ended,
}

/// What happens to an output besides its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputNews {
    /// It can't be read at the moment, and why; it is tried again.
    Trouble(String),
    /// It can be read again.
    Recovered,
    /// The engine does not have the place any more where reading was to go on.
    Gap(Gap),
    /// The clock was set back, by so much: lines are older than those before them.
    ClockSetBack(jiff::SignedDuration),
    /// So many bytes of lines longer than [`MAX_LINE`](crate::model::MAX_LINE) were cut off.
    Cut(u64),
}
