//! The text of `iptables-save`, read.
//!
//! A rule is compared by its *key*: its matches in a fixed order, without the
//! ones that mean nothing (`-m tcp` alone), because versions of iptables print
//! the same rule in different ways. What is written back is always the text
//! that was read, so that a rule of another program survives unchanged.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// The mark that every rule of guard bears.
pub(crate) const MARK: &str = "guard";

/// The filter table of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its chains, as listed.
    pub(crate) chains: Vec<ChainFound>,
}

/// A chain and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChainFound {
    /// Its name.
    pub(crate) name: String,
    /// Its rules, in order.
    pub(crate) rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// All that follows `-A CHAIN `, as it was read.
    pub(crate) text: String,
    /// The same for two rules that mean the same.
    pub(crate) key: String,
    /// Where a packet goes that matches.
    pub(crate) target: Target,
    /// Is it guard's?
    pub(crate) marked: bool,
}

/// A rule's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// None: the rule only counts.
    None,
    /// `-j`: a chain or a verdict.
    Jump(String),
    /// `-g`: a chain that does not come back to this one.
    Goto(String),
}

/// Text that `iptables-save` did not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The table holds nft rules that the iptables tools can't show.
    #[error(
        "a rule in its filter table was made with nft in a form that iptables can't show (such as `ct state …`, \
         `log` or `reject`): guard can't look at its chains there, nor put them back if another program takes \
         them away; bans go on in those that stood. Make that rule with iptables, or in a table of its own, or \
         have guard use a table of its own: GUARD_FIREWALL=nftables"
    )]
    Incompatible,
    /// No table, or not all of it.
    #[error("the listing of the filter table is not complete")]
    Incomplete,
    /// A line that makes no sense.
    #[error("the listing of the filter table has a line that guard can't read: `{0}`")]
    Line(String),
}

impl Table {
    /// The chain of that name.
    pub(crate) fn chain(&self, name: &str) -> Option<&ChainFound> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// Reads what `iptables-save -t filter` wrote. An empty listing is a kernel
    /// without the table: the three built-in chains, empty.
    pub(crate) fn parse(listing: &str) -> Result<Table, Unreadable> {
        let mut table = Table::default();
        let (mut inside, mut complete) = (false, false);
        for line in listing.lines() {
            if line.contains("is incompatible, use 'nft' tool") {
                return Err(Unreadable::Incompatible);
            }
            match line.as_bytes().first() {
                None | Some(b'#') => {}
                Some(b'*') => inside = line == "*filter",
                Some(b'C') if line == "COMMIT" => {
                    complete |= inside;
                    inside = false;
                }
                _ if !inside => {}
                Some(b':') => table.declare(line)?,
                Some(b'-') => table.append(line)?,
                Some(_) => return Err(unreadable(line)),
            }
        }
        if inside || (!complete && !table.chains.is_empty()) {
            return Err(Unreadable::Incomplete);
        }
        for name in ["INPUT", "FORWARD", "OUTPUT"] {
            if table.chain(name).is_none() {
                table.chains.push(ChainFound { name: name.to_owned(), rules: Vec::new() });
            }
        }
        Ok(table)
    }

    fn declare(&mut self, line: &str) -> Result<(), Unreadable> {
        let name = line[1..].split(' ').next().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| unreadable(line))?.to_owned();
        self.chains.push(ChainFound { name, rules: Vec::new() });
        Ok(())
    }

    fn append(&mut self, line: &str) -> Result<(), Unreadable> {
        let rest = line.strip_prefix("-A ").ok_or_else(|| unreadable(line))?;
        let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let rule = Rule::parse(text).ok_or_else(|| unreadable(line))?;
        let chain = self.chains.iter_mut().find(|chain| chain.name == name);
        chain.ok_or_else(|| unreadable(line))?.rules.push(rule);
        Ok(())
    }
}

fn unreadable(line: &str) -> Unreadable {
    Unreadable::Line(line.chars().take(120).collect())
}

impl Rule {
    /// Reads the part of a rule that follows `-A CHAIN `; `None` for an open quote.
    pub(crate) fn parse(text: &str) -> Option<Rule> {
        let words = words(text)?;
        let target = target(&words);
        let marked = words.windows(2).any(|pair| pair[0] == "--comment" && pair[1] == MARK);
        Some(Rule { text: text.to_owned(), key: key(&words), target, marked })
    }

    /// The chain or verdict it names.
    pub(crate) fn names(&self) -> Option<&str> {
        match &self.target {
            Target::None => None,
            Target::Jump(name) | Target::Goto(name) => Some(name),
        }
    }

    /// Does a person let somebody in with it, past guard's bans?
    pub(crate) fn is_rescue(&self) -> bool {
        let words = words(&self.text).unwrap_or_default();
        words.windows(2).any(|pair| pair[0] == "--comment" && pair[1] == super::rescue::RESCUE)
    }

    /// The address or prefix after `-s`, if there is one.
    pub(crate) fn source(&self) -> Option<&str> {
        self.text.strip_prefix("-s ")?.split(' ').next()
    }
}

/// Splits into words as iptables-restore does: blanks part them, double quotes
/// keep them together, a backslash takes the next character as it is.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => word.push(chars.next()?),
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            ' ' | '\t' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    (!quoted).then_some(words)
}

fn target(words: &[String]) -> Target {
    let after = |option: &str| {
        let at = words.iter().position(|word| word == option)?;
        words.get(at + 1).cloned()
    };
    match (after("-j"), after("-g")) {
        (Some(name), _) => Target::Jump(name),
        (None, Some(name)) => Target::Goto(name),
        (None, None) => Target::None,
    }
}

