//! What a jail's actions close, and those that guard has no counterpart for.

use std::collections::BTreeSet;

use super::draft::Reader;
use super::filter::Only;
use crate::filter::{FilePlace, FilterReference, Settings};
use crate::model::{BlockType, Chain, Protocol};

/// What a ban closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The ports in fail2ban's words, of each protocol; none: all of them.
    pub(super) ports: Option<Ports>,
    /// The chains that are named, as far as guard has them.
    pub(super) chains: BTreeSet<Chain>,
    pub(super) block_type: BlockType,
    /// Does any action close anything?
    pub(super) closes: bool,
    /// Where that is said.
    pub(super) place: FilePlace,
}

/// Ports and their protocols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports {
    /// Numbers, ranges and names, each once.
    pub(super) words: Vec<String>,
    pub(super) protocols: BTreeSet<Protocol>,
}

/// Most actions of one jail.
const MAX_ACTIONS: usize = 50;

/// Names that labels don't know, and what they are or were in `/etc/services`.
const OLD_NAMES: [(&str, &str); 4] =
    [("ssmtp", "465"), ("www", "80"), ("imap4", "143"), ("sftp", "115")];

/// Programs that close something, by which an action of one's own is known.
const CLOSING: [&str; 6] = ["iptables", "ip6tables", "ipset", "nft ", "<nftables>", "firewall-cmd"];

/// Words of commands that are run elsewhere than in this host's network.
const ELSEWHERE: [&str; 6] =
    ["ssh ", "docker exec", "docker run", "podman exec", "nsenter ", "ip netns exec"];

/// fail2ban's own actions that close something on this host. What is in the files of others is
/// known by their commands only.
const STOCK: [&str; 33] = [
    "apf",
    "bsd-ipfw",
    "firewallcmd-allports",
    "firewallcmd-ipset",
    "firewallcmd-multiport",
    "firewallcmd-new",
    "firewallcmd-rich-logging",
    "firewallcmd-rich-rules",
    "hostsdeny",
    "ipfilter",
    "ipfw",
    "iptables",
    "iptables-allports",
    "iptables-ipset",
    "iptables-ipset-proto4",
    "iptables-ipset-proto6",
    "iptables-ipset-proto6-allports",
    "iptables-multiport",
    "iptables-multiport-log",
    "iptables-new",
    "iptables-xt_recent-echo",
    "nftables",
    "nftables-allports",
    "nftables-multiport",
    "npf",
    "osx-afctl",
    "osx-ipfw",
    "pf",
    "route",
    "shorewall",
    "shorewall-ipset-proto6",
    "symbiosis-blacklist-allports",
    "ufw",
];

/// What kind of action it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It closes something on this host.
    Closes,
    /// It closes something elsewhere.
    Elsewhere,
    /// It sends mail or the like.
    Tells,
    /// It reports the address to others.
    Reports,
    /// It does nothing.
    Nothing,
    Unknown,
}

