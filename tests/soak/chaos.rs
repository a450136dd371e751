//! What is done to guard, the engine, the containers and the files meanwhile.

use std::time::{Duration, Instant};

use crate::files::Method;
use crate::ledger::found_in_all;
use crate::world::World;

/// Without any progress for so long what is awaited will not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What comes in pieces of this size is a part of a long line.
const LONG: usize = 16 * 1024;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// All connections to the engine are cut.
    CutAll,
    /// Every other connection is cut.
    CutSome,
    /// Connections are cut in the middle of what comes on them.
    CutMidway,
    /// Connections are cut in the middle of long lines.
    CutLongLines,
    /// What the engine says is held back for a while.
    Stall,
    /// A container is restarted.
    RestartContainer,
    /// A container stands still for a while.
    Pause,
    /// A service gets a new container.
    Recreate,
    /// The engine is stopped and started.
    RestartEngine,
    /// The engine is killed and started.
    KillEngine,
    /// guard is killed and started.
    KillGuard,
    /// guard is killed again as soon as it runs.
    KillGuardTwice,
    /// guard is killed several times while it has much to read.
    KillGuardInBurst,
    /// guard is stopped and started.
    RestartGuard,
    /// guard stands still for a while.
    FreezeGuard,
    /// All write much at once.
    Burst,
    /// A file is rotated.
    Rotate(Method),
}

/// What hides an action from guard's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Veil {
    /// Nothing.
    None,
    /// guard is dead.
    Killed,
    /// guard stands still.
    Frozen,
    /// guard hears nothing of the engine.
    Stalled,
}

impl Action {
    /// Everything that can happen, what guard must stand most often more than once.
    pub(crate) fn deck() -> Vec<Action> {
        use Action::*;
        let often =
            [CutAll, CutSome, CutMidway, CutLongLines, Stall, KillGuard, RestartContainer, Pause];
        let rest = [Recreate, RestartEngine, KillEngine, KillGuardTwice, RestartGuard, FreezeGuard];
        often
            .into_iter()
            .chain(rest)
            .chain([Burst, KillGuardInBurst])
            .chain(Method::ALL.map(Rotate))
            .collect()
    }

    /// Its name, for the list of what was done.
    pub(crate) fn name(self) -> String {
        match self {
            Action::Rotate(method) => format!("rotate by {}", method.name()),
            other => {
                let mut words = String::new();
                for letter in format!("{other:?}").chars() {
                    if letter.is_uppercase() && !words.is_empty() {
                        words.push(' ');
                    }
                    words.extend(letter.to_lowercase());
                }
                words
            }
        }
    }

    /// May guard be absent? Not where something is taken away that it must have read.
    fn may_be_hidden(self) -> bool {
        use Action::*;
        match self {
            RestartContainer | Pause | RestartEngine | KillEngine | Burst => true,
            Rotate(method) => {
                matches!(method, Method::Rename | Method::Copy | Method::Link | Method::Dated)
            }
            CutAll | CutSome | CutMidway | CutLongLines | Stall | Recreate | KillGuard
            | KillGuardTwice | RestartGuard | KillGuardInBurst | FreezeGuard => false,
        }
    }
}

impl World {
    /// Lets it happen, perhaps while guard can't see it.
    pub(crate) fn act(&mut self, action: Action) {
        let veil = match self.random.below(6) {
            0 if action.may_be_hidden() => Veil::Killed,
            1 if action.may_be_hidden() => Veil::Frozen,
            2 if action.may_be_hidden() => Veil::Stalled,
            _ => Veil::None,
        };
        let name = action.name();
        let hidden = if veil == Veil::None { String::new() } else { format!(", guard {veil:?}") };
        self.tell(&format!("{name}{}", hidden.to_lowercase()));
        *self.done.entry(name).or_default() += 1;
        match veil {
            Veil::None => self.happen(action),
            Veil::Killed => {
                self.guard.kill9();
                self.happen(action);
                self.guard.start_again();
            }
            Veil::Frozen => {
                self.guard.freeze();
                self.happen(action);
                self.guard.thaw();
            }
            Veil::Stalled => {
                self.proxy.stall(true);
                self.happen(action);
                self.proxy.stall(false);
            }
        }
    }

