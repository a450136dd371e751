//! What counts where a label says nothing: the label prefix and the defaults
//! that `GUARD_<OPTION>` variables give.

use std::collections::BTreeMap;

use super::build::{EVERYWHERE, recidive_limits};
use super::options::{Given, Options};
use super::table::{LABELS, Label, Reach};
use super::values::{MAX_VALUE, quoted};
use super::{Complaint, Flaw, Severity};
use crate::model::{
    BlockRules, BlockType, JailName, JailRules, Policy, Ports, RECIDIVE_JAIL, ServiceId,
};

/// The label prefix, and defaults for all jails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    prefix: String,
    options: Options,
    /// What the variables say, by option.
    texts: BTreeMap<&'static str, String>,
}

impl Default for Defaults {
    /// Labels begin with `guard.`, nothing is set.
    fn default() -> Self {
        Defaults { prefix: "guard".to_owned(), options: Options::default(), texts: BTreeMap::new() }
    }
}

impl Defaults {
    /// Reads the defaults. `variables` are named without `GUARD_` (`MAXRETRY`);
    /// an empty one counts as not set, because compose passes what its own
    /// environment lacks as empty. What is wrong is left out and complained about.
    pub fn new(prefix: &str, variables: &BTreeMap<String, String>) -> (Defaults, Vec<Complaint>) {
        let mut complaints = Vec::new();
        let mut defaults = Defaults::default();
        match checked_prefix(prefix) {
            Ok(good) => defaults.prefix = good.to_owned(),
            Err(flaw) => complaints.push(of_variable("GUARD_LABEL_PREFIX", prefix, flaw)),
        }
        for (key, value) in variables {
            let name = format!("GUARD_{key}");
            let Some(label) = with_variable(key) else {
                let flaw = Flaw::new(
                    0..value.len(),
                    format!("{} is no variable of a label", quoted(&name)),
                );
                complaints.push(of_variable(&name, value, flaw));
                continue;
            };
            if value.trim().is_empty() {
                continue;
            }
            match read(&mut defaults.options, label, &name, value) {
                Ok(()) => {
                    defaults.texts.insert(label.name, value.trim().to_owned());
                }
                Err(flaws) => {
                    let found = flaws.into_iter().map(|flaw| of_variable(&name, value, flaw));
                    complaints.extend(found);
                }
            }
        }
        (defaults, complaints)
    }

    /// Does the variable `GUARD_<key>` give the default of a label's option?
    pub fn is_default_variable(key: &str) -> bool {
        with_variable(key).is_some()
    }

    /// The keys of all variables that give defaults, such as `MAXRETRY`.
    pub(crate) fn variables() -> Vec<String> {
        let defaults = LABELS.iter().filter(|label| label.reach == Reach::Host);
        defaults.map(Label::variable_key).collect()
    }

    /// The prefix of labels, without the dot.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The rules of the built-in jail for those whom other jails banned: fail2ban's,
    /// and of the defaults those that are not about when to ban, and where.
    pub fn recidive(&self) -> JailRules {
        let options = &self.options;
        JailRules {
            name: JailName::from_lossy(RECIDIVE_JAIL),
            service: ServiceId::BuiltIn,
            limits: recidive_limits(),
            ignore: Vec::new(),
            block: BlockRules {
                chains: EVERYWHERE.into(),
                ports: Ports::All,
                block_type: options.block_type.unwrap_or(BlockType::Reject),
            },
            dry_run: options.dry_run.unwrap_or(false),
            policy: Policy { recidive: true, ..options.policy() },
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// What a variable says of an option.
    pub(super) fn text(&self, option: &str) -> Option<&str> {
        self.texts.get(option).map(String::as_str)
    }
}

fn with_variable(key: &str) -> Option<&'static Label> {
    LABELS.iter().find(|label| label.reach == Reach::Host && label.variable_key() == key)
}

fn read(options: &mut Options, label: &Label, key: &str, value: &str) -> Result<(), Vec<Flaw>> {
    if value.len() > MAX_VALUE {
        return Err(Flaw::new(0..0, format!("the value is longer than {MAX_VALUE} bytes")).into());
    }
    (label.read)(options, Given { key, value }).map_err(|flaws| {
        flaws.into_iter().map(|flaw| flaw.or_mend(|| format!("it takes {}", label.kind))).collect()
    })
}

/// `guard`, or any other words with dots between.
fn checked_prefix(prefix: &str) -> Result<&str, Flaw> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let bare = prefix.trim().trim_end_matches('.');
    let flaw = if bare.is_empty() {
        Flaw::new(0..prefix.len(), "the prefix of labels is empty")
    } else if bare.len() > 100 {
        Flaw::new(0..prefix.len(), "the prefix of labels is longer than 100 bytes")
    } else if !bare.chars().all(good) || bare.starts_with('.') {
        Flaw::new(0..prefix.len(), format!("{} can't begin a label", quoted(bare)))
    } else {
        return Ok(bare);
    };
    Err(flaw.mend("use letters, digits, `.`, `_` and `-`, such as `guard`"))
}

