//! `(…)` in all its forms, as Python reads them.

use super::{ANYTHING, Fault, Group, NOTHING, Translator};

/// A group that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// Is `(?x)` on in it?
    pub(super) verbose: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Its text is not in the gate.
    LookAround,
    /// Was its `|` seen?
    Conditional(bool),
}

impl Open {
    pub(super) fn plain(verbose: bool) -> Open {
        Open { verbose, kind: Kind::Plain }
    }
}

/// What is a look-around: how it begins after `(?`.
const LOOK_AROUND: [&str; 4] = ["<=", "<!", "=", "!"];

impl<'p> Translator<'p> {
    /// An opening parenthesis with all that belongs to it.
    pub(super) fn open_group(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        if let Some((flags, len)) = scoped_flags(rest) {
            return self.flags(flags, len, ':');
        }
        let Some(extension) = rest.strip_prefix("(?") else {
            self.enter(Kind::Plain);
            self.write_both("(", "(?:", 1);
            return Ok(());
        };
        if let Some(start) = LOOK_AROUND.iter().find(|start| extension.starts_with(**start)) {
            self.enter(Kind::LookAround);
            self.write_irregular(&format!("(?{start}"), NOTHING, 2 + start.len());
            self.ungated += 1;
            self.around.push_str("(?:");
            return Ok(());
        }
        match extension.as_bytes().first() {
            Some(b'#') => self.comment(),
            Some(b'(') => self.conditional(),
            Some(b':') => {
                self.enter(Kind::Plain);
                self.copy(3);
                Ok(())
            }
            Some(b'>') => {
                self.enter(Kind::Plain);
                self.write_irregular("(?>", "(?:", 3);
                Ok(())
            }
            Some(b'P') if extension.starts_with("P=") => self.reference(&extension[2..]),
            Some(b'P') if extension.starts_with("P<") => self.named(&extension[2..]),
            Some(b'<') => self.named(&extension[1..]),
            _ => match extension.find([':', ')']) {
                Some(end) => {
                    let after = if extension[end..].starts_with(':') { ':' } else { ')' };
                    self.flags(&extension[..end], 2 + end + 1, after)
                }
                None => Err(self.fault(rest.len().min(2), "a group without its `)`", None)),
            },
        }
    }

    fn enter(&mut self, kind: Kind) {
        let verbose = self.is_verbose();
        self.open.push(Open { verbose, kind });
    }

    pub(super) fn close_group(&mut self) {
        if self.open.len() == 1 {
            // One too many; whoever parses the result says so.
            return self.copy(1);
        }
        match self.open.pop().map(|open| open.kind) {
            Some(Kind::LookAround) => {
                self.ungated -= 1;
                self.around.push(')');
                self.write_both(")", "", 1);
            }
            // A conditional without its second half may match nothing.
            Some(Kind::Conditional(false)) => self.write_both(")", "|)", 1),
            Some(Kind::Plain | Kind::Conditional(true)) | None => self.copy(1),
        }
    }

    pub(super) fn alternative(&mut self) -> Result<(), Fault> {
        if let Some(Open { kind: Kind::Conditional(seen), .. }) = self.open.last_mut() {
            if *seen {
                let remedy = "put parentheses around the alternatives".to_owned();
                return Err(self.fault(1, "a conditional has but two halves", Some(remedy)));
            }
            *seen = true;
        }
        self.copy(1);
        Ok(())
    }

    fn comment(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let Some(end) = rest.find(')') else {
            return Err(self.fault(rest.len(), "a comment `(?#` without its `)`", None));
        };
        self.at += end + 1;
        Ok(())
    }