    fn happen(&mut self, action: Action) {
        match action {
            Action::CutAll => self.proxy.cut(true),
            Action::CutSome => self.proxy.cut(false),
            Action::CutMidway => self.cut_midway(1),
            Action::CutLongLines => self.cut_midway(LONG),
            Action::Stall => {
                self.proxy.stall(true);
                self.wait(1500);
                self.proxy.stall(false);
            }
            Action::RestartContainer => {
                let container =
                    self.outputs[self.random.below(self.outputs.len())].container.clone();
                self.host.docker(&["restart", "--time", "0", &container]);
            }
            Action::Pause => {
                let container =
                    self.outputs[self.random.below(self.outputs.len())].container.clone();
                self.host.docker(&["pause", &container]);
                self.wait(1000);
                self.host.docker(&["unpause", &container]);
            }
            Action::Recreate => self.recreate(),
            Action::RestartEngine => {
                self.host.stop_engine();
                self.start_engine();
            }
            Action::KillEngine => {
                self.host.kill_engine();
                self.start_engine();
            }
            Action::KillGuard => {
                self.guard.kill9();
                self.wait(500);
                self.guard.start_again();
            }
            Action::KillGuardTwice => {
                for _ in 0..2 {
                    self.guard.kill9();
                    self.guard.start_again();
                }
            }
            Action::RestartGuard => self.guard.restart(),
            Action::FreezeGuard => {
                self.guard.freeze();
                self.wait(2000);
                self.guard.thaw();
            }
            Action::KillGuardInBurst => {
                self.burst();
                for _ in 0..3 {
                    self.wait(300);
                    self.guard.kill9();
                    self.guard.start_again();
                }
            }
            Action::Burst => {
                self.burst();
                self.wait(500);
            }
            Action::Rotate(method) => {
                let writer = self.files.iter().find(|writer| writer.method == method);
                let writer = writer.expect("there is one of each");
                writer.rotate(|next| self.file_is_level(&method.jail(), next));
            }
        }
    }

    /// Several times, as long lines are rare.
    fn cut_midway(&mut self, piece: usize) {
        for _ in 0..4 {
            self.proxy.cut_midway(piece);
            self.wait(700);
        }
    }

    fn burst(&self) {
        for writer in &self.outputs {
            writer.burst();
        }
        for writer in &self.files {
            writer.burst();
        }
    }

    /// Up to so many milliseconds, and at least a third of it.
    pub(crate) fn wait(&mut self, milliseconds: usize) {
        let time = milliseconds / 3 + self.random.below(milliseconds);
        std::thread::sleep(Duration::from_millis(time as u64));
    }

    /// Starts the engine, and says whether containers outlive the next stop.
    fn start_engine(&mut self) {
        let live = self.random.once_in(2);
        self.tell(&format!("    engine starts, live-restore {live}"));
        self.host.start_engine_with(&format!(r#"{{"live-restore": {live}}}"#));
    }

    /// What a container wrote is gone with it, so guard must have read it before.
    fn recreate(&mut self) {
        let place = self.random.below(self.outputs.len());
        let jail = self.outputs[place].jail();
        let kept = self.outputs[place].replace(&self.host).clone();
        self.while_it_moves(&format!("{jail} is level"), || {
            let judged = self.store().of(&jail);
            kept.iter().all(|line| judged.contains_key(line))
        });
        self.outputs[place].remove_former(&self.host);
    }

    fn file_is_level(&self, jail: &str, next: u64) {
        self.while_it_moves(&format!("{jail} is level"), || {
            self.store().of(jail).len() as u64 >= next
        });
    }

    /// Waits until it is so, or nothing more is judged. Whatever is lost by then is
    /// told in the end.
    pub(crate) fn while_it_moves(&self, what: &str, is_so: impl Fn() -> bool) {
        let (mut found, mut moved) = (0, Instant::now());
        while !is_so() {
            let now = found_in_all(&self.guard.database());
            if now != found {
                (found, moved) = (now, Instant::now());
            }
            if moved.elapsed() > PATIENCE {
                return self.tell(&format!("    not reached: {what}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
