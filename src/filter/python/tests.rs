use super::*;
use proptest::prelude::*;

/// `python` becomes `rust`, and that is a regex.
#[track_caller]
fn check(python: &str, rust: &str) {
    let translation = translate(&Pattern::of_user(python)).unwrap();
    assert_eq!(translation.pattern.text(), rust, "{python}");
    regex_syntax::Parser::new().parse(rust).unwrap();
}

/// `python` is refused at `place`, with words about `what`.
#[track_caller]
fn refuse(python: &str, place: &str, what: &str) {
    let fault = translate(&Pattern::of_user(python)).unwrap_err();
    assert_eq!(&python[fault.span.clone()], place, "{python}: {fault:?}");
    assert!(fault.what.contains(what), "{python}: {fault:?}");
}

/// Does `python` match in `text`, the way the judge presents it?
#[track_caller]
fn matches(python: &str, text: &str, expected: bool) {
    let translation = translate(&Pattern::of_user(python)).unwrap();
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
fn possessive_quantifiers_need_another_engine() {
    refuse("a++b", "++", "possessive");
    refuse("a*+", "*+", "possessive");
    refuse("a?+", "?+", "possessive");
    refuse("x{2}+y", "{2}+", "possessive");
    check("a+?b", "a+?b");
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
    refuse(r"(a)\1", r"\1", "back-reference");
    refuse(r"(a)\12x", r"\12", "back-reference");
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
    let translation = translate(&Pattern::of_user("a(?P<user>b)(?<x_1>c)")).unwrap();
    assert_eq!(translation.groups[0], Group { name: "user".into(), span: 1..10 });
    assert_eq!(translation.groups[1], Group { name: "x_1".into(), span: 12..19 });
    refuse("(?P<1a>b)", "(?P<1a>", "can't be a group's name");
    refuse("(?P<a.b>b)", "(?P<a.b>", "can't be a group's name");
    refuse("(?P<ab", "(?P<", "without its `>`");
}

#[test]
fn backtracking_is_refused_where_it_stands() {
    refuse("a(?=b)", "(?=", "a look-ahead");
    refuse("a(?!b)", "(?!", "a negative look-ahead");
    refuse("a(?<=b)", "(?<=", "a look-behind");
    refuse("a(?<!b)", "(?<!", "a negative look-behind");
    refuse("(?P<x>a)(?P=x)", "(?P=", "a back-reference");
    refuse("(?>a)", "(?>", "an atomic group");
    refuse("(?P<x>a)(?(x)b|c)", "(?(", "a conditional");
    let fault = translate(&Pattern::of_user("a(?=b)")).unwrap_err();
    assert!(fault.remedy.unwrap().contains("linear time"));
    check(r"\(?(a)", r"\(?(a)");
    check("[(?=]", r"[\(\?=]");
}

proptest! {
    #[test]
    fn any_text_is_translated_or_refused_at_a_place_in_it(text in any::<String>()) {
        check_any(&text);
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
    match translate(&Pattern::of_user(text)) {
        Ok(translation) => {
            let pattern = translation.pattern;
            if let Err(error) = regex_syntax::ast::parse::Parser::new().parse(pattern.text()) {
                let span = error.span();
                assert!(text.get(pattern.origin(span.start.offset..span.end.offset)).is_some());
            }
        }
        Err(fault) => assert!(text.get(fault.span.clone()).is_some(), "{fault:?}"),
    }
}