    /// `(?(name)yes|no)` or `(?(1)yes|no)`.
    fn conditional(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let Some(end) = rest.find(')') else {
            return Err(self.fault(3, "a conditional without its `)`", None));
        };
        let (group, len) = (&rest[3..end], end + 1);
        let exact = if !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()) {
            self.known(group.parse().unwrap_or(usize::MAX), group, len)?;
            format!("(?({group})")
        } else {
            self.known_name(group, len)?;
            format!("(?(<{group}>)")
        };
        self.enter(Kind::Conditional(false));
        self.write_irregular(&exact, "(?:", len);
        Ok(())
    }

    /// `(?P=name)`, with `name` and all after it given.
    fn reference(&mut self, name: &'p str) -> Result<(), Fault> {
        let Some(end) = name.find(')') else {
            return Err(self.fault(4, "a back-reference without its `)`", None));
        };
        let (name, len) = (&name[..end], 4 + end + 1);
        self.known_name(name, len)?;
        self.write_irregular(&format!("(?P={name})"), ANYTHING, len);
        Ok(())
    }

    fn known_name(&self, name: &str, len: usize) -> Result<(), Fault> {
        if self.groups.iter().any(|group| group.name == name) {
            return Ok(());
        }
        Err(self.fault(len, format!("there is no group `{name}` before this"), None))
    }

    fn known(&self, number: usize, shown: &str, len: usize) -> Result<(), Fault> {
        if (1..=100).contains(&number) {
            return Ok(());
        }
        Err(self.fault(len, format!("there is no group {shown}"), None))
    }

    /// `(?P<name>`, with `name` and all after it given.
    fn named(&mut self, name: &'p str) -> Result<(), Fault> {
        let start = self.rest().len() - name.len();
        let Some(end) = name.find('>') else {
            return Err(self.fault(start, "a group's name without its `>`", None));
        };
        let name = &name[..end];
        let identifier = |c: char| c.is_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(char::is_numeric) || !name.chars().all(identifier) {
            let what = format!("`{name}` can't be a group's name");
            let remedy = "use letters, digits and `_`, not beginning with a digit".to_owned();
            return Err(self.fault(start + end + 1, what, Some(remedy)));
        }
        self.groups.push(Group { name: name.to_owned(), span: self.span(start + end + 1) });
        self.enter(Kind::Plain);
        self.write_both(&format!("(?P<{name}>"), "(?:", start + end + 1);
        Ok(())
    }

    /// Flags of a group (`after` is `:`) or of the whole pattern (`)`), `len` bytes in all.
    fn flags(&mut self, flags: &str, len: usize, after: char) -> Result<(), Fault> {
        let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
        let known = |flags: &str, known: &str| flags.chars().all(|flag| known.contains(flag));
        if flags.is_empty() || !known(on, "aiLmsux") || !known(off, "imsx") || flags.ends_with('-')
        {
            let what = format!("`(?{flags}` is no group and no flag that Python knows");
            return Err(self.fault(len, what, None));
        }
        let whole = after == ')';
        if whole && (self.out.text().len() > self.head || self.open.len() > 1) {
            let what = format!("flags `(?{flags})` for the whole pattern must stand at its start");
            let remedy = format!("for a part of it, write `(?{flags}:…)`");
            return Err(self.fault(len, what, Some(remedy)));
        }
        let verbose = !off.contains('x') && (on.contains('x') || self.is_verbose());
        match self.open.first_mut() {
            Some(first) if whole => first.verbose = verbose,
            _ => self.open.push(Open::plain(verbose)),
        }
        let (on, off) = (kept(on), kept(off));
        let dash = if off.is_empty() { "" } else { "-" };
        if whole && on.is_empty() {
            self.at += len;
        } else {
            self.write(&format!("(?{on}{dash}{off}{after}"), len);
        }
        if whole {
            self.head = self.out.text().len();
        }
        Ok(())
    }
}

/// The flags that mean the same here, each once.
fn kept(flags: &str) -> String {
    "ims".chars().filter(|flag| flags.contains(*flag)).collect()
}

/// `((?i)x)` and `(?:(?i)x)`, which fail2ban reads as `(?i:x)`: the flags, and the
/// length of all before `x`.
fn scoped_flags(rest: &str) -> Option<(&str, usize)> {
    let inner = rest.strip_prefix("(?:").or_else(|| rest.strip_prefix('('))?;
    let flags = inner.strip_prefix("(?")?;
    let end = flags.find(|c: char| !c.is_ascii_alphabetic())?;
    let len = rest.len() - flags.len() + end + 1;
    (end > 0 && flags[end..].starts_with(')')).then(|| (&flags[..end], len))
}
