//! A small world of network namespaces: a host with the firewall under test, an
//! attacker and a bystander outside, a container behind.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::CapabilitySet;

use guard::firewall::{Handle, JailPackets, Order, Settings, Status, Told, start};
use guard::model::Timestamp;
use guard::model::{
    Ban, BanOrigin, BlockRules, BlockType, Chain, JailName, JailRules, Limits, Network, PortRange,
    Ports, Protocol, ServiceId, Until,
};

/// Nothing here takes longer, on however slow a machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// May tests make namespaces here? If not, says so, or fails where they must.
pub(crate) fn is_root(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let required = std::env::var("GUARD_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|need| need == "root"), "{test} needs root");
    eprintln!("SKIPPED {test}: needs root for network namespaces");
    false
}

/// A network namespace, gone when it is dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new() -> Namespace {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("guard-t{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name], "");
        run("ip", &["-n", &name, "link", "set", "lo", "up"], "");
        let namespace = Namespace(name);
        namespace.inside(|| {
            // Addresses are to work at once, without a search for doubles.
            std::fs::write("/proc/sys/net/ipv6/conf/all/accept_dad", "0").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
        });
        namespace
    }

    /// Runs something on a thread that is in the namespace; threads and
    /// processes that it starts are in it too.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let path = format!("/run/netns/{}", self.0);
                let file = std::fs::File::open(path).expect("the namespace is there");
                rustix::thread::move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&file),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .expect("root may enter it");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program in it; its output.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.inside(|| run(program, arguments, ""))
    }

    /// Runs a program in it; did it succeed?
    pub(crate) fn tries(&self, program: &str, arguments: &[&str]) -> bool {
        self.inside(|| Command::new(program).args(arguments).output().unwrap().status.success())
    }

    pub(crate) fn feed(&self, program: &str, arguments: &[&str], input: &str) {
        self.inside(|| run(program, arguments, input));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Which iptables Docker uses on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nft,
    Legacy,
}

impl Kind {
    pub(crate) fn tool(self, stem: &str) -> String {
        match self {
            Kind::Nft => stem.replacen("tables", "tables-nft", 1),
            Kind::Legacy => stem.replacen("tables", "tables-legacy", 1),
        }
    }
}

pub(crate) struct World {
    pub(crate) host: Namespace,
    pub(crate) outside: Namespace,
    pub(crate) container: Namespace,
    pub(crate) kind: Kind,
}

pub(crate) const HOST: [&str; 2] = ["10.98.1.1", "fd98::1"];
pub(crate) const ATTACKER: [&str; 2] = ["10.98.1.2", "fd98::2"];
pub(crate) const BYSTANDER: [&str; 2] = ["10.98.1.3", "fd98::3"];
pub(crate) const CONTAINER: [&str; 2] = ["10.97.1.2", "fd97::2"];

impl World {
    /// A host with Docker's chains as engine 20.10 makes them: in IPv6 there is
    /// no DOCKER-USER.
    pub(crate) fn new(kind: Kind) -> World {
        let world = World::without_docker_of(kind);
        world.restore(4, &docker_chains());
        let forward = "*filter\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -i out -j ACCEPT\nCOMMIT\n";
        world.restore(6, forward);
        world
    }

    /// A host without any rules.
    pub(crate) fn without_docker() -> World {
        World::without_docker_of(Kind::Nft)
    }

    fn without_docker_of(kind: Kind) -> World {
        let [host, outside, container] = [(); 3].map(|()| Namespace::new());
        link(&host, "out", "10.98.1.1/16", "fd98::1/64", &outside, ATTACKER);
        link(&host, "in", "10.97.1.1/16", "fd97::1/64", &container, CONTAINER);
        for (address, length) in [(BYSTANDER[0], "16"), (BYSTANDER[1], "64")] {
            let address = format!("{address}/{length}");
            run("ip", &["-n", &outside.0, "addr", "add", &address, "dev", "eth0", "nodad"], "");
        }
        host.inside(|| {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        });
        World { host, outside, container, kind }
    }

