//! Servers that mean harm: each gets its try and its rest, and nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use crate::smtp::{Script, Server, dribble, forever as again, hang_up, refuse};
use crate::support::*;
use crate::world::{World, target};

/// What one does to every client. It ends when guard has hung up.
type Harm = Box<dyn Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync>;

fn forever(stream: &mut TcpStream, first: &str, again: &[u8]) -> std::io::Result<()> {
    stream.write_all(first.as_bytes())?;
    loop {
        stream.write_all(again)?;
    }
}

#[test]
fn hostile_servers_harm_nobody() {
    let Some(world) = World::new("hostile_servers_harm_nobody") else { return };
    let (well, elsewhere) = (world.willing(), world.willing());
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/stolen\r\nContent-Length: 0\r\n\r\n",
        elsewhere.port
    );
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let zeros = vec![0; 1 << 20];
    // And what guard makes of it: is the notice sent?
    let harms: Vec<(&str, bool, Harm)> = vec![
        (
            "endless-body",
            true,
            Box::new(move |to| {
                forever(to, &format!("{ok}Transfer-Encoding: chunked\r\n\r\n"), &chunk)
            }),
        ),
        (
            "endless-head",
            false,
            Box::new(move |to| forever(to, ok, b"X-More: and more and more\r\n")),
        ),
        (
            "endless-line",
            false,
            Box::new(move |to| forever(to, &format!("{ok}X: "), &[b'x'; 4096])),
        ),
        (
            "gigabytes",
            true,
            Box::new(move |to| {
                forever(to, &format!("{ok}Content-Length: 10000000000\r\n\r\n"), &zeros)
            }),
        ),
        ("redirect", false, Box::new(move |to| to.write_all(redirect.as_bytes()))),
        ("garbage", false, Box::new(|to| to.write_all(&[0, 255, 13, 10, 13, 10, 7, 27]))),
        ("continues", false, Box::new(|to| forever(to, "", b"HTTP/1.1 100 Continue\r\n\r\n"))),
        ("hangs-up", false, Box::new(|_| Ok(()))),
        (
            "terminal",
            false,
            Box::new(|to| {
                to.write_all(
                    b"HTTP/1.1 500 \x1b[2J\r\nContent-Length: 12\r\n\r\n\x1b]0;owned\x07\r\n",
                )
            }),
        ),
        (
            "long-rest",
            false,
            Box::new(|to| {
                to.write_all(b"HTTP/1.1 429 No\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n")
            }),
        ),
        ("mute", false, Box::new(|to| to.read_to_end(&mut Vec::new()).map(drop))),
    ];
    let names: Vec<_> = harms.iter().map(|(name, sent, _)| (*name, *sent)).collect();
    let mut targets = String::new();
    for (name, _, harm) in harms {
        let port = serve(&world, harm);
        targets.push_str(&format!("http://127.0.0.1:{port}/?name={name}\n"));
    }
    targets.push_str(&format!("http://127.0.0.1:{}/?name=well", well.port));
    let mut guard = world.guard(&targets, &[]);
    well.gets(&["nowhere"]);
    for (name, sent) in names {
        eventually(name, || {
            let target = target(&guard, name);
            let was_tried =
                target["failed"].as_u64() > Some(0) || target["sent"].as_u64() > Some(0);
            ensure(was_tried && (target["sent"].as_u64() > Some(0)) == sent, target)
        });
    }
    guard.ctl_ok(&["ban", "203.0.113.9"]);
    well.gets(&["203.0.113.9"]);
    let status = guard.ctl_ok(&["status"]);
    assert!(!status.contains('\u{1b}') && !status.contains('\u{7}'), "{status}");
    assert!(!guard.whole_log().contains("\u{1b}"));
    assert_eq!(elsewhere.seen().len(), 0, "a redirect was followed");
    let peak = peak_memory(guard.pid());
    eprintln!("peak memory: {peak} KiB");
    assert!(peak < 150_000, "{peak} KiB");
    guard.sigterm();
}

/// Does this at this step.
fn at(
    step: &'static str,
    harm: impl Fn(&mut TcpStream) -> std::io::Result<Option<String>> + Send + Sync + 'static,
) -> Script {
    Box::new(move |at, stream| if at.starts_with(step) { harm(stream) } else { Ok(None) })
}

