//! The terminal: the whole of it while `top` runs, and as it was afterwards.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
/// The cursor again, and the screen that was.
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// A terminal in raw mode; dropped, it is as before.
pub(super) struct Terminal {
    before: Termios,
    /// What it shows.
    shown: Option<(Size, Vec<String>)>,
}

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Terminal {
    /// Takes the terminal over; `None`: there is none, or one that can't be drawn on.
    pub(super) fn enter() -> io::Result<Option<Terminal>> {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw)?;
        let terminal = Terminal { before: before.clone(), shown: None };
        // What a panic says is to be read on the screen that was.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |told| {
            leave(&before);
            hook(told);
        }));
        write(ENTER)?;
        Ok(Some(terminal))
    }

    /// How large it is now.
    pub(super) fn size() -> Size {
        let size = tcgetwinsize(stdout()).map(|size| (size.ws_row, size.ws_col));
        // One that does not know its size says 0.
        let (rows, columns) = size.ok().filter(|(r, c)| *r > 0 && *c > 0).unwrap_or((24, 80));
        Size { rows: rows.into(), columns: columns.into() }
    }

    /// Shows these lines, if they are others than those that it shows.
    pub(super) fn draw(&mut self, size: Size, lines: Vec<String>) -> io::Result<()> {
        if self.shown.as_ref().is_some_and(|shown| shown.0 == size && shown.1 == lines) {
            return Ok(());
        }
        let mut frame = "\x1b[H".to_owned();
        for (at, line) in lines.iter().enumerate() {
            let end = if at == 0 { "" } else { "\r\n" };
            frame.push_str(end);
            frame.push_str(line);
            frame.push_str("\x1b[0m\x1b[K");
        }
        frame.push_str("\x1b[J");
        write(&frame)?;
        self.shown = Some((size, lines));
        Ok(())
    }

    /// Draws all anew the next time.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// What was typed; waits so long at most. `None`: the terminal is gone.
    pub(super) fn typed(wait: Duration) -> io::Result<Option<Vec<u8>>> {
        let wait = Timespec::try_from(wait).unwrap_or_default();
        let mut fds = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Some(Vec::new())),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 256];
        match rustix::io::read(stdin(), &mut bytes) {
            Ok(0) | Err(rustix::io::Errno::IO) => Ok(None),
            Ok(count) => Ok(Some(bytes[..count].to_vec())),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(Some(Vec::new())),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave(&self.before);
    }
}

/// If the terminal is gone, there is nothing to give back.
fn leave(before: &Termios) {
    let _ = write(LEAVE);
    let _ = tcsetattr(stdin(), OptionalActions::Now, before);
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
