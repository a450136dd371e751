//! What syslog would have written before a daemon's line.
//!
//! A daemon in a container prints its lines bare: `Failed password for root from …`.
//! Filters for syslog expect `host sshd[1]: ` before that.

use regex_syntax::hir::{Class, ClassUnicodeRange, Hir, HirKind};

use super::pattern::Pattern;
use super::python::{Lines, translate};

/// Longer names are no daemon's.
const LONGEST: usize = 64;

/// What syslog puts before the lines of `daemon`, which is a regex for its name; `None`
/// if that can't be told.
pub(super) fn syslog_prefix(daemon: &str) -> Option<String> {
    let mut pattern = Pattern::empty(daemon.len());
    pattern.push_user(daemon, 0);
    let pattern = translate(&pattern, Lines::One).ok()?.gate;
    let hir = regex_syntax::Parser::new().parse(pattern.text()).ok()?;
    let mut name = String::new();
    append(&hir, &mut name)?;
    // A regex that any name matches says nothing.
    let word = name.bytes().all(|byte| byte.is_ascii_graphic());
    (word && !name.is_empty()).then(|| format!(" host {name}[1]: "))
}

/// Adds a short text that `hir` matches.
fn append(hir: &Hir, out: &mut String) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(Class::Unicode(class)) => {
            let letter = ('a'..='z')
                .chain('0'..='9')
                .find(|char| class.ranges().iter().any(|r| (r.start()..=r.end()).contains(char)));
            let first = class.ranges().first().map(ClassUnicodeRange::start);
            out.push(letter.or(first)?);
        }
        HirKind::Class(Class::Bytes(_)) => return None,
        HirKind::Repetition(repetition) => {
            for _ in 0..repetition.min {
                let before = out.len();
                append(&repetition.sub, out)?;
                // Nothing, however often: `(?:a*){4000000000}`.
                if out.len() == before {
                    break;
                }
                if out.len() > LONGEST {
                    return None;
                }
            }
        }
        HirKind::Capture(capture) => append(&capture.sub, out)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| append(part, out))?,
        HirKind::Alternation(choices) => append(choices.first()?, out)?,
    }
    (out.len() <= LONGEST).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_that_fits() {
        let check = |daemon: &str, prefix: Option<&str>| {
            assert_eq!(syslog_prefix(daemon).as_deref(), prefix, "{daemon}");
        };
        check("sshd", Some(" host sshd[1]: "));
        check("sshd(?:-session)?", Some(" host sshd[1]: "));
        check("(?:named|bind)", Some(" host named[1]: "));
        check(r"postfix(-\w+)?/\w+(?:/smtp[ds])?", Some(" host postfix/a[1]: "));
        check("(?i)sshd", Some(" host sshd[1]: "));
        check(r"\S*", None);
        check(".{1000}", None);
        check("a b", None);
        check("(", None);
    }
}
