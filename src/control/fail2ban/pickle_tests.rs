use proptest::prelude::*;

use super::*;

fn words(words: &[&str]) -> Value {
    Value::texts(words.iter().copied())
}

#[test]
fn what_python_pickles_is_read() {
    // pickle.dumps(['set', 'web', 'unbanip', '192.0.2.7', 3, True, None, 70000, -5, 1.5, ['a']], P)
    let pickles: [&[u8]; 6] = [
        b"(lp0\nVset\np1\naVweb\np2\naVunbanip\np3\naV192.0.2.7\np4\naI3\naI01\naNaI70000\naI-5\naF1.5\na(lp5\nVa\np6\naa.",
        b"]q\x00(X\x03\x00\x00\x00setq\x01X\x03\x00\x00\x00webq\x02X\x07\x00\x00\x00unbanipq\x03X\t\x00\x00\x00192.0.2.7q\x04K\x03I01\nNJp\x11\x01\x00J\xfb\xff\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00]q\x05X\x01\x00\x00\x00aq\x06ae.",
        b"\x80\x02]q\x00(X\x03\x00\x00\x00setq\x01X\x03\x00\x00\x00webq\x02X\x07\x00\x00\x00unbanipq\x03X\t\x00\x00\x00192.0.2.7q\x04K\x03\x88NJp\x11\x01\x00J\xfb\xff\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00]q\x05X\x01\x00\x00\x00aq\x06ae.",
        b"\x80\x03]q\x00(X\x03\x00\x00\x00setq\x01X\x03\x00\x00\x00webq\x02X\x07\x00\x00\x00unbanipq\x03X\t\x00\x00\x00192.0.2.7q\x04K\x03\x88NJp\x11\x01\x00J\xfb\xff\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00]q\x05X\x01\x00\x00\x00aq\x06ae.",
        b"\x80\x04\x95E\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03set\x94\x8c\x03web\x94\x8c\x07unbanip\x94\x8c\t192.0.2.7\x94K\x03\x88NJp\x11\x01\x00J\xfb\xff\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00]\x94\x8c\x01a\x94ae.",
        b"\x80\x05\x95E\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03set\x94\x8c\x03web\x94\x8c\x07unbanip\x94\x8c\t192.0.2.7\x94K\x03\x88NJp\x11\x01\x00J\xfb\xff\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00]\x94\x8c\x01a\x94ae.",
    ];
    let wanted = Value::List(vec![
        Value::text("set"),
        Value::text("web"),
        Value::text("unbanip"),
        Value::text("192.0.2.7"),
        Value::Number(3),
        Value::Bool(true),
        Value::None,
        Value::Number(70_000),
        Value::Number(-5),
        Value::text("1.5"),
        words(&["a"]),
    ]);
    for (protocol, pickle) in pickles.into_iter().enumerate() {
        assert_eq!(read(pickle), Ok(wanted.clone()), "protocol {protocol}");
    }
    // Python 2's texts, as other languages' writers still make them.
    assert_eq!(read(b"\x80\x02](U\x06statusU\x03we"), Err(Unreadable::Cut));
    assert_eq!(read(b"\x80\x02](U\x06statusU\x03webe."), Ok(words(&["status", "web"])));
    assert_eq!(read(b"(lS'sta\\x74us'\na."), Ok(words(&["status"])));
    assert_eq!(read(b"\x80\x02\x8a\x05\x00\x00\x00\x00\x01."), Ok(Value::Number(1 << 32)));
    assert_eq!(read(b"\x80\x02\x8a\x01\xff."), Ok(Value::Number(-1)));
}

#[test]
fn a_pickle_runs_nothing() {
    // os.system('id'), in the words of each protocol.
    let programs: [&[u8]; 5] = [
        b"cos\nsystem\n(S'id'\ntR.",
        b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        b"(ios\nsystem\n.",
        b"\x80\x02}(X\x01\x00\x00\x00aK\x01u.",
    ];
    for program in programs {
        assert!(matches!(read(program), Err(Unreadable::Instruction(..))), "{program:?}");
    }
}

#[test]
fn a_short_pickle_makes_no_long_value() {
    // A list that holds a list twice that holds … : 2^n texts.
    let mut bomb = b"\x80\x04]\x94".to_vec();
    for slot in 0_u8..30 {
        bomb.extend([b']', 0x94, b'(', b'h', slot, b'h', slot, b'e']);
    }
    bomb.push(b'.');
    assert!(read(&bomb).is_err());
    // A long text fetched again and again.
    let mut text = b"\x80\x04X\x00\x00\x01\x00".to_vec();
    text.extend(vec![b'a'; 0x1_0000]);
    text.extend([0x94, b'0', b']', b'(']);
    text.extend([b'h', 0].repeat(10_000));
    text.extend(b"e.");
    assert_eq!(read(&text), Err(Unreadable::TooBig));
    // Lengths that lie.
    assert_eq!(read(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa."), Err(Unreadable::TooBig));
    assert_eq!(read(b"\x80\x04X\xff\xff\xff\xffa."), Err(Unreadable::Cut));
    // Slots far away.
    assert_eq!(read(b"\x80\x04K\x01r\xff\xff\xff\x0f."), Err(Unreadable::TooBig));
    // Deep nesting.
    let deep = [b"]".repeat(1000), b"a".repeat(999), b".".to_vec()].concat();
    assert_eq!(read(&deep), Err(Unreadable::TooBig));
    let deep = [b"K\x01".to_vec(), b"\x85".repeat(1000), b".".to_vec()].concat();
    assert_eq!(read(&deep), Err(Unreadable::TooBig));
    // More values than anybody means.
    let many = [b"](".to_vec(), b"N".repeat(300_000), b"e.".to_vec()].concat();
    assert_eq!(read(&many), Err(Unreadable::TooBig));
}

#[test]
fn answers_are_pickles() {
    let value = Value::List(vec![
        Value::named("Currently banned", Value::Number(2)),
        Value::named("Banned IP list", words(&["192.0.2.1", "2001:db8::1"])),
        Value::Number(-1),
        Value::Number(300),
        Value::Number(1 << 40),
        Value::None,
        Value::Bool(false),
    ]);
    let wanted = Value::Tuple(vec![Value::Number(0), value.clone()]);
    assert_eq!(read(&answer(&value)), Ok(wanted));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_instructions_make_it_panic(
        codes in proptest::collection::vec(
            proptest::sample::select(b"](KN)teal0qhrjpg.SVIL\x85\x86\x87\x94\x88'\n1a".to_vec()),
            0..200,
        ),
    ) {
        let _ = read(&codes);
    }

    #[test]
    fn what_is_written_is_read(texts in proptest::collection::vec(".*", 0..20), number: i64) {
        let value = Value::List(vec![Value::texts(texts), Value::Number(number)]);
        let wanted = Value::Tuple(vec![Value::Number(0), value.clone()]);
        prop_assert_eq!(read(&answer(&value)), Ok(wanted));
    }
}
