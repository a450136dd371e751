//! The scanner and the default templates as a list, which is the slower reference.

use super::*;

/// What the list finds.
fn reference(line: &str) -> Option<Stamp> {
    let pattern = DatePattern(Shapes::List(compile::STANDARD.clone()));
    Detector::new(Arc::new(pattern)).find(line)
}

/// Dates that both read alike: no names written out, no fraction of more than nine
/// digits, no zone that is none.
fn date() -> impl Strategy<Value = String> {
    const FORMS: &[&str] = &[
        "%Y-%m-%dT%H:%M:%S",
        "%Y/%m/%d  %H:%M:%S,250 +0200",
        "%Y.%m.%d %H:%M:%S.5Z",
        "%Y-%m-%dT%H:%M:%S.123456789Z",
        "%b %e %H:%M:%S",
        "%a %b %d %H:%M:%S.5 %Y",
        "%a %b %d %Y %H:%M:%S",
        "%d/%m/%Y %H:%M:%S",
        "%d-%m-%y %H:%M:%S",
        "%e/%b/%Y:%H:%M:%S",
        "%d/%b/%Y:%H:%M:%S +0000",
        "%d-%b-%Y %H:%M:%S.25 +0130",
        "%m/%d/%Y:%H:%M:%S",
        "%s",
        "[%s.250]",
        "audit(%s.250:77)",
        "%H:%M:%S",
        "<%m/%d/%y@%H:%M:%S>",
        "%y%m%d %H:%M:%S",
        "%b %e, %Y %I:%M:%S %p",
        "%b-%d-%y %H:%M:%S",
        "%Y%m%dT%H%M%S",
        "%Y%m%d-%H:%M:%S",
        "%Y%m%d %H%M%S.5Z",
        "PDT %b %d %H:%M:%S",
        "+01:00 %b %d %H:%M:%S",
    ];
    (prop::sample::select(FORMS), 946_684_800i64..2_000_000_000).prop_map(|(form, second)| {
        Timestamp::from_second(second).unwrap().strftime(form).to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn on_dates_in_noise(
        before in "|[\\[(<]|[ \\[]{3}|[a-z]{1,5}[ =:\\[]|é|→|[a-z ]{150}[ \\[]",
        date in date(),
        // Letters that no hardware address has: `00:00:00:a` is one to the scanner alone.
        after in r"|[\]), :é]{1,3}[g-z]{0,5}",
    ) {
        let line = format!("{before}{date}{after}");
        prop_assert_eq!(Detector::default().find(&line), reference(&line), "{:?}", line);
    }

    #[test]
    fn on_text(line in "[a-z0-9 .:/-]{0,60}") {
        // Several ways to read a date are another matter.
        let (scanned, listed) = (Detector::default().find(&line), reference(&line));
        prop_assert_eq!(scanned.map(|s| s.start), listed.map(|s| s.start), "{:?}", line);
    }

    #[test]
    fn skipping_changes_nothing(
        pieces in prop::collection::vec(
            prop_oneof![
                "[a-z ]{0,90}", "[0-9.:]{1,12}", "[é→]{1,40}", "2[0-9]{3}-[01]", "audit\\(17", date(),
            ],
            0..12,
        )
    ) {
        let line = pieces.concat();
        prop_assert_eq!(
            Detector::default().find(&line),
            scan::Scanner::default().find_slowly(&line),
            "{:?}", line
        );
    }

    #[test]
    fn any_list_cuts_between_characters(
        line in r"([0-9:./T@<>\[\], +-]|20[0-9]{2}-|May |audit\(|é|→|Z){0,40}",
        next in any::<String>(),
    ) {
        const LIST: &str = "{UNB}%H(é|→)?\n**{LEPOCH}**\n(\\W*)%Y\n%y(?=.)**\n\\[{DATE}\n{DEFAULT}";
        static PATTERN: std::sync::LazyLock<Arc<DatePattern>> =
            std::sync::LazyLock::new(|| Arc::new(DatePattern::compile(LIST).unwrap()));
        let mut detector = Detector::new(Arc::clone(&PATTERN));
        for line in [&line, &next, &line, &format!("é{line}"), &line] {
            if let Some(stamp) = detector.find(line) {
                prop_assert!(!line[stamp.cut()].is_empty());
                let _ = moment(stamp.when, NOW);
            }
        }
    }

    #[test]
    fn any_pattern_is_compiled_or_refused_at_its_place(
        pattern in r"(%[a-zA-Z%]|%Ex[a-z]|\{(UNB|DATE|\^LN-BEG|L?EPOCH)\}|\*\*|[()\[\]?\\^$|é\n]|\(\?[<P!=]|x){0,12}",
        line in any::<String>(),
    ) {
        match DatePattern::compile(&pattern) {
            Ok(compiled) => {
                let _ = Detector::new(Arc::new(compiled)).find(&line);
            }
            Err(fault) => prop_assert!(pattern.get(fault.span.clone()).is_some(), "{:?}", fault),
        }
    }
}

/// Lines that repeat what a template begins with, as long as lines get.
#[test]
fn hostile_lines_take_no_longer_than_others() {
    let list = "{^LN-BEG}\n%Y-%m-%d\\s*%z\n(?:x|%H)+y%M\n{DATE} *!";
    let pattern = Arc::new(DatePattern::compile(list).unwrap());
    for piece in ["2024-05-06 07:08: ", "1:2 ", "Mon May 6 07:08: 2", " ", "é1:", "+01:00 ", "@4a"]
    {
        let line = piece.repeat(crate::model::MAX_LINE / piece.len());
        assert_eq!(Detector::default().find(&format!("x{line}")), None, "{piece}");
        assert_eq!(Detector::new(Arc::clone(&pattern)).find(&format!("x{line}")), None, "{piece}");
    }
}

/// At the start of the line the scanner stands in for the list of `{^LN-BEG}`.
#[test]
fn the_start_of_the_line_is_the_scanners_too() {
    let list = || {
        let mut templates = Vec::new();
        add(&mut templates, "{^LN-BEG}", 0..9).unwrap();
        Detector::new(Arc::new(DatePattern(Shapes::List(templates))))
    };
    let quick = || Detector::new(Arc::new(DatePattern::compile("{^LN-BEG}").unwrap()));
    // More than nine digits of a fraction only the scanner reads.
    let alike = |date: &&str| !date.contains("123456789123") && !date.starts_with("Monday");
    for date in SHAPES.iter().map(|(date, _)| *date).filter(alike) {
        for before in ["", "[", "[ ", "<", " [", "x ", "[[[", "é ", "a", "12 ", "- "] {
            for after in ["", "] x", " host app[1]: x", ": x"] {
                let line = format!("{before}{date}{after}");
                let (one, other) = (quick().find(&line), list().find(&line));
                let cut = |stamp: Option<Stamp>| stamp.map(|stamp| line[stamp.cut()].to_owned());
                assert_eq!(cut(one), cut(other), "{line:?}");
            }
        }
    }
}
