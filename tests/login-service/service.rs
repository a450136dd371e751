//! A login service that stands in for the real ones in guard's tests: it refuses
//! every login and logs the failure, line for line, as a Flask application or as
//! ownCloud does.
//!
//! The test bed compiles this one file with `rustc`, statically linked, and makes
//! an image of nothing else, so that no test needs a registry or a base image. Only
//! `std` is there: no signal handling, so the containers are stopped with SIGKILL.
//!
//! ```text
//! login-service [--port N]… [--udp N] [--format flask|owncloud|forwarded] [--stderr | --file PATH] [--utc-offset MINUTES]
//! login-service --proxy NAME:PORT
//!
//! GET  /                         200
//! GET  /ok?user=X                200, logs a line that is no failure
//! POST /login?user=X[&from=A]    403, logs the failure with the client's address (or with A)
//! POST /log                      200, logs the body as it is
//! GET  /connect?to=ADDR:PORT     200, opens a connection and keeps it; the body is its number
//! GET  /exchange?id=N            200 if the other end of connection N answers, else 502
//! ```
//!
//! With `--proxy` it is a reverse proxy: it adds the client's address to X-Forwarded-For and
//! passes the request on; the format `forwarded` logs that header.
//!
//! Connections are kept alive. An answer is written before the line is logged, so
//! that a ban never swallows the answer to the request that caused it. Lines stand in
//! the order of the answers all the same, whichever thread writes them.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a failure is worded.
#[derive(Clone, Copy)]
enum Format {
    Flask,
    OwnCloud,
    Forwarded,
}

/// Where lines go.
enum Log {
    Stdout,
    Stderr,
    /// Appended to; opened anew for each line, so that it may be rotated away.
    File(PathBuf),
}

/// The service's arguments, and the connections that it opened itself.
struct Service {
    ports: Vec<u16>,
    udp: Option<u16>,
    format: Format,
    log: Log,
    utc_offset: i64,
    /// Where requests are passed on to.
    proxy: Option<String>,
    /// Held from before an answer until its line is logged: whoever has an answer and asks
    /// again is logged after it.
    turn: Mutex<()>,
    outgoing: Mutex<Vec<TcpStream>>,
}

fn main() {
    let service: &'static Service = Box::leak(Box::new(read_arguments()));
    if let Some(port) = service.udp {
        std::thread::spawn(move || echo(&bind(port, UdpSocket::bind)));
    }
    let listeners: Vec<TcpListener> =
        service.ports.iter().map(|&port| bind(port, TcpListener::bind)).collect();
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| std::thread::spawn(move || serve(service, &listener)))
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
}

fn read_arguments() -> Service {
    let mut service = Service {
        ports: Vec::new(),
        udp: None,
        format: Format::Flask,
        log: Log::Stdout,
        utc_offset: 0,
        proxy: None,
        turn: Mutex::new(()),
        outgoing: Mutex::new(Vec::new()),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| usage(&argument));
        match argument.as_str() {
            "--port" => service.ports.push(number(&value())),
            "--udp" => service.udp = Some(number(&value())),
            "--proxy" => service.proxy = Some(value()),
            "--utc-offset" => service.utc_offset = number(&value()),
            "--stderr" => service.log = Log::Stderr,
            "--file" => service.log = Log::File(value().into()),
            "--format" => {
                service.format = match value().as_str() {
                    "flask" => Format::Flask,
                    "owncloud" => Format::OwnCloud,
                    "forwarded" => Format::Forwarded,
                    other => usage(other),
                }
            }
            other => usage(other),
        }
    }
    if service.ports.is_empty() {
        service.ports.push(80);
    }
    service
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| usage(text))
}

fn usage(what: &str) -> ! {
    eprintln!("login-service: cannot use `{what}`");
    std::process::exit(2)
}

/// Binds to both families, or to IPv4 alone where the container has no IPv6.
fn bind<T>(port: u16, bind: impl Fn((IpAddr, u16)) -> io::Result<T>) -> T {
    let any = |text: &str| (text.parse::<IpAddr>().expect("an address"), port);
    bind(any("::")).or_else(|_| bind(any("0.0.0.0"))).expect("the port is free")
}

