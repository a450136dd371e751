//! prefregex the quick way.
//!
//! Nearly all prefregexes are `^PREFIX<F-CONTENT>.+</F-CONTENT>$`, often with the
//! connection's id around PREFIX's first part. Whatever of the line PREFIX leaves is
//! the content then, so that one search of the short PREFIX by an automaton takes the
//! place of a search of the whole with its groups.

use regex::Regex;
use regex_syntax::hir::{Capture, Hir, HirKind, Look, Repetition};

use super::engine::SIZE_LIMIT;

/// A prefregex of that form.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    /// `<F-MLFID>…</F-MLFID>`, where there is one.
    id: Option<Regex>,
    /// What comes between that and the content.
    rest: Regex,
}

/// What it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split<'t> {
    pub(super) id: Option<&'t str>,
    /// With the line's end.
    pub(super) content: &'t str,
}

impl Prefix {
    /// The quick way for a linear prefregex, for texts of one line; `None` if it has
    /// another form.
    pub(super) fn of(pattern: &str) -> Option<Prefix> {
        let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
        let HirKind::Concat(parts) = hir.kind() else { return None };
        let [start, prefix @ .., content, end] = parts.as_slice() else { return None };
        let is_line = matches!(start.kind(), HirKind::Look(Look::Start))
            && matches!(end.kind(), HirKind::Look(Look::EndLF))
            && is_content(content);
        if !is_line {
            return None;
        }
        let (id, rest) = match prefix {
            [first, rest @ ..] if is_group(first, "mlfid").is_some() => {
                // What can be nothing never makes the id's part any shorter.
                let optional = rest.iter().all(|part| part.properties().minimum_len() == Some(0));
                (is_group(first, "mlfid").filter(|_| optional).map(Some)?, rest)
            }
            all => (None, all),
        };
        let has_groups = |hir: &Hir| hir.properties().explicit_captures_len() > 0;
        if id.is_some_and(has_groups) || rest.iter().any(has_groups) {
            return None;
        }
        let id = match id {
            Some(id) => Some(compiled(id.clone())?),
            None => None,
        };
        Some(Prefix { id, rest: compiled(Hir::concat(rest.to_vec()))? })
    }

    /// What it makes of `text`, one line with its end. `None`: ask the whole regex.
    pub(super) fn split<'t>(&self, text: &'t str) -> Option<Split<'t>> {
        let id_end = match &self.id {
            Some(id) => id.find(text)?.end(),
            None => 0,
        };
        let content = &text[id_end + self.rest.find(&text[id_end..])?.end()..];
        // The content is one character at the least. If the preferred prefix leaves none,
        // a shorter one may.
        (content.len() > 1)
            .then(|| Split { id: self.id.is_some().then(|| &text[..id_end]), content })
    }
}

/// `hir` at the very start of a text.
fn compiled(hir: Hir) -> Option<Regex> {
    let anchored = Hir::concat(vec![Hir::look(Look::Start), hir]);
    regex::RegexBuilder::new(&anchored.to_string()).size_limit(SIZE_LIMIT).build().ok()
}

fn is_group<'h>(hir: &'h Hir, name: &str) -> Option<&'h Hir> {
    match hir.kind() {
        HirKind::Capture(Capture { name: Some(group), sub, .. }) if **group == *name => Some(sub),
        _ => None,
    }
}

/// `(?P<content>.+)`
fn is_content(hir: &Hir) -> bool {
    let Some(sub) = is_group(hir, "content") else { return false };
    let HirKind::Repetition(Repetition { min: 1, max: None, sub, .. }) = sub.kind() else {
        return false;
    };
    *sub.kind() == *Hir::dot(regex_syntax::hir::Dot::AnyCharExceptLF).kind()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SSHD: &str = r"^(?P<mlfid>\s*(?:\S+\s+)?(?:sshd(?:\[\d+\])?:\s+)?)(?:(?:error|fatal): (?:PAM: )?)?(?P<content>.+)(?m:$)";
    const POSTFIX: &str =
        r"^\s*(?:\S+ )?postfix/\w+(?:\[\d+\])?: (?:warning: )?(?P<content>.+)(?m:$)";

    /// The quick way says what the regex itself says.
    #[track_caller]
    fn check(pattern: &str, text: &str) {
        let prefix = Prefix::of(pattern).unwrap();
        let whole = Regex::new(pattern).unwrap();
        let text = format!("{text}\n");
        let Some(split) = prefix.split(&text) else { return };
        let captures = whole.captures(&text).unwrap_or_else(|| panic!("{text:?}"));
        let group = |name: &str| captures.name(name).map(|found| found.as_str());
        assert_eq!(split.content.strip_suffix('\n'), group("content"), "{text:?}");
        assert_eq!(split.id, group("mlfid"), "{text:?}");
    }

    #[test]
    fn it_splits_as_the_whole_regex_does() {
        for text in [
            " host sshd[7]: error: PAM: x from y",
            " host sshd[7]: x",
            "sshd[7]: ",
            "sshd: error: ",
            "",
            " ",
            "x",
            "x ",
            "a b postfix/smtpd[1]: warning: x",
            "postfix/smtpd[1]: ",
        ] {
            check(SSHD, text);
            check(POSTFIX, text);
        }
        let split = Prefix::of(SSHD).unwrap();
        let split = split.split(" host sshd[7]: error: x\n").unwrap();
        assert_eq!((split.id, split.content), (Some(" host sshd[7]: "), "x\n"));
    }

    #[test]
    fn other_forms_are_left_to_the_regex() {
        for other in [
            r"^a(?P<content>.+)",
            r"a(?P<content>.+)(?m:$)",
            r"^a(?P<content>.*)(?m:$)",
            r"^(?P<user>a)(?P<content>.+)(?m:$)",
            r"^(?P<mlfid>a*)b(?P<content>.+)(?m:$)",
            r"^a(?P<content>(?s:.)+)(?m:$)",
            r"^a|b(?P<content>.+)(?m:$)",
        ] {
            assert!(Prefix::of(other).is_none(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn it_never_differs(text in r"( |host|sshd|\[7\]|: |error: |PAM: |postfix/smtpd|x|é|\t){0,9}") {
            check(SSHD, &text);
            check(POSTFIX, &text);
        }
    }
}