fn of_variable(name: &str, value: &str, flaw: Flaw) -> Complaint {
    Complaint {
        severity: Severity::Error,
        jail: None,
        container: String::new(),
        label: name.to_owned(),
        value: value[..value.floor_char_boundary(MAX_VALUE)].to_owned(),
        span: flaw.span,
        in_key: false,
        what: flaw.what,
        remedy: flaw.remedy,
        notify: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(prefix: &str, variables: &[(&str, &str)]) -> (Defaults, Vec<Complaint>) {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Defaults::new(prefix, &variables)
    }

    #[test]
    fn only_what_limits_or_acts_has_a_variable() {
        let mut with: Vec<String> = LABELS.iter().filter_map(Label::variable).collect();
        with.sort_unstable();
        let names = "BANTIME BANTIME_FACTOR BANTIME_INCREMENT BANTIME_MAXTIME BANTIME_MULTIPLIERS BANTIME_OVERALLJAILS \
             BANTIME_RNDTIME BLOCKTYPE CHAIN DRYRUN FINDTIME LOGENCODING LOGTIMEZONE MAXRETRY PORT PREFIX_V4 \
             PREFIX_V6 PROTOCOL USEDNS";
        assert_eq!(with, names.split(' ').map(|name| format!("GUARD_{name}")).collect::<Vec<_>>());
        assert!(Defaults::is_default_variable("MAXRETRY"));
        for other in ["maxretry", "GUARD_MAXRETRY", "IGNOREIP", "FAILREGEX", "LOG", "ENABLE", ""] {
            assert!(!Defaults::is_default_variable(other), "{other}");
        }
    }

    #[test]
    fn all_mistakes_at_once() {
        let (read, complaints) = defaults(
            "my guard",
            &[("MAXRETRY", "five"), ("BANTIME", "1dw"), ("FINDTIME", ""), ("PORT", "80,htp")],
        );
        assert_eq!(read, Defaults::default());
        let lines: Vec<String> = complaints.iter().map(Complaint::one_line).collect();
        assert_eq!(
            lines,
            [
                "variable GUARD_LABEL_PREFIX:1:1: `my guard` can't begin a label; use letters, digits, `.`, `_` and `-`, such as `guard`",
                "variable GUARD_BANTIME:1:2: `dw` is no unit of time; the units are `s`, `m`, `h`, `d`, `w`, `mo` and `y`",
                "variable GUARD_MAXRETRY:1:1: `five` is no whole number; it takes a whole number from 1 to 10000",
                "variable GUARD_PORT:1:4: `htp` is no port that guard knows by name; did you mean `http`? Otherwise write the number",
            ]
        );
    }

    #[test]
    fn prefixes() {
        let prefix = |text: &str| defaults(text, &[]).0.prefix().to_owned();
        assert_eq!(prefix("com.example.guard."), "com.example.guard");
        assert_eq!(prefix(" f2b "), "f2b");
        for bad in ["", ".", ".x", "a b", "gu*rd", &"x".repeat(101)] {
            assert_eq!(defaults(bad, &[]).1.len(), 1, "{bad}");
        }
    }
}
