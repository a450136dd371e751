//! Mail by a real server, and TLS by a CA of one's own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use crate::support::*;
use crate::world::World;

/// The system's: that is whose packages are Debian's.
const PYTHON: &str = "/usr/bin/python3";

/// The server, and what it says.
struct Server {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<Value>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(world: &World, certificate: &Path, key: &Path) -> Server {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/notices/mail.py");
        let mut child = world.network.command(PYTHON);
        child.arg(script).arg(certificate).arg(key).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Server { child, lines, seen: Vec::new() }
    }

    /// Waits for something that it says of the server of this name with this word in it.
    fn says(&mut self, server: &str, word: &str) -> Value {
        eventually(&format!("{server} gets {word}"), || {
            self.seen
                .extend(self.lines.try_iter().filter_map(|line| serde_json::from_str(&line).ok()));
            let found = self.seen.iter().find(|seen: &&Value| {
                seen["server"] == server && seen["text"].as_str().unwrap().contains(word)
            });
            found.cloned().ok_or_else(|| format!("{:#?}", self.seen))
        })
    }

    /// Waits until exactly these had a mail with this word, each one of his own.
    fn mails(&mut self, server: &str, word: &str, to: &[&str]) {
        eventually(&format!("{to:?} get {word}"), || {
            self.seen
                .extend(self.lines.try_iter().filter_map(|line| serde_json::from_str(&line).ok()));
            let of = |seen: &&Value| {
                seen["server"] == server && seen["text"].as_str().unwrap().contains(word)
            };
            // In whatever order.
            let sorted = |mut all: Vec<String>| {
                all.sort();
                all
            };
            let got = self.seen.iter().filter(of).map(|mail| mail["to"].to_string()).collect();
            let wanted = to.iter().map(|to| serde_json::json!([to]).to_string()).collect();
            let (got, wanted) = (sorted(got), sorted(wanted));
            ensure(got == wanted, got)
        });
    }
}

/// A CA, and a certificate of it for this machine.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
    };
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca",
    );
    openssl("req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=localhost");
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2 -extfile names",
    );
}

#[test]
fn mail_comes_by_a_real_server_and_tls_by_ones_own_ca() {
    let test = "mail_comes_by_a_real_server_and_tls_by_ones_own_ca";
    let Some(world) = World::new(test) else { return };
    let has_server =
        Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    if !has_server.is_ok_and(|status| status.success()) || find("openssl").is_none() {
        return skip(test, "mail", "needs python3-aiosmtpd and openssl");
    }
    let folder = world.folder();
    certificates(folder);
    let mut server = Server::start(&world, &folder.join("own.pem"), &folder.join("own.key"));
    let ports = eventually("the servers listen", || {
        let line = server.lines.try_recv().map_err(|error| error.to_string())?;
        serde_json::from_str::<Value>(&line).map_err(|error| error.to_string())
    });
    let end = "from=guard@host.example&to=admin@example.org,second@example.org";
    let targets = format!(
        "smtp://127.0.0.1:{}/?{end}&encryption=none&name=plain
         smtp://guard:SECRETmail@127.0.0.1:{}/?{end}&name=starttls
         smtps://guard:SECRETmail@127.0.0.1:{}/?{end}&name=tls
         smtps://guard:SECRETwrong@127.0.0.1:{}/?{end}&name=wrong
         smtp://127.0.0.1:{}/?{end}&name=no-starttls
         https://127.0.0.1:{}/&name=https",
        ports["plain"],
        ports["starttls"],
        ports["tls"],
        ports["tls"],
        ports["plain"],
        ports["https"],
    )
    .replace("/&name=https", "/?name=https");
    let ca = folder.join("ca.pem").display().to_string();
    let mut guard = world.guard(&targets, &[("GUARD_NOTIFY_CA", &ca)]);
    for name in ["plain", "starttls", "tls", "https"] {
        server.says(name, "nowhere");
    }
    guard.ctl_ok(&["ban", "203.0.113.9"]);
    for (name, tls) in [("plain", false), ("starttls", true), ("tls", true)] {
        let mail = server.says(name, "203.0.113.9");
        assert_eq!(
            (&mail["tls"], &mail["login"]),
            (&Value::Bool(tls), &Value::Bool(tls)),
            "{mail}"
        );
        assert_eq!(mail["sender"], "guard@host.example");
        // A mail for each of them.
        server.mails(name, "203.0.113.9", &["admin@example.org", "second@example.org"]);
        let text = mail["text"].as_str().unwrap();
        assert!(
            text.contains("ban in jail manual") && text.contains("Auto-Submitted: auto-generated"),
            "{text}"
        );
    }
    server.says("https", "203.0.113.9");
    let tested = guard.json_whatever(&["notify", "test"]);
    let answers: Vec<_> = tested["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| (target["name"].as_str().unwrap(), target["ok"].as_bool().unwrap()))
        .collect();
    let expected = [
        ("plain", true),
        ("starttls", true),
        ("tls", true),
        ("wrong", false),
        ("no-starttls", false),
        ("https", true),
    ];
    assert_eq!(answers, expected, "{tested:#}");
    assert!(
        tested.to_string().contains("queued as 4711") && tested.to_string().contains("535"),
        "{tested:#}"
    );
    assert!(!guard.whole_log().contains("SECRET") && !tested.to_string().contains("SECRET"));

    // Without the CA nobody is trusted.
    guard.sigterm();
    guard.set("GUARD_NOTIFY_CA", "");
    guard.start_again();
    let tested = guard.json_whatever(&["notify", "test"]);
    for target in tested["targets"].as_array().unwrap() {
        assert_eq!(target["ok"] == true, target["name"] == "plain", "{target:#}");
    }
}
