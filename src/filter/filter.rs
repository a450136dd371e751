//! A filter: its regexes, compiled, and what they find in a text.

use super::candidates::Candidates;
use super::dates::DatePattern;
use super::engine::{Bank, Captures, Effort, Engine};
use super::error::RegexError;
use super::fields::{self, Fields, Identity, Layout, Names, Value};
use super::needles::Needles;
use super::prefix::Prefix;
use super::python::Translation;
use super::spec::{FilterSpec, UseDns};
use super::{compile, example};
use crate::model::Network;
use std::sync::Arc;

/// A filter that is ready for lines. Immutable; [`Judge`](super::Judge) has the state.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What a line must match first.
    pref: Option<Pref>,
    fail: Bank,
    /// The groups of each failregex.
    layouts: Vec<Layout>,
    ignore: Bank,
    /// What says that somebody logged in, and the groups of each.
    success: Bank,
    success_layouts: Vec<Layout>,
    names: Names,
    dates: Arc<DatePattern>,
    max_lines: usize,
    use_dns: UseDns,
    /// What syslog would have put before a line, if that is worth a try.
    syslog: Option<String>,
    /// What is asked before anything else, of the line as it came.
    needles: Option<Needles>,
}

/// A prefregex.
#[derive(Clone, Debug)]
struct Pref {
    engine: Engine,
    layout: Layout,
    /// The same the quick way, where it has the usual form.
    prefix: Option<Prefix>,
}

/// What prefregex found.
pub(super) enum PrefGroups<'t> {
    All(Captures<'t>),
    /// The connection's id, and no other group but the content.
    Id(Option<&'t str>),
}

/// A failregex that matched.
pub(super) struct Found<'t> {
    /// Its index in the spec.
    pub(super) regex: usize,
    captures: Captures<'t>,
    /// Whom its own groups name.
    identity: Option<Identity>,
    pref: Option<PrefGroups<'t>>,
}

impl Found<'_> {
    /// Where in the text the match lies.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.captures.range()
    }
}

impl Filter {
    /// Compiles `spec`.
    ///
    /// # Errors
    /// Everything that is wrong, regex by regex, in their order; the first thing in each.
    pub fn new(spec: &FilterSpec) -> Result<Filter, Vec<RegexError>> {
        let parts = compile::parts(spec)?;
        let mut names = Names::default();
        let layouts: Vec<_> =
            parts.fail.engines().iter().map(|engine| Layout::of(engine, &mut names)).collect();
        let success_layouts: Vec<_> =
            parts.success.engines().iter().map(|engine| Layout::of(engine, &mut names)).collect();
        let pref = parts.pref.as_ref().map(|(translation, engine)| Pref {
            engine: engine.clone(),
            layout: Layout::of(engine, &mut names),
            prefix: (translation.irregular.is_none() && spec.max_lines <= 1)
                .then(|| Prefix::of(translation.pattern.text()))
                .flatten(),
        });
        let syslog = spec.daemon.as_deref().and_then(example::syslog_prefix);
        let max_lines = usize::try_from(spec.max_lines.max(1)).unwrap_or(1);
        let needles = needles(&parts, syslog.as_deref().unwrap_or_default());
        let each_alone = max_lines == 1 && !ignores_early(&parts.ignore, &parts.fail);
        let needles = needles.filter(|_| each_alone);
        let fail = if needles.is_some() { parts.fail.for_sifted() } else { parts.fail };
        Ok(Filter {
            pref,
            fail,
            layouts,
            ignore: parts.ignore,
            success: parts.success,
            success_layouts,
            names,
            dates: Arc::new(parts.dates),
            max_lines,
            use_dns: spec.use_dns,
            syslog: syslog.filter(|_| max_lines == 1),
            needles,
        })
    }

    /// How many of the failregexes, and of all regexes, need the backtracking engine.
    pub fn backtracking(&self) -> usize {
        let pref = self.pref.iter().map(|pref| &pref.engine);
        pref.chain(self.fail.engines())
            .chain(self.success.engines())
            .chain(self.ignore.engines())
            .filter(|engine| engine.is_backtracking())
            .count()
    }