impl Reader<'_> {
    /// What the jail's actions close; `None`: the jail opens ports, which guard never does.
    pub(super) fn block(&mut self) -> Option<Block> {
        let actions = self.get("action")?.unwrap_or_default();
        let mut block = Block {
            ports: Some(Ports::default()),
            chains: BTreeSet::new(),
            block_type: BlockType::Reject,
            closes: false,
            place: actions.place(),
        };
        for (text, place) in split(&actions.lines) {
            match text.parse::<FilterReference>() {
                Ok(reference) => self.action(&reference, &place, &mut block)?,
                Err(error) => {
                    let shown: String = text.chars().take(60).collect();
                    let what = format!("the action `{shown}` can't be read: {error}");
                    self.remarks.lost(&place, what, "");
                }
            }
        }
        if block.ports.as_ref().is_some_and(|ports| ports.words.is_empty()) {
            block.ports = None;
        }
        if !block.closes {
            let place = if actions.is_empty() { self.place.clone() } else { actions.place() };
            let what = "no action closes anything, so the labels say `dryrun`";
            self.remarks.changed(&place, what, "leave out `guard.dryrun` to ban");
        }
        Some(block)
    }

    fn action(
        &mut self,
        reference: &FilterReference,
        place: &FilePlace,
        block: &mut Block,
    ) -> Option<()> {
        let folders = Only(&self.ground.files, &self.ground.action_folders);
        let settings = Settings::read(&reference.name, &folders).ok();
        let action = Action { reference, settings: settings.as_ref(), jail: self.section };
        let name = &reference.name;
        match action.kind() {
            Kind::Closes => return self.closes(&action, place, block),
            Kind::Elsewhere => self.remarks.lost(
                place,
                format!("action `{name}` bans elsewhere than in this host's firewall"),
                "guard bans in this host's firewall; a program that reads `guardctl watch --json` \
                 hears of every ban and unban",
            ),
            Kind::Tells => self.remarks.lost(
                place,
                format!("action `{name}` sends messages: guard starts no programs for a ban"),
                "guard itself tells by mail or messenger of every ban: GUARD_NOTIFY, see docs/notices.md",
            ),
            Kind::Reports => self.remarks.lost(
                place,
                format!("action `{name}` reports addresses to others, which guard does not"),
                "a program that reads `guardctl watch --json` hears of every ban",
            ),
            Kind::Nothing => {}
            Kind::Unknown => self.remarks.lost(
                place,
                format!("action `{name}` runs commands of its own: guard starts no programs"),
                "guard bans in the firewall; a program that reads `guardctl watch --json` hears \
                 of every ban",
            ),
        }
        Some(())
    }

    fn closes(&mut self, action: &Action<'_>, place: &FilePlace, block: &mut Block) -> Option<()> {
        let name = &action.reference.name;
        if action.opens() {
            let what = format!("action `{name}` opens ports to whom the filter finds");
            self.remarks.lost(place, what, "guard only closes: leave this jail to fail2ban");
            return None;
        }
        if let Some(how) = action.known_by_commands() {
            let what = format!(
                "action `{name}` is known by its commands only, {how}: guard bans in this host's \
                 firewall, and runs none of them"
            );
            let remedy = "for what else they do: GUARD_NOTIFY tells people of every ban, `guardctl \
                          watch --json` a program of yours";
            self.remarks.changed(place, what, remedy);
        }
        if !block.closes {
            block.place = place.clone();
        }
        match action.block_type() {
            Ok(block_type) if block.closes && block_type != block.block_type => {
                let what = "the jail's actions refuse in several ways: guard does as the first one";
                self.remarks.changed(place, what, "");
            }
            Ok(block_type) => block.block_type = block_type,
            Err(text) => {
                let what = format!("`blocktype = {text}`: guard rejects, drops, or resets TCP");
                self.remarks.changed(place, what, "it rejects unless `guard.blocktype` says else");
            }
        }
        block.closes = true;
        match action.chain() {
            Ok(chain) => block.chains.extend(chain),
            Err(text) => {
                let what = format!("`chain = {text}`: guard bans in DOCKER-USER and INPUT");
                let remedy = "which of them follows from where the log belongs; see `guard.chain`";
                self.remarks.changed(place, what, remedy);
            }
        }
        if name.ends_with("-log") || name.contains("logging") {
            let what = format!("action `{name}` logs packets; guard counts them");
            self.remarks.changed(place, what, "guardctl status JAIL");
        }
        if name == "iptables-new" {
            let what = "action `iptables-new` lets open connections go on; guard cuts them";
            self.remarks.changed(place, what, "");
        }
        let (words, (protocols, others)) = (action.ports(), action.protocols());
        if words.is_some() && !others.is_empty() {
            let shown: String = others.join(", ").chars().take(60).collect();
            let what = format!("`protocol = {shown}`: guard closes ports of TCP and UDP");
            self.remarks.lost(place, what, "`guard.port: all` closes everything, of any protocol");
        }
        match (&mut block.ports, words) {
            (Some(ports), Some(words)) => self.add(ports, words, protocols, place),
            (_, None) => block.ports = None,
            (None, Some(_)) => {}
        }
        Some(())
    }

    /// Adds an action's ports to those of the actions before.
    fn add(
        &mut self,
        ports: &mut Ports,
        words: Vec<String>,
        protocols: BTreeSet<Protocol>,
        place: &FilePlace,
    ) {
        let others = !ports.words.is_empty() && (ports.words != words);
        if others && ports.protocols != protocols {
            let what = "the jail closes other ports of TCP than of UDP; guard closes all of them \
                        of both";
            self.remarks.changed(place, what, "");
        }
        for word in words {
            if !ports.words.contains(&word) {
                ports.words.push(word);
            }
        }
        ports.protocols.extend(protocols);
    }
}

/// An action with what the jail gives it.
struct Action<'a> {
    reference: &'a FilterReference,
    /// Its file, if there is one.
    settings: Option<&'a Settings>,
    jail: &'a str,
}

