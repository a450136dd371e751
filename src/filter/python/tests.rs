use super::*;
use proptest::prelude::*;

/// `python` becomes `rust`, and that is a regex.
#[track_caller]
fn check(python: &str, rust: &str) {
    let translation = translate(&Pattern::of_user(python), Lines::One).unwrap();
    assert_eq!(translation.pattern.text(), rust, "{python}");
    assert!(translation.irregular.is_none(), "{python}");
    regex_syntax::Parser::new().parse(rust).unwrap();
}

/// `python` needs the other engine, in which it is `exact`; its gate is `gate`.
#[track_caller]
fn irregular(python: &str, exact: &str, gate: &str) {
    let translation = translate(&Pattern::of_user(python), Lines::One).unwrap();
    assert_eq!(translation.pattern.text(), exact, "{python}");
    assert_eq!(translation.gate.text(), gate, "{python}");
    assert!(translation.irregular.is_some(), "{python}");
    fancy_regex::Regex::new(exact).unwrap();
    regex_syntax::Parser::new().parse(gate).unwrap();
}

/// `python` is refused at `place`, with words about `what`.
#[track_caller]
fn refuse(python: &str, place: &str, what: &str) {
    let fault = translate(&Pattern::of_user(python), Lines::One).unwrap_err();
    assert_eq!(&python[fault.span.clone()], place, "{python}: {fault:?}");
    assert!(fault.what.contains(what), "{python}: {fault:?}");
}

/// Does `python` match in `text`, the way the judge presents it?
#[track_caller]
fn matches(python: &str, text: &str, expected: bool) {
    let translation = translate(&Pattern::of_user(python), Lines::One).unwrap();
    let regex = regex::Regex::new(translation.pattern.text()).unwrap();
    assert_eq!(regex.is_match(&format!("{text}\n")), expected, "{python} on {text}");
}

#[test]
fn what_is_the_same_stays() {
    for same in
        ["^a.*b+?c??$x", r"\d\D\w\W\s\S", "a|b", "(a)(?:b)", "(?P<user>a)", "x{2}y{2,}z{2,3}?"]
    {
        check(same, &same.replace('$', "(?m:$)"));
    }
    check(r"\bfoo\B", r"(?:\b)foo(?:\B)");
    check(r"\A\.\[\(\/\ \-é\x41\u00e9\U0001F600\t", "\\A\\.\\[\\(/ \\-éAé😀\t");
}

#[test]
fn angle_escapes_are_literals() {
    check(r"\<foo\>", "<foo>");
    matches(r"\<foo\>", "a<foo>b", true);
    matches(r"\<foo\>", "foo", false);
}

#[test]
fn classes_have_no_operations_and_no_nesting() {
    check("[^[]", r"[^\[]");
    check("[[(]", r"[\[(]".replace('(', r"\(").as_str());
    check("[a&&b]", r"[a\&\&b]");
    check("[a~~b]", r"[a\~\~b]");
    check("[+--]", r"[\+-\-]");
    check("[]a]", r"[\]a]");
    check("[^]a]", r"[^\]a]");
    check(r"[\w\-.^_]", r"[\w\-\.\^_]");
    check(r"[\d-]", r"[\d\-]");
    check(r"[-a]", r"[\-a]");
    check(r"[\b\<\101\x41]", "[\x08<AA]");
    check("[[:alpha:]]", r"[\[:alpha:]\]");
    check("[é-ü ]", "[é-ü ]");
    matches("^[a&&b]$", "&", true);
}

#[test]
fn wrong_classes() {
    refuse("x[ab", "[", "without its `]`");
    refuse("x[]", "[", "without its `]`");
    refuse("x[z-a]y", "[z-a", "no range");
    refuse(r"x[\d-z]y", r"[\d-z", "no range");
    refuse(r"[a--b]", r"[a--", "no range");
    refuse(r"[\8]", r"[\8", "no character");
    refuse(r"[\p]", r"[\p", "means nothing");
}