    pub(super) fn dates(&self) -> &Arc<DatePattern> {
        &self.dates
    }

    /// How many lines are matched together.
    pub(super) fn max_lines(&self) -> usize {
        self.max_lines
    }

    /// What becomes of names where an address should be.
    pub fn use_dns(&self) -> UseDns {
        self.use_dns
    }

    /// What to put before a line that does not match as it is.
    pub(super) fn syslog(&self) -> Option<&str> {
        self.syslog.as_deref()
    }

    /// The lines of `chunk`, which is whole lines, that may be failures. Where an
    /// ignoreregex may decide, or lines are matched together: all of them.
    pub fn candidates<'f, 'c>(&'f self, chunk: &'c [u8]) -> Candidates<'f, 'c> {
        Candidates::new(self.needles.as_ref(), chunk)
    }

    /// The same filter, but every line is looked at: [`Judge::seen`](super::Judge::seen)
    /// is of each.
    pub fn thorough(&self) -> Filter {
        Filter { needles: None, ..self.clone() }
    }

    /// Quickly: may `line`, with its date cut out or not, be a failure? It must have
    /// neither line ends nor terminal escapes in it.
    pub(super) fn may_match(&self, line: &str) -> bool {
        self.needles.as_ref().is_none_or(|needles| needles.may_match(line))
    }

