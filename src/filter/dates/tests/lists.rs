//! Several templates at once: `{DATE}`, `{^LN-BEG}`, lists, and which one counts.

use super::*;

/// What one detector cuts out of each line, in turn.
#[track_caller]
fn cuts(pattern: &str, lines: &[(&str, &str)]) {
    let pattern = DatePattern::compile(pattern).unwrap_or_else(|fault| panic!("{fault:?}"));
    let mut detector = Detector::new(Arc::new(pattern));
    for (number, (line, cut)) in lines.iter().enumerate() {
        let found = detector.find(line).map_or("", |stamp| &line[stamp.cut()]);
        assert_eq!(found, *cut, "line {number}: {line:?}");
    }
}

#[test]
fn any_default_at_the_start() {
    for (date, expected) in SHAPES.iter().filter(|(date, _)| !date.starts_with('@')) {
        let mut detector = Detector::new(Arc::new(DatePattern::compile("{^LN-BEG}").unwrap()));
        if date.contains("123456789123") || date.starts_with("Monday") {
            continue;
        }
        let line = format!("[{date}] x");
        let stamp = detector.find(&line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(&line[stamp.cut()], *date);
        assert_eq!(moment(stamp.when, NOW).as_deref(), Some(*expected), "{line}");
        let found = detector.find(&format!("at {date} x"));
        assert_eq!(found, None, "{date}");
    }
}

#[test]
fn any_default_within_a_pattern() {
    for pattern in [r"^[^\[]*\[({DATE})", r"^[^\[]*\[({date})", r"(?<=\[){DATE}(?=\])"] {
        for (date, expected) in SHAPES {
            if date.contains("123456789123") || date.starts_with(['M', '@']) && date.len() > 22 {
                continue;
            }
            let line = format!("é 2001-01-01 01:01:01 [{date}] x");
            let pattern = DatePattern::compile(pattern).unwrap();
            let stamp = Detector::new(Arc::new(pattern)).find(&line).expect(&line);
            assert_eq!(&line[stamp.cut()], *date);
            assert_eq!(moment(stamp.when, NOW).as_deref(), Some(*expected), "{line}");
        }
    }
    cuts("^{DATE}", &[("1714979289 x", "1714979289"), (" 2024-05-06 07:08:09", "")]);
    cuts("{DATE}", &[("x 2024-05-06 07:08:09", "2024-05-06 07:08:09")]);
    // Of no use there in fail2ban either.
    cuts("; {DATE}", &[("; @400000006638800900000000", ""), ("; 1714979289", "")]);
    cuts("\\{DATE\\}%Y", &[("{DATE}2024", "{DATE}2024")]);
}

#[test]
fn the_first_that_is_fixed_to_the_start_counts() {
    let list = "{^LN-BEG}Epoch\n^[^\\[]*\\[({DATE})\n{^LN-BEG}";
    cuts(
        list,
        &[
            ("1714979289 [2024-05-06 07:08:09]", "1714979289"),
            ("2024-05-06 07:08:09 [2023-05-06 07:08:09]", "2023-05-06 07:08:09"),
            ("2024-05-06 07:08:09 x", "2024-05-06 07:08:09"),
            // The last winner is fixed to the start and so comes first now.
            ("2024-05-06 07:08:09 [2023-05-06 07:08:09]", "2024-05-06 07:08:09"),
        ],
    );
}

#[test]
fn the_leftmost_counts_among_others() {
    let list = "%H:%M:%S\n%Y-%m-%d\nx%d/%m";
    cuts(list, &[("a 2024-05-06 at 07:08:09", "2024-05-06")]);
    cuts(list, &[("a 07:08:09 on 2024-05-06", "07:08:09")]);
    // The first template that is not right of where the last date was.
    cuts(list, &[("07:08:09 2024-05-06", "07:08:09"), ("a 2024-05-06 07:08:09", "2024-05-06")]);
}

#[test]
fn what_was_last_is_looked_for_in_its_place() {
    cuts(
        "%d/%m/%Y\n%m/%d/%Y",
        &[
            ("on 01/27/2024.", "01/27/2024"),
            // Both fit, at the same place: as before.
            ("on 02/03/2024.", "02/03/2024"),
            // Another before it is better, by its column.
            ("02/03/2024 02/03/2024.", "02/03/2024"),
        ],
    );
    let read = |lines: &[&str]| {
        let pattern = DatePattern::compile("%d/%m/%Y\n%m/%d/%Y").unwrap();
        let mut detector = Detector::new(Arc::new(pattern));
        let last = lines.iter().map(|line| detector.find(line)).last().flatten();
        last.and_then(|stamp| moment(stamp.when, NOW)).unwrap()
    };
    // Of two right of the first column the last one of the list.
    assert_eq!(read(&["on 02/03/2024."]), "2024-02-02T23:00:00Z");
    assert_eq!(read(&["02/03/2024."]), "2024-03-01T23:00:00Z");
    assert_eq!(read(&["on 01/27/2024.", "on 02/03/2024."]), "2024-02-02T23:00:00Z");
    assert_eq!(read(&["on 01/27/2024.", "on;02/03/2024."]), "2024-02-02T23:00:00Z");
    assert_eq!(read(&["on 01/27/2024.", "é→ 02/03/2024."]), "2024-02-02T23:00:00Z");
    assert_eq!(read(&["on 01/27/2024.", "a 02/03/2024."]), "2024-03-01T23:00:00Z");
}

#[test]
fn one_template_follows_its_date() {
    let dates = ["01:02:03", "01:02:3", "01:2:3", "1:2:3", "01:2:3", "01:02:3", "01:02:03"];
    for pattern in ["%H:%M:%S", "{UNB}%H:%M:%S", "%H:%M:%S\n;%M"] {
        let mut detector = Detector::new(Arc::new(DatePattern::compile(pattern).unwrap()));
        for before in ["", " ", "   ", "at ", "at    ", "é →", ""] {
            for date in dates {
                let line = format!("{before}{date} x");
                let stamp = detector.find(&line).unwrap_or_else(|| panic!("{pattern}: {line}"));
                assert_eq!(&line[stamp.cut()], date, "{pattern}: {line}");
                let expected = Some("2024-06-14T23:02:03Z");
                assert_eq!(moment(stamp.when, NOW).as_deref(), expected, "{pattern}: {line}");
            }
        }
    }
}

#[test]
fn the_default_follows_a_change_of_shape() {
    let listed = DatePattern(Shapes::List(compile::STANDARD.clone()));
    for pattern in [DatePattern::standard(), listed] {
        let mut detector = Detector::new(Arc::new(pattern));
        let shapes = ["2024/02/03 04:05:06", "03/02/2024 04:05:06", "Feb  3 04:05:06"];
        for shape in [0, 1, 1, 1, 1, 1, 1, 1, 0, 2, 2, 1, 0, 0, 2] {
            let line = format!("{} [error] 42#0", shapes[shape]);
            let stamp = detector.find(&line).unwrap();
            assert_eq!(&line[stamp.cut()], shapes[shape]);
            assert_eq!(moment(stamp.when, NOW).as_deref(), Some("2024-02-03T03:05:06Z"), "{line}");
        }
    }
}

#[test]
fn a_date_typed_by_a_user_does_not_win() {
    let lines = [
        ("2024-05-06 07:08:09 login", "2024-05-06 07:08:09"),
        ("2024-05-06 07:08:09 user '01/02/2024 01:02:03'", "2024-05-06 07:08:09"),
        ("2024-05-06 07:08:09 user '2023-05-06 07:08:09'", "2024-05-06 07:08:09"),
    ];
    cuts("%d/%m/%Y %X\n%Y-%m-%d %X\n;%H:%M", &lines);
    cuts("%Y-%m-%d %X\n%d/%m/%Y %X", &lines);
}

#[test]
fn what_is_used_more_moves_up() {
    // All begin at one place: which is tried first shows which is ahead.
    let list = "a%H:%M\n.%H:%M\na%H:%M:(?:)\n.%H:%M:";
    let pattern = DatePattern::compile(list).unwrap();
    let mut detector = Detector::new(Arc::new(pattern));
    let mut cut = |line: &'static str| detector.find(line).map(|stamp| &line[stamp.cut()]);
    assert_eq!(cut("b01:02"), Some("b01:02"), "by the second template");
    assert_eq!(cut("a01:02:"), Some("a01:02"), "which is the first now");
}

#[test]
fn the_default_by_its_name_is_the_default() {
    let pattern = DatePattern::compile(" {Default}\n").unwrap();
    assert!(matches!(pattern.0, Shapes::Standard));
    cuts("{NONE}\n{DEFAULT}", &[("2024-05-06 07:08:09", "")]);
    cuts("x%H\n{DEFAULT}", &[("2024-05-06 07:08:09", "2024-05-06 07:08:09"), ("x07", "x07")]);
    cuts("{^LN-BEG}\n{DEFAULT}\n{DATE}\n%Y", &[("x 2024", "2024")]);
    assert!(DatePattern::compile("{^LN-BEG}\n{^LN-BEG}Epoch").is_err(), "it is there already");
}