impl Action<'_> {
    fn kind(&self) -> Kind {
        let name = self.reference.name.as_str();
        let is = |all: &[&str]| all.iter().any(|begin| name.starts_with(begin));
        const CLOSE: [&str; 16] = [
            "iptables",
            "nftables",
            "firewallcmd",
            "ufw",
            "shorewall",
            "route",
            "hostsdeny",
            "pf",
            "npf",
            "ipfw",
            "bsd-ipfw",
            "osx-",
            "apf",
            "ipfilter",
            "symbiosis-",
            "nft",
        ];
        if name == "dummy" {
            return Kind::Nothing;
        }
        if is(&["cloudflare", "netscaler", "nsupdate", "nginx-block-map"]) {
            return Kind::Elsewhere;
        }
        if is(&["mail", "sendmail", "smtp", "apprise", "helpers", "complain"]) {
            return Kind::Tells;
        }
        if is(&[
            "abuseipdb",
            "badips",
            "blocklist_de",
            "dshield",
            "ipthreat",
            "mynetwatchman",
            "xarf",
        ]) {
            return Kind::Reports;
        }
        let script = self.script();
        if is(&CLOSE) || CLOSING.iter().any(|word| script.contains(word)) {
            return Kind::Closes;
        }
        Kind::Unknown
    }

    /// What it runs, as it is written.
    fn script(&self) -> String {
        let get = |option| self.setting("Definition", option).unwrap_or_default();
        format!("{}\n{}", get("actionstart"), get("actionban"))
    }

    fn setting(&self, section: &str, option: &str) -> Option<String> {
        let found = self.settings?.get(section, option).ok()??.text();
        Some(found).filter(|text| !text.is_empty())
    }

    /// A parameter: the jail's, else the action's own.
    fn parameter(&self, option: &str) -> Option<String> {
        let given = self.reference.options.iter().find(|(known, _)| known == option);
        let given = given.map(|(_, value)| value.replace("<name>", self.jail));
        let given = given.filter(|value| !value.is_empty() && !value.contains('<'));
        given
            .or_else(|| self.setting("Init", option))
            .or_else(|| self.setting("Definition", option))
    }

    /// Is a jail of this action one that lets people in?
    fn opens(&self) -> bool {
        let says = |option: &str, words: &[&str]| {
            let text = self.parameter(option).unwrap_or_default().to_ascii_lowercase();
            words.iter().any(|word| text.starts_with(word))
        };
        says("blocktype", &["return", "accept", "allow"]) || says("returntype", &["drop", "reject"])
    }

    /// In which way it is known by its commands only; `None`: it is fail2ban's own, as it comes.
    fn known_by_commands(&self) -> Option<&'static str> {
        let own = |option| {
            let setting = self.settings?.get("Definition", option).ok()??;
            Some(setting.place().file).filter(|file| file.ends_with(".local"))
        };
        let changed = ["actionstart", "actionban"].into_iter().find_map(own).is_some();
        if STOCK.contains(&self.reference.name.as_str()) && !changed {
            return None;
        }
        let script = self.script();
        Some(match ELSEWHERE.iter().any(|word| script.contains(word)) {
            true => "and they seem to close something elsewhere",
            false => "of which some close something",
        })
    }

    /// How it refuses, if its commands say so themselves.
    fn literal_block_type(&self) -> Option<String> {
        let script = self.script().to_ascii_lowercase();
        if script.contains("<blocktype>") || script.contains("<actionban>") {
            return None;
        }
        let words: Vec<&str> = script.split_whitespace().collect();
        let reset = script.contains("tcp-reset").then(|| "reject tcp-reset".to_owned());
        let after = |word: &str| ["-j", "--jump"].contains(&word);
        let jumps = words.windows(2).filter(|pair| after(pair[0])).map(|pair| pair[1]);
        let mut verdicts = jumps.filter(|word| matches!(*word, "drop" | "reject"));
        reset.or_else(|| verdicts.next().map(str::to_owned))
    }

    /// How it refuses; an error: in a way that guard has not.
    fn block_type(&self) -> Result<BlockType, String> {
        let Some(text) = self.literal_block_type().or_else(|| self.parameter("blocktype")) else {
            return Ok(BlockType::Reject);
        };
        let lower = text.to_ascii_lowercase();
        let is_reset = lower.contains("tcp-reset") || lower.contains("tcp reset");
        match lower.split_whitespace().next().unwrap_or_default() {
            "reject" if is_reset => Ok(BlockType::TcpReset),
            "reject" | "unreachable" | "prohibit" => Ok(BlockType::Reject),
            "drop" | "blackhole" | "deny" => Ok(BlockType::Drop),
            _ => Err(text.chars().take(60).collect()),
        }
    }

    /// The chain that it hooks into; an error: one that guard has not.
    fn chain(&self) -> Result<BTreeSet<Chain>, String> {
        let name = self.reference.name.as_str();
        let script = self.script();
        if script.contains("DOCKER-USER") {
            return Ok([Chain::DockerUser].into());
        }
        let is_nft = name.starts_with("nft");
        let text = if is_nft { self.parameter("chain_hook") } else { self.parameter("chain") };
        let Some(text) = text else {
            return Ok(if script.contains("FORWARD") {
                [Chain::DockerUser].into()
            } else {
                BTreeSet::new()
            });
        };
        match text.trim().to_ascii_uppercase().as_str() {
            "DOCKER-USER" | "FORWARD" => Ok([Chain::DockerUser].into()),
            "INPUT" | "INPUT_DIRECT" => Ok([Chain::Input].into()),
            "F2B-CHAIN" => Ok(BTreeSet::new()),
            _ => Err(text.chars().take(60).collect()),
        }
    }

    /// The ports that it closes; `None`: all.
    fn ports(&self) -> Option<Vec<String>> {
        let name = self.reference.name.as_str();
        let whole = ["route", "hostsdeny", "ufw", "shorewall", "apf"];
        let all = name.contains("allports")
            || whole.iter().any(|begin| name.starts_with(begin))
            || self.parameter("type").is_some_and(|kind| kind.trim() == "allports");
        let by_port = self.parameter("type").is_some()
            || self.settings.is_none()
            || self.script().contains("<port>")
            || ["iptables", "nftables", "firewallcmd"].iter().any(|begin| name.starts_with(begin));
        let text = self.parameter("port").filter(|_| !all && by_port)?;
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        let words: Vec<String> = words.filter(|word| !word.is_empty()).map(port).collect();
        let every = |word: &String| matches!(word.as_str(), "all" | "0-65535" | "1-65535");
        (!words.iter().any(every)).then_some(words).filter(|words| !words.is_empty())
    }

    /// The protocols of which it closes ports, and the names of those of which guard can't.
    fn protocols(&self) -> (BTreeSet<Protocol>, Vec<String>) {
        let text = self.parameter("protocol").unwrap_or_default().to_ascii_lowercase();
        let words =
            || text.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty());
        let has = |word: &str| words().any(|part| part == word);
        let others = words().filter(|word| !["tcp", "udp", "all", "any"].contains(word));
        let others = others.map(str::to_owned).collect();
        let both = has("all") || has("any");
        let mut found = BTreeSet::new();
        if has("udp") || both {
            found.insert(Protocol::Udp);
        }
        if found.is_empty() || has("tcp") || both {
            found.insert(Protocol::Tcp);
        }
        (found, others)
    }
}