fn echo(socket: &UdpSocket) {
    let mut datagram = [0; 2048];
    loop {
        if let Ok((length, peer)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..length], peer);
        }
    }
}

fn serve(service: &'static Service, listener: &TcpListener) {
    for client in listener.incoming().flatten() {
        std::thread::spawn(move || talk(service, client));
    }
}

/// One client, until it goes or says something that is no HTTP.
fn talk(service: &Service, client: TcpStream) -> Option<()> {
    let peer = canonical(client.peer_addr().ok()?.ip());
    client.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut writer = client;
    loop {
        let request = Request::read(&mut reader)?;
        let (status, body) = match &service.proxy {
            Some(to) => pass_on(to, &request, &peer).unwrap_or((502, String::new())),
            None => answer(service, &request),
        };
        let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n\r\n", body.len());
        let _turn = service.turn.lock().expect("no holder panics");
        writer.write_all((head + &body).as_bytes()).ok()?;
        let line = line_for(service, &request, &peer).filter(|_| service.proxy.is_none());
        if let Some(line) = line {
            write_line(&service.log, &line);
        }
    }
}

/// The address, with IPv4-mapped IPv6 as the IPv4 that it is.
fn canonical(ip: IpAddr) -> String {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(v6.to_string(), |v4| v4.to_string()),
        IpAddr::V4(v4) => v4.to_string(),
    }
}

