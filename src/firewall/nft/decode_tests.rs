//! Answers as Linux 6.18 gave them, and garbage.

use proptest::prelude::*;

use super::*;
use crate::firewall::nft::encode::{Batch, MOST_ELEMENTS};

fn bytes(hex: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// An attribute.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut all = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    all.extend(kind.to_ne_bytes());
    all.extend(value);
    all.resize(all.len().next_multiple_of(4), 0);
    all
}

#[test]
fn a_chain_with_a_hook_and_one_without() {
    let hook = [attribute(1, &[0, 0, 0, 2]), attribute(2, &(-5_i32).to_be_bytes())].concat();
    let head = [attribute(1, b"guard\0"), attribute(3, b"forward\0")].concat();
    let with =
        [head.clone(), attribute(4, &hook), attribute(5, &[0, 0, 0, 1]), attribute(7, b"filter\0")]
            .concat();
    let base = Base { hook: 2, priority: -5, usual: true };
    let wanted = ChainHead { table: "guard".into(), name: "forward".into(), base: Some(base) };
    assert_eq!(chain(&with), Ok(wanted.clone()));
    assert_eq!(chain(&head), Ok(ChainHead { base: None, ..wanted }));
    let dropping = [head, attribute(4, &hook), attribute(5, &[0; 4])].concat();
    assert!(!chain(&dropping).unwrap().base.unwrap().usual);
}

#[test]
fn a_rule_of_iptables_with_its_comment() {
    let expression =
        |name: &[u8], data: &[u8]| attribute(1, &[attribute(1, name), attribute(2, data)].concat());
    let of = |name: &[u8], info: &[u8]| {
        let data = [attribute(1, name), attribute(2, &[0; 4]), attribute(3, info)].concat();
        expression(b"match\0", &data)
    };
    let rule = |expressions: &[u8]| {
        let body = [
            attribute(2, b"INPUT\0"),
            attribute(3, &7_u64.to_be_bytes()),
            attribute(4, expressions),
        ];
        rule_of_iptables(&body.concat()).map(|(chain, rule)| (chain, rule.handle, rule.comment))
    };
    let mut info = b"guard\0".to_vec();
    info.resize(256, b'x');
    let found = |comment: Option<&str>| Ok(("INPUT".into(), 7, comment.map(str::to_owned)));
    let set = of(b"set\0", b"guard\0");
    assert_eq!(rule(&[set.clone(), of(b"comment\0", &info)].concat()), found(Some("guard")));
    assert_eq!(rule(&set), found(None));
    assert_eq!(rule(&expression(b"counter\0", &[])), found(None));
}

#[test]
fn a_rule_with_its_jump_and_its_comment() {
    let verdict =
        attribute(2, &[attribute(1, &(-3_i32).to_be_bytes()), attribute(2, b"f2b-web\0")].concat());
    let data = [attribute(1, &[0; 4]), attribute(2, &verdict)].concat();
    let immediate = [attribute(1, b"immediate\0"), attribute(2, &data)].concat();
    let other = [attribute(1, b"meta\0"), attribute(2, &attribute(1, &[0; 4]))].concat();
    let expressions = [attribute(1, &other), attribute(1, &immediate)].concat();
    let comment = bytes("01 01 00 00 0f") // another kind of data first
        .into_iter()
        .chain(*b"guard 1a2b3c4d\0")
        .collect::<Vec<_>>();
    let body = [
        attribute(1, b"guard\0"),
        attribute(2, b"input\0"),
        attribute(3, &17_u64.to_be_bytes()),
        attribute(4, &expressions),
        attribute(7, &comment),
    ]
    .concat();
    let (name, found) = rule(&body).unwrap();
    assert_eq!(name, "input");
    assert_eq!(
        found,
        RuleFound {
            handle: 17,
            comment: Some("guard 1a2b3c4d".into()),
            jump: Some("f2b-web".into()),
        }
    );
}