#[test]
fn hostile_mail_servers_harm_nobody() {
    let Some(world) = World::new("hostile_mail_servers_harm_nobody") else { return };
    let well = Server::on(world.listener(), Box::new(|_, _| Ok(None)));
    let picky = Server::on(world.listener(), refuse("gone@", "550 5.1.1 no such user"));
    let lines = [b"250-".as_slice(), &[b'x'; 900], b"\r\n"].concat();
    let repeat = |step: &str, _: &mut TcpStream| {
        Ok(step.starts_with("AUTH").then(|| format!("500 unrecognized: \"{step}\"")))
    };
    let offers = |step: &str, stream: &mut TcpStream| match step {
        "STARTTLS" => again(stream, b"\r\n220 go on: \0\xff"),
        step => Ok(step.starts_with("EHLO").then(|| "250-here\r\n250 STARTTLS".to_owned())),
    };
    let (plain, to) = ("&encryption=none", "from=guard@x.example&to=me@x.example");
    let harms: Vec<(&str, &str, Script)> = vec![
        ("mute", plain, at("banner", |stream| stream.read_to_end(&mut Vec::new()).map(|_| None))),
        ("dribbles", plain, at("banner", dribble)),
        ("dribbles-late", plain, at(".", dribble)),
        ("endless-line", plain, at("banner", |stream| again(stream, &[b'a'; 4096]))),
        ("endless-line-late", plain, at("EHLO", |stream| again(stream, &[b'a'; 4096]))),
        ("endless-short-lines", plain, at("EHLO", |stream| again(stream, b"250-\r\n"))),
        ("endless-lines", plain, at("EHLO", move |stream| again(stream, &lines))),
        ("no-tls", "", Box::new(offers)),
        ("repeats", plain, Box::new(repeat)),
        ("hangs-up", plain, hang_up(|step| step == "banner")),
        ("hangs-up-late", plain, hang_up(|step| step == ".")),
        ("terminal", plain, at("MAIL", |_| Ok(Some("451 \u{1b}[2J\u{7}".to_owned())))),
    ];
    let names: Vec<_> = harms.iter().map(|(name, _, _)| *name).chain(["dead"]).collect();
    let mut targets = format!(
        "smtp://127.0.0.1:{}/?{to}{plain}&name=well
         smtp://127.0.0.1:{}/?{to},gone@x.example{plain}&name=picky
         smtp://127.0.0.1:{}/?{to}{plain}&name=dead\n",
        well.port,
        picky.port,
        world.free_port(),
    );
    for (name, more, script) in harms {
        let login = if name == "repeats" { "guard:SECRETmail@" } else { "" };
        let port = Server::on(world.listener(), script).port;
        targets.push_str(&format!("smtp://{login}127.0.0.1:{port}/?{to}{more}&name={name}\n"));
    }
    let mut guard = world.guard(&targets, &[]);
    gets(&well, "nowhere", 1);
    for name in names {
        // The slow ones have their time.
        within(2 * PATIENCE, name, || {
            let target = target(&guard, name);
            ensure(target["failed"].as_u64() > Some(0) && target["sent"] == 0, target)
        });
    }
    // One recipient is refused for ever: he is named, and holds the other up in nothing.
    gets(&picky, "nowhere", 1);
    guard.ctl_ok(&["ban", "203.0.113.9"]);
    gets(&well, "203.0.113.9", 1);
    gets(&picky, "203.0.113.9", 1);
    let seen = target(&guard, "picky");
    assert!(seen["dropped"].as_u64() > Some(0), "{seen:#}");
    let why = seen["last_error"].as_str().unwrap();
    assert!(why.starts_with("gone@x.example: ") && why.contains("no such user"), "{why}");
    assert!(guard.whole_log().contains("for gone@x.example) is given up"), "{}", guard.whole_log());

    let tested = guard.json_whatever(&["notify", "test", "picky"])["targets"][0].clone();
    let answer = tested["answer"].as_str().unwrap();
    assert_eq!(tested["ok"], false);
    assert!(answer.starts_with("me@x.example: 250 queued; gone@x.example: "), "{answer}");
    let tested = guard.json_whatever(&["notify", "test", "repeats"]).to_string();
    assert!(tested.contains("AUTH PLAIN …"), "{tested}");

    // Nobody gets it twice because another one does not get it.
    for server in [&well, &picky] {
        let mails = server.seen().mails;
        assert_eq!(mails.iter().filter(|(_, mail)| mail.contains("nowhere")).count(), 1);
        assert!(mails.iter().all(|(to, _)| to == &["<me@x.example>"]), "{mails:#?}");
    }
    let shown = guard.ctl_ok(&["status"]) + &guard.whole_log() + &tested;
    for secret in ["SECRET", "AGd1YXJk", "U0VDUkVU", "\u{1b}[2J", "\u{7}"] {
        assert!(!shown.contains(secret), "{secret:?} in {shown}");
    }
    let peak = peak_memory(guard.pid());
    eprintln!("peak memory: {peak} KiB");
    assert!(peak < 150_000, "{peak} KiB");
    guard.sigterm();
}

/// Waits until the server has so many mails with this word.
fn gets(server: &Server, word: &str, many: usize) {
    eventually(&format!("a mail has {word}"), || {
        let mails = server.seen().mails;
        let got = mails.iter().filter(|(_, mail)| mail.contains(word)).count();
        ensure(got == many, mails)
    });
}

/// A server that does this to everybody, once he has sent something.
fn serve(world: &World, harm: Harm) -> u16 {
    let (listener, harm) = (world.listener(), Arc::new(harm));
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let harm = Arc::clone(&harm);
            std::thread::spawn(move || {
                let mut request = [0; 64 * 1024];
                let _ = stream.read(&mut request);
                // He hung up, as he should.
                let _ = harm(&mut stream);
            });
        }
    });
    port
}

fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