struct Request {
    /// Method and path without its query: `GET /ok`.
    what: String,
    query: BTreeMap<String, String>,
    /// The request's target as it came.
    target: String,
    /// X-Forwarded-For as it came.
    forwarded: String,
    body: String,
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
        let first = read_line(reader)?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), decode(value)))
            .collect();
        let target = target.to_owned();
        let what = format!("{method} {path}");
        let (mut length, mut forwarded) = (0, String::new());
        loop {
            let line = read_line(reader)?;
            if line.is_empty() {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if lower.starts_with("x-forwarded-for:") {
                forwarded = line["x-forwarded-for:".len()..].trim().to_owned();
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = String::new();
        reader.by_ref().take(length).read_to_string(&mut body).ok()?;
        Some(Request { what, query, target, forwarded, body })
    }

    fn get(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = reader.by_ref().take(16 * 1024).read_line(&mut line).ok()?;
    (read > 0 && line.ends_with('\n')).then(|| line.trim_end().to_owned())
}

/// Undoes the percent-encoding of a query's value.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks the service behind the proxy, as the client's address with what came before it.
fn pass_on(to: &str, request: &Request, peer: &str) -> Option<(u16, String)> {
    let method = request.what.split(' ').next()?;
    let before = if request.forwarded.is_empty() { "" } else { ", " };
    let head = format!(
        "{method} {} HTTP/1.1\r\nX-Forwarded-For: {}{before}{peer}\r\nContent-Length: {}\r\n\r\n",
        request.target,
        request.forwarded,
        request.body.len()
    );
    let mut stream = TcpStream::connect(to).ok()?;
    stream.write_all((head + &request.body).as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    let status = read_line(&mut reader)?.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0;
    loop {
        let line = read_line(&mut reader)?;
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.parse().ok()?;
        }
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body).ok()?;
    Some((status, body))
}

fn answer(service: &Service, request: &Request) -> (u16, String) {
    match request.what.as_str() {
        "GET /" => (200, "hello".to_owned()),
        "GET /ok" | "POST /log" => (200, String::new()),
        "POST /login" => (403, "wrong name or password".to_owned()),
        "GET /connect" => match connect(service, request.get("to")) {
            Ok(id) => (200, id.to_string()),
            Err(error) => (502, error.to_string()),
        },
        "GET /exchange" => match exchange(service, request.get("id")) {
            Ok(()) => (200, String::new()),
            Err(error) => (502, error.to_string()),
        },
        _ => (404, String::new()),
    }
}

/// Opens a connection, says something on it, and keeps it open.
fn connect(service: &Service, to: &str) -> io::Result<usize> {
    let address = to.parse().map_err(io::Error::other)?;
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let id = {
        let mut outgoing = service.outgoing.lock().expect("no holder panics");
        outgoing.push(stream);
        outgoing.len() - 1
    };
    exchange(service, &id.to_string()).map(|()| id)
}

/// Sends four bytes and waits until they come back.
fn exchange(service: &Service, id: &str) -> io::Result<()> {
    let id: usize = id.parse().map_err(io::Error::other)?;
    let mut stream = {
        let outgoing = service.outgoing.lock().expect("no holder panics");
        outgoing.get(id).ok_or_else(|| io::Error::other("no such connection"))?.try_clone()?
    };
    stream.write_all(b"ping")?;
    let mut back = [0; 4];
    stream.read_exact(&mut back)?;
    if &back == b"ping" { Ok(()) } else { Err(io::Error::other("something else came back")) }
}

/// What is logged for a request.
fn line_for(service: &Service, request: &Request, peer: &str) -> Option<String> {
    let user = request.get("user");
    let from = request.query.get("from").map_or(peer, String::as_str);
    let time = Time::now(service.utc_offset);
    match (request.what.as_str(), service.format) {
        ("POST /log", _) => Some(request.body.clone()),
        ("POST /login", Format::Flask) => Some(format!(
            "{} {},{:03} WARNING: Login failed for user '{user}' [IP: {from}]",
            time.date, time.time, time.millis
        )),
        ("GET /ok", Format::Flask) => Some(format!(
            "{} {},{:03} INFO: Login of user '{user}' [IP: {from}]",
            time.date, time.time, time.millis
        )),
        ("POST /login", Format::OwnCloud) => Some(owncloud(&time, from, "Login failed", user)),
        ("POST /login", Format::Forwarded) => {
            let list = if request.forwarded.is_empty() { "-" } else { &request.forwarded };
            Some(format!("{peer} - {user} \"{list}\" login failed"))
        }
        ("GET /ok", Format::OwnCloud) => Some(owncloud(&time, from, "Login successful", user)),
        _ => None,
    }
}

fn owncloud(time: &Time, from: &str, what: &str, user: &str) -> String {
    let (sign, offset) = if time.offset < 0 { ('-', -time.offset) } else { ('+', time.offset) };
    let zone = format!("{sign}{:02}:{:02}", offset / 60, offset % 60);
    format!(
        "{{\"reqId\":\"Wm3dLkTqVxq0xUoSdlkr\",\"level\":2,\"time\":\"{}T{}{zone}\",\"remoteAddr\":\"{from}\",\
         \"user\":\"--\",\"app\":\"core\",\"method\":\"POST\",\"url\":\"/login\",\
         \"message\":\"{what}: '{user}' (Remote IP: '{from}')\"}}",
        time.date, time.time
    )
}

/// A moment as a clock on the wall shows it.
struct Time {
    date: String,
    time: String,
    millis: u32,
    /// Minutes east of Greenwich.
    offset: i64,
}

impl Time {
    fn now(offset: i64) -> Time {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(0) + offset * 60;
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let second = seconds.rem_euclid(86_400);
        Time {
            date: format!("{year:04}-{month:02}-{day:02}"),
            time: format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60),
            millis: now.subsec_millis(),
            offset,
        }
    }
}

/// The date that is so many days after 1970-01-01, counted in years that begin with
/// March, so that the leap day is the last one.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Writes a line at once, whole.
fn write_line(log: &Log, line: &str) {
    let line = format!("{line}\n");
    let written = match log {
        Log::Stdout => io::stdout().lock().write_all(line.as_bytes()),
        Log::Stderr => io::stderr().lock().write_all(line.as_bytes()),
        Log::File(path) => append(path, &line),
    };
    if let Err(error) = written {
        eprintln!("login-service: cannot log: {error}");
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}