/// The matches, each with its options, sorted; the target stays last.
fn key(words: &[String]) -> String {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let (mut last, mut module) = (Vec::new(), false);
    for (at, word) in words.iter().enumerate() {
        if !last.is_empty() {
            last.push(word.as_str());
            continue;
        }
        match word.as_str() {
            "-j" | "-g" => last.push(word.as_str()),
            "-m" => {
                groups.push(vec!["-m"]);
                module = true;
            }
            // A base option (`-s`, `-p`, …), or its negation, ends a module's options.
            "-p" | "-s" | "-d" | "-i" | "-o" | "-f" => {
                groups.push(vec![word.as_str()]);
                module = false;
            }
            "!" if !module || base_follows(words, at) => {
                groups.push(vec!["!"]);
                module = false;
            }
            other => match groups.last_mut() {
                Some(group) => group.push(other),
                None => groups.push(vec![other]),
            },
        }
    }
    groups.retain(|group| !matches!(group.as_slice(), ["-m", "tcp" | "udp"]));
    groups.sort();
    groups.push(last);
    // A word may hold a blank (a log prefix); unit separators keep words apart.
    groups.iter().map(|group| group.join("\u{1f}")).collect::<Vec<_>>().join("\u{1e}")
}

fn base_follows(words: &[String], at: usize) -> bool {
    words
        .get(at + 1)
        .is_some_and(|next| ["-p", "-s", "-d", "-i", "-o", "-f"].contains(&next.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(text: &str) -> String {
        Rule::parse(text).unwrap().key
    }

    #[test]
    fn a_listing_is_read() {
        let listing = "# Generated by iptables-nft-save\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [7:420]\n:OUTPUT ACCEPT [0:0]\n:f2b-web - [0:0]\n\
            -A INPUT -p tcp -m tcp --dport 22 -m comment --comment guard -j f2b-web\n-A FORWARD -g f2b-web\n-A f2b-web\nCOMMIT\n# Completed\n";
        let table = Table::parse(listing).unwrap();
        assert_eq!(table.chains.len(), 4);
        let input = &table.chain("INPUT").unwrap().rules[0];
        assert!(input.marked);
        assert_eq!(input.target, Target::Jump("f2b-web".into()));
        let forward = &table.chain("FORWARD").unwrap().rules[0];
        assert_eq!(forward.target, Target::Goto("f2b-web".into()));
        assert!(!forward.marked);
        assert_eq!(table.chain("f2b-web").unwrap().rules[0].target, Target::None);
    }

    #[test]
    fn no_table_is_an_empty_one() {
        for listing in ["", "# Warning: legacy tables present\n"] {
            let table = Table::parse(listing).unwrap();
            assert_eq!(table.chains.len(), 3);
            assert!(table.chains.iter().all(|chain| chain.rules.is_empty()));
        }
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        let check = |listing: &str, wrong: Unreadable| {
            assert_eq!(Table::parse(listing), Err(wrong), "{listing}");
        };
        check("*filter\n:INPUT ACCEPT [0:0]\n", Unreadable::Incomplete);
        check("*filter\nhello\nCOMMIT\n", Unreadable::Line("hello".into()));
        check("*filter\n-A NONE -j DROP\nCOMMIT\n", Unreadable::Line("-A NONE -j DROP".into()));
        check(
            "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j LOG --log-prefix \"x\nCOMMIT\n",
            Unreadable::Line("-A INPUT -j LOG --log-prefix \"x".into()),
        );
        check("# Table `filter' is incompatible, use 'nft' tool.\n", Unreadable::Incompatible);
    }

    #[test]
    fn other_tables_are_passed_over() {
        let table = Table::parse(
            "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j X\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n",
        );
        assert_eq!(table.unwrap().chain("OUTPUT").unwrap().rules.len(), 0);
    }

    #[test]
    fn a_comment_is_a_mark_only_as_a_whole() {
        let marked = |text: &str| Rule::parse(text).unwrap().marked;
        assert!(marked("-m comment --comment guard -j DROP"));
        assert!(marked("-m comment --comment \"guard\" -j DROP"));
        assert!(!marked("-m comment --comment \"guard x\" -j DROP"));
        assert!(!marked("-m comment --comment \"x --comment guard\" -j DROP"));
        assert!(!marked("-j LOG --log-prefix \"-m comment --comment guard\""));
    }

    #[test]
    fn spelling_does_not_matter_and_meaning_does() {
        assert_eq!(
            key_of("-p tcp -m tcp -m comment --comment guard -m conntrack --ctdir REPLY -j DROP"),
            key_of("-p tcp -m conntrack --ctdir REPLY -m comment --comment guard -j DROP")
        );
        assert_eq!(
            key_of("-m comment --comment guard ! -s 10.0.0.0/8 -j DROP"),
            key_of("! -s 10.0.0.0/8 -m comment --comment guard -j DROP")
        );
        assert_ne!(key_of("-s 10.0.0.1/32 -j DROP"), key_of("! -s 10.0.0.1/32 -j DROP"));
        assert_ne!(key_of("-j f2b-web"), key_of("-g f2b-web"));
        assert_ne!(key_of("-p tcp -m tcp --dport 22 -j X"), key_of("-p tcp -j X"));
        assert_ne!(key_of("-j LOG --log-prefix \"a b\""), key_of("-j LOG --log-prefix a b"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\*filter\n)?(:[A-Z]{1,3} - \\[0:0\\]\n)?(-A [A-Z]{1,3} [ -~]{0,40}\n){0,5}(COMMIT\n)?") {
            let _ = Table::parse(&text);
        }
    }
}