/// A port as labels have it.
fn port(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let old = OLD_NAMES.iter().find(|(name, _)| *name == lower);
    old.map_or(lower.replace(':', "-"), |(_, number)| (*number).to_owned())
}

/// The actions of an `action` option: blanks lie between them, and may lie in brackets
/// and quotes.
fn split(lines: &[(String, FilePlace)]) -> Vec<(String, FilePlace)> {
    let mut found: Vec<(String, FilePlace)> = Vec::new();
    let mut open: Option<(String, FilePlace)> = None;
    let (mut depth, mut quote) = (0_usize, None::<char>);
    for (line, place) in lines {
        for c in line.chars().chain(['\n']) {
            let within = depth > 0 || quote.is_some();
            match c {
                c if quote == Some(c) => quote = None,
                '"' | '\'' if depth > 0 && quote.is_none() => quote = Some(c),
                '[' if quote.is_none() => depth += 1,
                ']' if quote.is_none() => depth = depth.saturating_sub(1),
                c if c.is_whitespace() && !within => {
                    found.extend(open.take());
                    continue;
                }
                _ => {}
            }
            // `name [options]`, `name[a=1] [b=2]`
            if open.is_none() && c == '[' {
                open = found.pop();
            }
            open.get_or_insert_with(|| (String::new(), place.clone())).0.push(c);
        }
    }
    found.extend(open);
    found.truncate(MAX_ACTIONS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_told_apart() {
        let check = |text: &str, expected: &[&str]| {
            let lines: Vec<_> =
                text.lines().map(|line| (line.to_owned(), FilePlace::default())).collect();
            let found: Vec<String> = split(&lines).into_iter().map(|(text, _)| text).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("a", &["a"]);
        check("a b[x=1] c [y=\"] [\"] [z='d e']", &["a", "b[x=1]", "c[y=\"] [\"][z='d e']"]);
        check("a[x=1,\ny=2]\nb", &["a[x=1,\ny=2]", "b"]);
        check("a[x=\"1\nb", &["a[x=\"1\nb\n"]);
        check("", &[]);
    }
}