#[test]
fn what_only_the_backtracking_engine_has() {
    irregular("a++b", "a++b", "a+b");
    irregular("a*+", "a*+", "a*");
    irregular("a?+", "a?+", "a?");
    irregular("x{2}+y", "x{2}+y", "x{2}y");
    check("a+?b", "a+?b");
    irregular("a(?=b|(c))d", "a(?=b|(c))d", "a(?:)d");
    irregular("a(?!b|c)c", "a(?!b|c)c", "a(?:)c");
    irregular("a(?<=b)(?<!c(?=d))e", "a(?<=b)(?<!c(?=d))e", "a(?:)(?:)e");
    irregular("(?P<x>a)(?P=x)", "(?P<x>a)(?P=x)", "(?:a)(?s:.*?)");
    irregular(r"(a)\1b", r"(a)(?:\1)b", "(?:a)(?s:.*?)b");
    irregular("(?>ab?)b", "(?>ab?)b", "(?:ab?)b");
    irregular("(a)?(?(1)b|c)", "(a)?(?(1)b|c)", "(?:a)?(?:b|c)");
    irregular("(?P<x>a)?(?(x)b)", "(?P<x>a)?(?(<x>)b)", "(?:a)?(?:b|)");
    irregular("(?P<x>a)?(?(x)(b|c)|d)", "(?P<x>a)?(?(<x>)(b|c)|d)", "(?:a)?(?:(?:b|c)|d)");
    check(r"\(?(a)", r"\(?(a)");
    check("[(?=]", r"[\(\?=]");
    refuse("(?P<x>a)(?(y)b|c)", "(?(y)", "no group `y`");
    refuse("(?P<x>a)(?P=y)", "(?P=y)", "no group `y`");
    refuse("(a)(?(0)b|c)", "(?(0)", "no group 0");
    refuse("(a)(?(1)b|c|d)", "|", "two halves");
}

#[test]
fn the_gate_has_neither_groups_nor_boundaries() {
    let gate = |python: &str| {
        translate(&Pattern::of_user(python), Lines::One).unwrap().gate.text().to_owned()
    };
    assert_eq!(gate(r"^(a)\b(?P<x>b)\B(?:c)$"), "^(?:a)(?:)(?:b)(?:)(?:c)(?m:$)");
    assert_eq!(gate(r"(?i)(?s:a)[b-d]{2}"), "(?i)(?s:a)[b-d]{2}");
}

#[test]
fn several_lines() {
    let written = |python: &str, lines| {
        translate(&Pattern::of_user(python), lines).unwrap().pattern.text().to_owned()
    };
    assert_eq!(written("^a$", Lines::Each), "(?m:^)a(?m:$)");
    assert_eq!(written("^a$", Lines::All), r"^a(?=\n?\z)");
    let all = fancy_regex::Regex::new(&written("^a$", Lines::All)).unwrap();
    assert!(all.is_match("a\n").unwrap() && !all.is_match("a\nb\n").unwrap());
}