    /// A restore by somebody else than guard.
    pub(crate) fn restore(&self, family: u8, rules: &str) {
        let stem = if family == 4 { "iptables-restore" } else { "ip6tables-restore" };
        let tool = self.kind.tool(stem);
        self.host.feed(&tool, &["--noflush", "-w"], rules);
    }

    pub(crate) fn filter(&self, family: u8, lines: &str) {
        self.restore(family, &format!("*filter\n{lines}\nCOMMIT\n"));
    }

    /// The filter table of one family, without counters.
    pub(crate) fn saved(&self, family: u8) -> String {
        let stem = if family == 4 { "iptables-save" } else { "ip6tables-save" };
        let listing = self.host.run(&self.kind.tool(stem), &["-t", "filter"]);
        let lines = listing.lines().filter(|line| !line.starts_with(['#', ':']));
        let chains = listing.lines().filter(|line| line.starts_with(':'));
        let chains = chains.filter_map(|line| line.split(' ').next());
        chains.chain(lines).collect::<Vec<_>>().join("\n")
    }

    /// Publishes port `outer` of the host as `inner` of the container, as Docker does.
    pub(crate) fn publish(&self, outer: u16, inner: u16) {
        let [v4, v6] = CONTAINER;
        let rule = |to: &str| {
            format!(
                "*nat\n-A PREROUTING -i out -p tcp --dport {outer} -j DNAT --to-destination {to}:{inner}\nCOMMIT\n"
            )
        };
        self.restore(4, &rule(v4));
        self.restore(6, &rule(&format!("[{v6}]")));
    }

    pub(crate) fn firewall(&self, settings: Settings, initial: Vec<Order>) -> Firewall {
        self.firewall_without(CapabilitySet::empty(), settings, initial)
    }

