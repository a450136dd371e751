//! A small SMTP server that does what a test wants of it. It keeps what it was told and
//! the mail that it took.

use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What it does at a step: `None`, and it answers as usual; else what is given, if
/// anything. An error hangs up. Steps are a client's lines, `banner` before the first and
/// `.` after a mail.
pub(crate) type Script = Box<dyn Fn(&str, &mut TcpStream) -> Result<Option<String>> + Send + Sync>;

/// What it saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// All lines of all clients, but mail.
    pub(crate) lines: Vec<String>,
    /// To whom, and what.
    pub(crate) mails: Vec<(Vec<String>, String)>,
}

/// The server; its threads end with the test program.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// Serves on a port that is bound.
    pub(crate) fn on(listener: TcpListener, script: Script) -> Server {
        let port = listener.local_addr().unwrap().port();
        let (seen, script) = (Arc::<Mutex<Seen>>::default(), Arc::new(script));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                // It hung up, or the client did.
                std::thread::spawn(move || serve(stream, &script, &kept).ok());
            }
        });
        Server { port, seen }
    }

    /// What it saw until now.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, script: &Script, seen: &Mutex<Seen>) -> Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut step = "banner".to_owned();
    let mut to = Vec::new();
    loop {
        let answer = script(&step, &mut stream)?;
        let answer = answer.unwrap_or_else(|| usual(&step).to_owned());
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
        match step.split(':').next() {
            Some("RCPT TO") if answer.starts_with('2') => to.push(step[8..].to_owned()),
            Some("RSET") => to.clear(),
            Some("QUIT") => return Ok(()),
            _ => {}
        }
        if answer.starts_with("354") {
            let mail = lines.by_ref().map_while(Result::ok).take_while(|line| line != ".");
            let mail = mail.collect::<Vec<_>>().join("\n");
            seen.lock().unwrap().mails.push((std::mem::take(&mut to), mail));
            step = ".".to_owned();
            continue;
        }
        let Some(line) = lines.next() else { return Ok(()) };
        step = line?;
        seen.lock().unwrap().lines.push(step.clone());
    }
}

fn usual(step: &str) -> &'static str {
    match step.split([' ', ':']).next().unwrap() {
        "banner" => "220 here",
        "EHLO" => "250-here\r\n250 AUTH PLAIN",
        "AUTH" => "235 welcome",
        "MAIL" | "RCPT" | "RSET" => "250 yes",
        "DATA" => "354 go on",
        "." => "250 queued",
        "QUIT" => "221 bye",
        _ => "500 what?",
    }
}

/// Says the same again and again, until the client has hung up.
pub(crate) fn forever(stream: &mut TcpStream, what: &[u8]) -> Result<Option<String>> {
    loop {
        stream.write_all(what)?;
    }
}

/// Says a line that does not end, so slowly that no single wait is long.
pub(crate) fn dribble(stream: &mut TcpStream) -> Result<Option<String>> {
    loop {
        stream.write_all(b"2")?;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Refuses this recipient with that.
pub(crate) fn refuse(recipient: &'static str, answer: &'static str) -> Script {
    Box::new(move |step, _| {
        let refused = step.starts_with("RCPT") && step.contains(recipient);
        Ok(refused.then(|| answer.to_owned()))
    })
}

/// Hangs up instead of an answer to this.
pub(crate) fn hang_up(at: impl Fn(&str) -> bool + Send + Sync + 'static) -> Script {
    Box::new(move |step, _| match at(step) {
        true => Err(std::io::ErrorKind::ConnectionAborted.into()),
        false => Ok(None),
    })
}