    /// The first step: is `text`, all lines of which end in `\n`, ignored at once, and
    /// what does prefregex say to it?
    pub(super) fn begin<'t>(&self, text: &'t str, effort: &Effort) -> Begun<'t> {
        if ignores_early(&self.ignore, &self.fail) && self.ignore.is_match(text, effort) {
            return Begun::Ignored;
        }
        let Some(Pref { engine, layout, prefix }) = &self.pref else {
            return Begun::GoOn { content: None, pref: None };
        };
        if let Some(split) = prefix.as_ref().and_then(|prefix| prefix.split(text)) {
            let pref = Some(PrefGroups::Id(split.id));
            return Begun::GoOn { content: Some(split.content), pref };
        }
        match engine.captures(text, effort) {
            None => Begun::Nothing,
            Some(captures) => {
                let content = layout.get(&captures, fields::CONTENT).filter(|c| !c.is_empty());
                Begun::GoOn { content, pref: Some(PrefGroups::All(captures)) }
            }
        }
    }

    /// The second step: searches `text`, which is all of it or the content that
    /// prefregex found, with its `\n`. The first failregex that finds a real address
    /// counts, else the first that matches.
    pub(super) fn search<'t>(
        &self,
        text: &'t str,
        pref: Option<PrefGroups<'t>>,
        effort: &Effort,
    ) -> Option<Found<'t>> {
        let mut unreal = None;
        let found = self.fail.first(text, effort, |regex, captures| {
            let identity = self.own_identity(regex, &captures);
            if let Some(Identity::Unreal(_)) = &identity {
                unreal = unreal.take().or(Some((regex, captures, identity)));
                return None;
            }
            Some((regex, captures, identity))
        });
        let (regex, captures, identity) = found.or(unreal)?;
        Some(Found { regex, captures, identity, pref })
    }

    /// Who logged in, by which successregex, according to `text`, which is what
    /// [`Filter::search`] searches. Only addresses count.
    pub(super) fn success(&self, text: &str, effort: &Effort) -> Option<(usize, Network)> {
        if self.success.is_empty() {
            return None;
        }
        self.success.first(text, effort, |regex, captures| {
            let layout = self.success_layouts.get(regex)?;
            match fields::identity(|group| layout.get(&captures, group))? {
                Identity::Network(network) => Some((regex, network)),
                // Whose word a list is, is not known here.
                Identity::Forwarded(..)
                | Identity::Unreal(_)
                | Identity::Name(_)
                | Identity::Id(_) => None,
            }
        })
    }

    /// Does an ignoreregex match in `text`?
    pub(super) fn ignores(&self, text: &str, effort: &Effort) -> bool {
        !self.ignore.is_empty() && self.ignore.is_match(text, effort)
    }

    /// Whom a failregex's own groups name, if they have a place for an address.
    fn own_identity(&self, regex: usize, captures: &Captures<'_>) -> Option<Identity> {
        let layout = self.layouts.get(regex)?;
        let get = |group| layout.get(captures, group);
        let address =
            [fields::IP4, fields::IP6, fields::FORWARDED].into_iter().any(|g| get(g).is_some());
        address.then(|| fields::identity(get)).flatten()
    }

    /// Is a match of more meaning than whom it names: is it part of a connection, or
    /// marked as no failure?
    pub(super) fn is_part(&self, found: &Found<'_>) -> bool {
        const PARTS: [usize; 3] = [fields::MLFID, fields::NOFAIL, fields::GAINED];
        let pref = self.pref.as_ref().map(|pref| &pref.layout);
        let all = || self.layouts.get(found.regex).into_iter().chain(pref);
        all().any(|layout| layout.is_complex() || PARTS.iter().any(|part| layout.has(*part)))
    }

    /// Whom a match names, by its groups as they are.
    pub(super) fn identity(&self, found: &Found<'_>) -> Option<Identity> {
        found.identity.clone().or_else(|| fields::identity(|group| self.group(found, group)))
    }

    /// What a special group matched, as it is: `alt_…` does not fill it.
    fn group<'t>(&self, found: &Found<'t>, group: usize) -> Option<&'t str> {
        let own = self.layouts.get(found.regex)?.get(&found.captures, group);
        own.or_else(|| match found.pref.as_ref()? {
            PrefGroups::All(captures) => self.pref.as_ref()?.layout.get(captures, group),
            PrefGroups::Id(id) => id.filter(|_| group == fields::MLFID),
        })
    }

    /// The connection that a match ends without a failure of its own, so that it means
    /// nothing where nothing is known of that connection.
    pub(super) fn ends<'t>(&self, found: &Found<'t>) -> Option<&'t str> {
        let pref = self.pref.as_ref().map(|pref| &pref.layout);
        if self.layouts.get(found.regex).into_iter().chain(pref).any(Layout::is_complex) {
            return None;
        }
        let is_set = |group| self.group(found, group).is_some_and(|text| !text.is_empty());
        let ends = is_set(fields::FORGET) && (is_set(fields::NOFAIL) || is_set(fields::GAINED));
        self.group(found, fields::MLFID).filter(|_| ends)
    }

    /// All groups of a match, merged.
    pub(super) fn fields(&self, found: &Found<'_>) -> Fields {
        let mut fields = Fields::default();
        match (&found.pref, &self.pref) {
            (Some(PrefGroups::All(captures)), Some(pref)) => {
                pref.layout.fill(captures, &self.names, &mut fields);
            }
            (Some(PrefGroups::Id(Some(id))), _) => {
                fields.set(fields::MLFID, Some(Value::Text((*id).to_owned())));
            }
            _ => {}
        }
        if let Some(layout) = self.layouts.get(found.regex) {
            layout.fill(&found.captures, &self.names, &mut fields);
        }
        fields
    }

    /// What the `<SKIPLINES>` of a match passed over.
    pub(super) fn skipped(&self, found: &Found<'_>) -> String {
        let Some(engine) = self.fail.engines().get(found.regex) else { return String::new() };
        let number = |n: usize| engine.group(&format!("skiplines{n}"));
        (0..).map_while(number).filter_map(|group| found.captures.get(group)).collect()
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }
}

/// What comes of [`Filter::begin`].
pub(super) enum Begun<'t> {
    /// prefregex did not match.
    Nothing,
    /// An ignoreregex matched.
    Ignored,
    /// The failregexes are to be asked: about what prefregex found, if it cut something
    /// out, else about the whole text.
    GoOn { content: Option<&'t str>, pref: Option<PrefGroups<'t>> },
}

/// May an ignoreregex decide before any failregex is asked?
fn ignores_early(ignore: &Bank, fail: &Bank) -> bool {
    // fail2ban's rule: only where that is the cheaper order.
    !ignore.is_empty() && ignore.len() + 2 < fail.len()
}