    /// A firewall whose thread and tools lack some capabilities.
    pub(crate) fn firewall_without(
        &self,
        dropped: CapabilitySet,
        settings: Settings,
        initial: Vec<Order>,
    ) -> Firewall {
        let heard = Arc::new(Heard::default());
        let listener = Arc::clone(&heard);
        let tell = move |told| {
            listener.told.lock().unwrap().push(told);
            listener.more.notify_all();
        };
        let handle = self.host.inside(move || {
            drop_capabilities(dropped);
            start(settings, initial, tell)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let firewall = Firewall { handle, heard, runtime };
        firewall.settle();
        firewall
    }
}

/// Takes capabilities from this thread and from what it starts.
fn drop_capabilities(dropped: CapabilitySet) {
    for capability in dropped.iter() {
        rustix::thread::remove_capability_from_bounding_set(capability).unwrap();
    }
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.effective -= dropped;
    sets.permitted -= dropped;
    sets.inheritable -= dropped;
    rustix::thread::set_capabilities(None, sets).unwrap();
}

pub(crate) fn docker_chains() -> String {
    "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -i out -j ACCEPT\n-A DOCKER-USER -j RETURN\nCOMMIT\n".to_owned()
}

fn link(host: &Namespace, name: &str, v4: &str, v6: &str, peer: &Namespace, addresses: [&str; 2]) {
    let ip = |arguments: &str| {
        run("ip", &arguments.split(' ').collect::<Vec<_>>(), "");
    };
    let (here, there) = (&host.0, &peer.0);
    ip(&format!("-n {here} link add {name} type veth peer name eth0 netns {there}"));
    ip(&format!("-n {here} addr add {v4} dev {name}"));
    ip(&format!("-n {here} addr add {v6} dev {name} nodad"));
    ip(&format!("-n {here} link set {name} up"));
    ip(&format!("-n {there} addr add {}/16 dev eth0", addresses[0]));
    ip(&format!("-n {there} addr add {}/64 dev eth0 nodad", addresses[1]));
    ip(&format!("-n {there} link set eth0 up"));
    let gateway = |address: &str| address.split('/').next().unwrap().to_owned();
    ip(&format!("-n {there} route add default via {}", gateway(v4)));
    ip(&format!("-n {there} -6 route add default via {}", gateway(v6)));
}

#[derive(Default)]
struct Heard {
    told: Mutex<Vec<Told>>,
    more: Condvar,
}

/// A firewall at work in a world.
pub(crate) struct Firewall {
    pub(crate) handle: Handle,
    heard: Arc<Heard>,
    runtime: tokio::runtime::Runtime,
}

impl Firewall {
    pub(crate) fn settle(&self) {
        self.runtime.block_on(async {
            tokio::join!(self.handle.settled());
        });
    }

    pub(crate) fn order(&self, orders: Vec<Order>) {
        self.handle.order(orders);
        self.settle();
    }

    pub(crate) fn status(&self) -> Arc<Status> {
        self.handle.status().borrow().clone()
    }

    /// The packets that came by a jail's rules.
    pub(crate) fn packets(&self, jail: &str) -> JailPackets {
        let all = self.runtime.block_on(self.handle.packets()).expect("the firewall lives");
        all.get(&name(jail)).copied().unwrap_or_default()
    }

    pub(crate) fn check_until(&self, what: &str, well: impl Fn(&Status) -> bool) {
        self.handle.check_now();
        until(what, || well(&self.status()));
    }

    /// Waits until something was told that `wanted` takes, and returns it.
    pub(crate) fn hear<T>(&self, what: &str, wanted: impl Fn(&Told) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut told = self.heard.told.lock().unwrap();
        loop {
            if let Some(found) = told.iter().find_map(&wanted) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not told: {what}; told: {told:?}");
            told = self.heard.more.wait_timeout(told, left).unwrap().0;
        }
    }

    /// How the ban was last told to stand.
    pub(crate) fn in_force(&self, jail: &str, network: &str) -> Option<bool> {
        let pair = (name(jail), network.parse::<Network>().unwrap());
        let told = self.heard.told.lock().unwrap();
        told.iter().rev().find_map(|told| match told {
            Told::Outcome { in_force, .. } if in_force.contains(&pair) => Some(true),
            Told::Outcome { held_back, .. } if held_back.contains(&pair) => Some(false),
            _ => None,
        })
    }

    pub(crate) fn forget(&self) {
        self.heard.told.lock().unwrap().clear();
    }

    pub(crate) fn stop(self) {
        self.handle.stop();
    }

    /// As if guard were killed: nothing is taken away.
    pub(crate) fn abandon(self) {
        drop(self.handle);
    }
}

pub(crate) fn until(what: &str, mut well: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !well() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::yield_now();
    }
}

pub(crate) fn name(jail: &str) -> JailName {
    jail.parse().unwrap()
}

pub(crate) fn ports(list: &[(Protocol, u16)]) -> Ports {
    let port = |port| PortRange::new(port, port).unwrap();
    Ports::Some(list.iter().map(|(protocol, number)| (*protocol, port(*number))).collect())
}

pub(crate) fn install(jail: &str, chain: Chain, ports: Ports, block_type: BlockType) -> Order {
    install_in(jail, &[chain], ports, block_type)
}

/// A jail of all ports on several chains.
pub(crate) fn install_on<const N: usize>(jail: &str, chains: [Chain; N]) -> Order {
    install_in(jail, &chains, Ports::All, BlockType::Reject)
}

fn install_in(jail: &str, chains: &[Chain], ports: Ports, block_type: BlockType) -> Order {
    Order::Install(Arc::new(JailRules {
        name: name(jail),
        service: ServiceId::Container(jail.into()),
        limits: Limits::default(),
        ignore: vec![],
        block: BlockRules { chains: chains.iter().copied().collect(), ports, block_type },
        dry_run: false,
        policy: guard::model::Policy::default(),
    }))
}

pub(crate) fn block(jail: &str, network: &str, seconds: i64) -> Order {
    let now = Timestamp::now();
    Order::Block(Ban {
        jail: name(jail),
        network: network.parse().unwrap(),
        since: now,
        until: Until::Time(now + guard_seconds(seconds)),
        origin: BanOrigin::Failures,
        failures: 5,
    })
}

fn guard_seconds(seconds: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(seconds)
}

pub(crate) fn release(jail: &str, network: &str) -> Order {
    Order::Release(name(jail), network.parse().unwrap())
}

/// A server that sends back what it gets, for as long as the test runs.
pub(crate) fn serve(namespace: &Namespace, port: u16) {
    let listener = namespace.inside(|| TcpListener::bind(("::", port)).unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Sends datagrams back, for as long as the test runs.
pub(crate) fn serve_udp(namespace: &Namespace, port: u16) {
    // One socket for each address: a reply must come from where it was asked.
    for own in HOST {
        let socket = namespace.inside(|| UdpSocket::bind((own, port)).unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
    }
}

/// A client that sends datagrams from one port, as one flow.
pub(crate) struct UdpClient(UdpSocket);

impl UdpClient {
    pub(crate) fn new(from: From<'_>, to: (&str, u16)) -> UdpClient {
        UdpClient(from.0.inside(|| {
            let socket = UdpSocket::bind((from.1, 0)).unwrap();
            socket.connect(to).unwrap();
            socket
        }))
    }

    pub(crate) fn echoes(&self) -> bool {
        self.echoes_within(DEADLINE)
    }

    pub(crate) fn is_cut(&self) -> bool {
        !self.echoes_within(PATIENCE)
    }

    fn echoes_within(&self, patience: Duration) -> bool {
        self.0.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 64];
        self.0.send(b"ping").is_ok() && matches!(self.0.recv(&mut buffer), Ok(1..))
    }
}

/// Connects from one address of a namespace.
fn connect(from: From<'_>, to: (&str, u16), patience: Duration) -> std::io::Result<TcpStream> {
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let source: IpAddr = from.1.parse().unwrap();
    let target = SocketAddr::new(to.0.parse().unwrap(), to.1);
    from.0.inside(|| {
        let family = if source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = socket(family, SocketType::STREAM, None)?;
        set_socket_timeout(&fd, Timeout::Send, Some(patience))?;
        bind(&fd, &SocketAddr::new(source, 0))?;
        connect(&fd, &target)?;
        Ok(TcpStream::from(fd))
    })
}

/// Who connects: a namespace and one of its addresses.
pub(crate) type From<'a> = (&'a Namespace, &'a str);

/// How long silence must last to count as such.
const PATIENCE: Duration = Duration::from_millis(700);

/// A new connection that must come about.
pub(crate) fn open(from: From<'_>, to: (&str, u16)) -> TcpStream {
    connect(from, to, DEADLINE).unwrap_or_else(|error| panic!("{} to {to:?}: {error}", from.1))
}

/// Does what is sent come back?
pub(crate) fn echoes(stream: &mut TcpStream) -> bool {
    echoes_within(stream, DEADLINE)
}

/// Does nothing come back?
pub(crate) fn is_cut(stream: &mut TcpStream) -> bool {
    !echoes_within(stream, PATIENCE)
}

fn echoes_within(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut buffer = [0; 64];
    stream.write_all(b"ping").is_ok() && matches!(stream.read(&mut buffer), Ok(1..))
}

/// Can a new connection be made and used?
pub(crate) fn reaches(from: From<'_>, to: (&str, u16)) -> bool {
    connect(from, to, DEADLINE).is_ok_and(|mut stream| echoes(&mut stream))
}

/// The same, for as long as silence must last only.
pub(crate) fn reaches_soon(from: From<'_>, to: (&str, u16)) -> bool {
    connect(from, to, PATIENCE).is_ok_and(|mut stream| echoes(&mut stream))
}

/// Is a new connection refused at once, by an answer?
pub(crate) fn is_refused(from: From<'_>, to: (&str, u16)) -> bool {
    connect(from, to, DEADLINE)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Is a new connection refused, or left without an answer?
pub(crate) fn is_kept_out(from: From<'_>, to: (&str, u16)) -> bool {
    connect(from, to, PATIENCE).is_err()
}