#[test]
fn elements_and_what_is_none() {
    let key = |ip: &[u8]| attribute(1, &attribute(1, ip));
    let element = |ip: &[u8], times: &[(u16, u64)]| {
        let times = times.iter().flat_map(|(kind, ms)| attribute(*kind, &ms.to_be_bytes()));
        attribute(1, &key(ip).into_iter().chain(times).collect::<Vec<_>>())
    };
    let list = [
        element(&[192, 0, 2, 1], &[]),
        element(&[192, 0, 2, 2], &[(4, 60_000), (5, 30_001)]),
        element(&[192, 0, 2, 3], &[(4, 60_000), (5, 0)]),
        element(&[192, 0], &[]),
        attribute(1, &[]),
    ]
    .concat();
    let body = [attribute(1, b"guard\0"), attribute(2, b"s\0"), attribute(3, &list)].concat();
    let found = |length| -> Vec<(String, u32)> {
        let all = elements(&body, length).unwrap();
        all.iter().map(|element| (element.network.to_string(), element.timeout)).collect()
    };
    let wanted = [("192.0.2.1", 0), ("192.0.2.2", 31), ("192.0.2.3", 1)];
    assert_eq!(found(None), wanted.map(|(net, left)| (net.to_owned(), left)));
    assert_eq!(
        found(Some(31)),
        [("192.0.2.2/31".to_owned(), 31)],
        "no key has bits below the mask"
    );
    let mapped =
        attribute(3, &element(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1], &[]));
    assert_eq!(elements(&mapped, None), Ok(vec![]));
}

#[test]
fn what_is_written_is_read() {
    let all: Vec<Element> = (0..MOST_ELEMENTS as u32)
        .map(|n| Element {
            network: Network::from(Address::new(IpAddr::from(n.to_be_bytes()))),
            timeout: n,
        })
        .collect();
    let mut batch = Batch::new(3);
    let number = batch.add("guard", "s", &all);
    let answers = batch.finish().0;
    // A request looks like an answer but for its kind, which the begin has not.
    let message = &answers[20..];
    let answers = read(&message[..u32_at(message, 0).unwrap() as usize]).unwrap();
    let What::Part(body) = answers[0].what else { panic!("{answers:?}") };
    assert_eq!(answers[0].sequence, number);
    assert_eq!(elements(body, None), Ok(all));
}

#[test]
fn refusals_and_ends() {
    let check = |hex: &str, wanted: What<'_>, interrupted: bool| {
        let bytes = bytes(hex);
        let answers = read(&bytes).unwrap();
        assert_eq!(answers, [Answer { sequence: 9, what: wanted, interrupted }]);
    };
    check("14000000 0200 0000 09000000 00000000 00000000", What::Done, false);
    check("14000000 0200 0000 09000000 00000000 feffffff", What::Refused(2), false);
    check("14000000 0300 1200 09000000 00000000 00000000", What::Done, true);
    check("14000000 0300 0200 09000000 00000000 fcffffff", What::Refused(4), false);
    assert_eq!(read(&bytes("14000000 0200")), Err(Garbled));
    assert_eq!(read(&bytes("08000000 0200 0000")), Err(Garbled));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = chain(&bytes);
        let _ = rule(&bytes);
        let _ = set(&bytes);
        let _ = table_flags(&bytes);
        let _ = generation(&bytes);
        let _ = elements(&bytes, Some(24));
        let _ = comment(&bytes);
    }

    #[test]
    fn cut_attributes_are_read_or_refused(
        kinds in prop::collection::vec((0_u16..9, prop::collection::vec(any::<u8>(), 0..12)), 0..6),
        cut in 0_usize..80,
    ) {
        let mut body: Vec<u8> = kinds.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
        body.truncate(cut);
        let nested = attribute(4, &attribute(1, &body));
        for body in [&body, &nested] {
            let _ = chain(body);
            let _ = rule(body);
            let _ = set(body);
            let _ = elements(body, None);
        }
    }
}