#[test]
fn braces_that_repeat_nothing_are_literal() {
    check("x{,3}", "x{0,3}");
    check("x{,}", "x{0,}");
    check("{[^}]+}", r"\{[^\}]+\}");
    check("a{{b}}", r"a\{\{b\}\}");
    check(r#"{"user":"a{}"}"#, r#"\{"user":"a\{\}"\}"#);
    check("a{x,3}{1", r"a\{x,3\}\{1");
    check(r"\b{start}", r"(?:\b)\{start\}");
}

#[test]
fn ends_and_comments() {
    check(r"a\Z", r"a\z");
    check("a(?#x[()b", "ab");
    check("a$|b$", "a(?m:$)|b(?m:$)");
    matches("a$", "a", true);
    matches(r"a\s$", "a", true);
    matches(r"a\s", "a", true);
    matches("a.", "a", false);
    matches(r"a\Z", "a", false);
    matches("^b", "a", false);
}

#[test]
fn escapes() {
    check(r"\é\_\%\ü", "é_%ü");
    check(r"\012\0", "\n\0");
    refuse(r"ab\", r"\", "nothing after it");
    refuse(r"a\pLb", r"\p", "means nothing");
    refuse(r"a\x4", r"\x4", "hexadecimal");
    refuse(r"a\ud800", r"\ud800", "hexadecimal");
    refuse(r"a\777", r"\777", "beyond");
}

#[test]
fn flags() {
    check("((?i)x|y)", "(?i:x|y)");
    check("(?:(?i)x)", "(?i:x)");
    check(r"\((?i:x)", r"\((?i:x)");
    check("(?i)x", "(?i)x");
    check("(?a)x", "x");
    check("(?ai)(?s)x", "(?i)(?s)x");
    check("(?u:x)(?L-i:y)", "(?:x)(?-i:y)");
    check("(?x) a b # c (\n [ #] \\ (?-x: d)", r"ab[ \#] (?: d)".replace("(?-x:", "(?:").as_str());
    refuse("a(?i)b", "(?i)", "at its start");
    refuse("(a(?i)b)", "(?i)", "at its start");
    refuse("(?U)b", "(?U)", "no flag");
    refuse("(?i", "(?", "without its `)`");
    refuse("(?)", "(?)", "no flag");
    refuse("(?#a", "(?#a", "without its `)`");
}

#[test]
fn named_groups_are_listed() {
    let pattern = Pattern::of_user("a(?P<user>b)(?<x_1>c)");
    let translation = translate(&pattern, Lines::One).unwrap();
    assert_eq!(translation.groups[0], Group { name: "user".into(), span: 1..10 });
    assert_eq!(translation.groups[1], Group { name: "x_1".into(), span: 12..19 });
    refuse("(?P<1a>b)", "(?P<1a>", "can't be a group's name");
    refuse("(?P<a.b>b)", "(?P<a.b>", "can't be a group's name");
    refuse("(?P<ab", "(?P<", "without its `>`");
}

proptest! {
    #[test]
    fn any_text_is_translated_or_refused_at_a_place_in_it(text in any::<String>()) {
        check_any(&text);
    }

    /// Wherever the exact pattern matches, so does the gate.
    #[test]
    fn the_gate_never_closes_on_a_match(
        python in r"(a|b|c|[ab]|[^c]|\\b|\\B|\\w|\\s|\.|\^|\$|\||(\((\?:|\?=|\?!|\?<=|\?<!|\?>|\?\(1\)|\?i:|\?P<x>)?(a|b|[^a]|\.)[*+?]{0,2}\|?b?\)[?*]?)|\*|\+\+|\?|\{1,2\}|\\1|\(\?P=x\)){1,9}",
        text in "[abcA \n]{0,8}",
    ) {
        for lines in [Lines::One, Lines::Each, Lines::All] {
            let Ok(translation) = translate(&Pattern::of_user(&python), lines) else { continue };
            let Ok(exact) = fancy_regex::Regex::new(translation.pattern.text()) else { continue };
            let Ok(gate) = regex::Regex::new(translation.gate.text()) else { continue };
            let text = match lines {
                Lines::One => format!("{}\n", text.replace('\n', " ")),
                Lines::Each | Lines::All => format!("{text}\n"),
            };
            if exact.is_match(&text).unwrap_or(false) {
                prop_assert!(gate.is_match(&text), "{:?} {:?}", translation, text);
            }
        }
    }

    #[test]
    fn any_syntax_is_translated_or_refused(
        text in r"([a\\(\[\]{})|?*+^$:.<>=!#P0-9ixZbdé,&~-]|\(\?|\(\?P<|\[\^|\\){0,24}"
    ) {
        check_any(&text);
    }
}

/// Whatever `text` is: no panic, and every place is one of `text`.
fn check_any(text: &str) {
    match translate(&Pattern::of_user(text), Lines::One) {
        Ok(translation) => {
            let pattern = translation.gate;
            if let Err(error) = regex_syntax::ast::parse::Parser::new().parse(pattern.text()) {
                let span = error.span();
                assert!(text.get(pattern.origin(span.start.offset..span.end.offset)).is_some());
            }
        }
        Err(fault) => assert!(text.get(fault.span.clone()).is_some(), "{fault:?}"),
    }
}
