//! Random writes, rotations of all kinds, and stops and starts of guard, against a
//! model: every line once.

use proptest::prelude::*;

use crate::world::{PACE, World, line, numbers, run};

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    /// Renamed to `.1` after what was there moved up, and created anew.
    Rename,
    /// Renamed to a name with a number that grows, as dates do.
    Dated,
    CopyTruncate,
    /// All numbered files but the first are packed.
    Pack,
    /// And the first one.
    PackAll,
    /// Only when all was read: nobody keeps what was in it.
    Truncate,
    Delete,
    ReadALittle,
    ReadAll,
    /// guard is down from here, or up again.
    Toggle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..40).prop_map(Step::Write),
        1 => (300usize..600).prop_map(Step::Write),
        3 => Just(Step::Rename),
        2 => Just(Step::Dated),
        3 => Just(Step::CopyTruncate),
        1 => Just(Step::Pack),
        1 => Just(Step::PackAll),
        1 => Just(Step::Truncate),
        1 => Just(Step::Delete),
        3 => Just(Step::ReadALittle),
        1 => Just(Step::ReadAll),
        4 => Just(Step::Toggle),
    ];
    prop::collection::vec(step, 1..25)
}

struct Play {
    world: World,
    written: usize,
    dated: usize,
}

impl Play {
    fn write(&mut self, count: usize) {
        let text: String = (0..count).map(|n| line(self.written + n)).collect();
        self.written += count;
        self.world.append("app.log", text);
    }

    fn exists(&self, name: &str) -> bool {
        self.world.path(name).exists()
    }

    /// Makes room at `.1`.
    fn shift(&self) {
        for n in (1..40).rev() {
            for ending in ["", ".gz"] {
                let (from, to) =
                    (format!("app.log.{n}{ending}"), format!("app.log.{}{ending}", n + 1));
                if self.exists(&from) {
                    self.world.rename(&from, &to);
                }
            }
        }
    }

    fn pack(&self, first: usize) {
        for n in first..40 {
            let name = format!("app.log.{n}");
            if self.exists(&name) {
                self.world.pack(&name);
            }
        }
    }

    /// guard sees enough of the file to know it again before it is stopped.
    async fn toggle(&mut self) {
        if self.world.is_up() {
            self.write(4);
            self.world.drain(self.written).await;
            self.world.stop();
        } else {
            self.world.start();
        }
    }

    async fn step(&mut self, step: Step) {
        // No two files are last written at the same moment of the file system's clock.
        tokio::time::sleep(PACE.idle).await;
        let up = self.world.is_up();
        match step {
            Step::Write(count) => self.write(count),
            Step::Rename => {
                self.write(1);
                self.shift();
                self.world.rename("app.log", "app.log.1");
                self.world.append("app.log", "");
            }
            Step::Dated => {
                self.write(1);
                self.dated += 1;
                self.world.rename("app.log", &format!("app.log-2024{:04}", self.dated));
                self.world.append("app.log", "");
            }
            Step::CopyTruncate => {
                self.write(3);
                if up {
                    // To know its copy by, and when it is looked for that often.
                    self.world.drain(self.written).await;
                    tokio::time::sleep(PACE.idle).await;
                    self.write(1);
                }
                self.shift();
                self.world.copy_and_truncate("app.log", "app.log.1");
            }
            Step::Pack => self.pack(2),
            Step::PackAll => self.pack(1),
            Step::Truncate if up => {
                self.write(1);
                self.world.drain(self.written).await;
                std::fs::write(self.world.path("app.log"), "").unwrap();
            }
            Step::Delete if up => {
                self.write(1);
                self.world.drain(self.written).await;
                std::fs::remove_file(self.world.path("app.log")).unwrap();
                self.write(1);
                self.world.drain(self.written).await;
            }
            Step::ReadALittle if up => self.world.read_a_little().await,
            Step::ReadAll if up => self.world.drain(self.written).await,
            Step::Truncate | Step::Delete | Step::ReadALittle | Step::ReadAll => {}
            Step::Toggle => self.toggle().await,
        }
    }
}

async fn play(steps: Vec<Step>, pattern: &str, wanted: usize) {
    let world = World::new(pattern).wanting(wanted);
    let mut play = Play { world, written: 0, dated: 0 };
    play.write(1);
    play.world.drain(1).await;
    for step in steps {
        // What is packed must have been opened while guard is up: between two looks
        // two things may happen to a file, but not three.
        if play.world.is_up() && matches!(step, Step::PackAll | Step::Pack) {
            play.world.drain(play.written).await;
        }
        play.step(step).await;
    }
    if !play.world.is_up() {
        play.world.start();
    }
    play.world.drain(play.written).await;
    let mut read = numbers(&play.world.read);
    read.sort_unstable();
    assert_eq!(read, (0..play.written).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_comes_once(steps in steps()) {
        run(play(steps, "/logs/app.log", 0));
    }

    /// However many lines of what was read are wanted again after a start.
    #[test]
    fn known_lines_come_again_and_are_told_apart(steps in steps(), wanted in 1usize..700) {
        run(play(steps, "/logs/app.log", wanted));
    }

    /// The files that are rotated away match, too.
    #[test]
    fn a_wildcard_reads_no_line_twice(steps in steps(), wanted in 0usize..50) {
        run(play(steps, "/logs/app.log*", wanted));
    }
}