fn needles(parts: &compile::Parts, put_before: &str) -> Option<Needles> {
    let gate = |pattern: &Translation| pattern.gate.text().to_owned();
    let all = parts.patterns.iter().chain(&parts.success_patterns);
    let fail: Vec<String> = all.map(gate).collect();
    let of = |patterns: &[String]| Needles::of(patterns.iter().map(String::as_str), put_before);
    of(&fail).or_else(|| of(&[gate(&parts.pref.as_ref()?.0)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::RegexPlace;

    fn spec(fail: &[&str], ignore: &[&str]) -> FilterSpec {
        let own = |regexes: &[&str]| regexes.iter().map(|regex| (*regex).to_owned()).collect();
        FilterSpec { failregex: own(fail), ignoreregex: own(ignore), ..FilterSpec::default() }
    }

    /// Who failed, by which failregex; empty: nobody.
    fn found(filter: &Filter, text: &str) -> String {
        let effort = Effort::default();
        let Some(found) = filter.search(text, None, &effort) else { return String::new() };
        if filter.ignores(text, &effort) {
            return "ignored".to_owned();
        }
        match filter.identity(&found) {
            Some(Identity::Network(network)) => format!("{network} {}", found.regex),
            other => format!("{other:?}"),
        }
    }

    /// `text` is a failure of `network`; empty: of nobody.
    #[track_caller]
    fn check(regex: &str, text: &str, network: &str) {
        let filter = Filter::new(&spec(&[regex], &[])).unwrap();
        let found = found(&filter, &format!("{text}\n"));
        let network = if network.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') {
            format!("{network} 0")
        } else {
            network.to_owned()
        };
        assert_eq!(found, network, "{regex} on {text}");
    }

    #[track_caller]
    fn refuse(regex: &str, place: &str, what: &str, remedy: &str) {
        let errors = Filter::new(&spec(&["x <HOST>", regex], &[])).unwrap_err();
        let error = &errors[0];
        assert_eq!(error.place, RegexPlace::Fail(1));
        assert_eq!(&regex[error.span.clone()], place, "{error:?}");
        assert!(error.what.contains(what), "{error:?}");
        assert!(error.remedy.as_deref().unwrap_or_default().contains(remedy), "{error:?}");
    }

    #[test]
    fn addresses_as_logs_print_them() {
        check("from <HOST>$", "from 192.0.2.1", "192.0.2.1");
        check("from <HOST>$", "from ::ffff:192.0.2.1", "192.0.2.1");
        check("from <HOST>$", "from ::ffff:c000:201", "192.0.2.1");
        check("from <HOST>$", "from 2001:DB8:0:0::1", "2001:db8::1");
        check("from <HOST>:22$", "from [2001:db8::1]:22", "2001:db8::1");
        check(r"from <HOST>:\d+$", "from 2001:db8::1:22", "2001:db8::1");
        check("from <HOST>$", "from fe80::1%eth0", "fe80::1");
        check("from <HOST>%eth0$", "from fe80::1%eth0", "fe80::1");
        check("from <HOST> port", "from fe80::1%eth0.1 port 22", "fe80::1");
        check("from <HOST>$", "from 2001:db8::", "2001:db8::");
        check("from <HOST>$", "from ::1", "::1");
        check(r"from <HOST>\s", "from 192.0.2.1", "192.0.2.1");
        check("<IP4>", "2001:db8::1", "");
        check("<IP6>", "192.0.2.1", "");
        check("(?:<IP4>|<IP6>)", "2001:db8::1", "2001:db8::1");
        check(r"ip=(?P<ip4>\S+)", "ip=192.0.2.7 x", "192.0.2.7");
    }

    #[test]
    fn real_addresses_go_before_what_only_looks_like_one() {
        let unreal = |text: &str| format!("Some(Unreal({text:?}))");
        check("from <HOST>", "from 999.1.1.1", &unreal("999.1.1.1"));
        check("from <HOST>$", "from 010.001.1.1", &unreal("010.001.1.1"));
        check("at <HOST>", "at 21:59:59", &unreal("21:59:59"));
        check("from <HOST>", "from example.com", "");
        let filter = Filter::new(&spec(&["from <HOST>", "by <HOST>"], &[])).unwrap();
        assert_eq!(found(&filter, "from 999.1.1.1 by 192.0.2.1\n"), "192.0.2.1 1");
    }

    #[test]
    fn prefixes() {
        check("from <SUBNET>$", "from 192.0.2.7/24", "192.0.2.0/24");
        check("from <SUBNET>$", "from 192.0.2.7", "192.0.2.7");
        check("from <SUBNET>$", "from 192.0.2.7/16", "192.0.0.0/16");
        check("from <SUBNET>$", "from 192.0.2.7/15", "192.0.2.7");
        check("from <SUBNET>$", "from 192.0.2.7/0", "192.0.2.7");
        check("from <SUBNET>$", "from 192.0.2.7/99", "192.0.2.7");
        check("from <SUBNET>$", "from 192.0.2.7/99999999999", "192.0.2.7");
        check("from <SUBNET>$", "from [2001:db8::7/64]", "2001:db8::/64");
        check("from <SUBNET>$", "from 2001:db8::7/31", "2001:db8::7");
        check("from <SUBNET>$", "from ::ffff:192.0.2.7/120", "192.0.2.0/24");
        check("net <CIDR> of <ADDR>", "net 24 of 192.0.2.7", "192.0.2.0/24");
    }

    #[test]
    fn ignoreregex_is_asked_on_what_matched() {
        let filter = Filter::new(&spec(&["from <HOST>"], &["user=test", "^probe <HOST>"])).unwrap();
        assert_eq!(found(&filter, "user=test from 192.0.2.1\n"), "ignored");
        assert_eq!(found(&filter, "user=test\n"), "");
        assert_eq!(found(&filter, "from 192.0.2.1\n"), "192.0.2.1 0");
    }

    #[test]
    fn one_place_for_the_address() {
        refuse("failed", "failed", "no place for the address", "put <HOST>");
        refuse("by <host>", "<host>", "no place for the address", "capitals");
        refuse("é <HOST> by <HOST>", "<HOST>", "a second place for the address", "each place");
        let errors = Filter::new(&spec(&["é <HOST> by <HOST>"], &[])).unwrap_err();
        assert_eq!(errors[0].span, 13..19, "the second, not the first");
        refuse("<HOST> <IP4>", "<IP4>", "a second place", "each place");
        refuse("<SUBNET>/<CIDR>", "<CIDR>", "a second place", "each place");
        refuse("(?P<a>x)(?P<a>y)<HOST>", "(?P<a>", "a second group", "alt_a_1");
    }

    #[test]
    fn who_may_be_an_identifier_or_a_name() {
        check("session <F-ID/>", "session s-1", "Some(Id(\"s-1\"))");
        check("by <DNS>$", "by a.example", "Some(Name(\"a.example\"))");
        check("by <DNS>$", "by 192.0.2.1", "192.0.2.1");
        check("<F-ID>\\S+</F-ID> by <HOST>", "s-1 by 192.0.2.1", "192.0.2.1");
    }

    #[test]
    fn all_mistakes_at_once() {
        let errors =
            Filter::new(&spec(&["(", "ok <HOST>", "(<HOST>", "<HOST>(?<=a*)"], &["", "a{2,1}"]));
        let places: Vec<_> = errors.unwrap_err().into_iter().map(|error| error.place).collect();
        use RegexPlace::{Fail, Ignore};
        // What only compiling shows comes when all else is right.
        assert_eq!(places, [Fail(0), Fail(2), Ignore(0), Ignore(1)]);
        let errors = Filter::new(&spec(&["ok <HOST>", "<HOST>(?<=a*)"], &[])).unwrap_err();
        assert!(errors[0].what.contains("length is not fixed"), "{errors:?}");
    }

    #[test]
    fn errors_point_through_the_tags() {
        refuse("<HOST> (ab", "(", "unclosed", "");
        refuse("<HOST>é[z-a]", "[z-a", "no range", "");
        refuse("<HOST>(a{999}){999}", "<HOST>(a{999}){999}", "too large", "smaller");
        refuse(&format!("<HOST>{}", "é".repeat(9000)), &"é".repeat(9000 - 8189), "more than", "");
    }
}
