//! Golden bytes, laid out by hand after the kernel's header, and answers.

use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn element(network: &str, timeout: u32) -> Element {
    Element { network: network.parse().unwrap(), timeout }
}

#[test]
#[cfg(target_endian = "little")]
fn a_set_is_created() {
    let request = Request::create(6, "f2b4-web", Family::V4, 6, 1_048_576).into_bytes(7);
    let golden = "\
        60 00 00 00 02 06 05 02 07 00 00 00 00 00 00 00 02 00 00 00 \
        05 00 01 00 06 00 00 00 \
        0d 00 02 00 66 32 62 34 2d 77 65 62 00 00 00 00 \
        0d 00 03 00 68 61 73 68 3a 6e 65 74 00 00 00 00 \
        05 00 04 00 06 00 00 00 \
        05 00 05 00 02 00 00 00 \
        14 00 07 80 08 00 06 40 00 00 00 00 08 00 13 40 00 10 00 00";
    assert_eq!(hex(&request), golden);
}

#[test]
#[cfg(target_endian = "little")]
fn elements_are_added_and_removed() {
    let elements = [element("192.0.2.7", 600)];
    let (request, taken) = Request::elements(6, "s", ElementChange::Add, &elements);
    assert_eq!(taken, 1);
    let golden = "\
        58 00 00 00 09 06 05 00 01 00 00 00 00 00 00 00 02 00 00 00 \
        05 00 01 00 06 00 00 00 \
        06 00 02 00 73 00 00 00 \
        08 00 09 00 00 00 00 00 \
        2c 00 08 80 \
        28 00 07 80 0c 00 01 80 08 00 01 40 c0 00 02 07 05 00 03 00 20 00 00 00 \
        08 00 06 40 00 00 02 58 08 00 09 00 01 00 00 00";
    assert_eq!(hex(&request.into_bytes(1)), golden);

    let elements = [element("2001:db8::/32", 600)];
    let (request, _) = Request::elements(6, "s", ElementChange::Remove, &elements);
    let golden = "\
        5c 00 00 00 0a 06 05 00 01 00 00 00 00 00 00 00 02 00 00 00 \
        05 00 01 00 06 00 00 00 \
        06 00 02 00 73 00 00 00 \
        08 00 09 00 00 00 00 00 \
        30 00 08 80 \
        2c 00 07 80 18 00 01 80 14 00 02 40 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 00 \
        05 00 03 00 20 00 00 00 08 00 09 00 01 00 00 00";
    assert_eq!(hex(&request.into_bytes(1)), golden);
}

#[test]
fn a_message_takes_no_more_than_the_kernel_sends_back() {
    let many: Vec<Element> = (0..5000_u32)
        .map(|n| element(&std::net::Ipv6Addr::from(u128::from(n) << 64 | 1 << 125).to_string(), n))
        .collect();
    let (mut sent, mut messages) = (0, 0);
    while sent < many.len() {
        let (request, taken) = Request::elements(6, "f2b6-web", ElementChange::Add, &many[sent..]);
        assert!(taken > 0);
        assert!(request.into_bytes(1).len() < 64 * 1024);
        sent += taken;
        messages += 1;
    }
    assert_eq!(sent, many.len());
    assert!(messages < 12, "{messages}");
}

fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

fn error(code: i32, about: &[u8]) -> Vec<u8> {
    message(ERROR, 9, &[&code.to_ne_bytes(), about].concat())
}

#[test]
fn acks_and_refusals_are_told_apart() {
    assert_eq!(read(&error(0, &[]), 9), Ok(vec![Answer::Done]));
    assert_eq!(read(&error(-17, &[]), 9), Ok(vec![Answer::Refused(17, None)]));
    assert_eq!(read(&error(0, &[]), 8), Ok(vec![]), "an answer to another request");
    let (request, _) = Request::elements(6, "s", ElementChange::Add, &[element("192.0.2.7", 1)]);
    let mut echo = request.into_bytes(9);
    let number = echo
        .windows(4)
        .position(|w| w == [&8_u16.to_ne_bytes()[..], &LINENO.to_ne_bytes()].concat());
    echo[number.unwrap() + 4..][..4].copy_from_slice(&3_u32.to_ne_bytes());
    assert_eq!(read(&error(-4352, &echo), 9), Ok(vec![Answer::Refused(4352, Some(3))]));
}

#[test]
fn a_dump_is_read() {
    let mut list = Request::new(CMD_LIST, 0, 6);
    list.put_text(SETNAME, "f2b4-web");
    list.put_text(TYPENAME, "hash:net");
    list.put(FAMILY, &[2]);
    list.put(REVISION, &[6]);
    list.nest(DATA, |data| {
        data.put_u32(TIMEOUT, 0);
        data.put_u32(MAXELEM, 65536);
        data.put_u32(ELEMENTS, 2);
    });
    list.nest(ADT, |adt| {
        adt.nest(DATA, |d| d.put_element(ElementChange::Add, &element("198.51.100.0/24", 5), 0));
        adt.nest(DATA, |d| d.put_element(ElementChange::Add, &element("2001:db8::1", 0), 0));
    });
    let mut bytes = list.into_bytes(9);
    bytes.extend(message(DONE, 9, &0_i32.to_ne_bytes()));
    let answers = read(&bytes, 9).unwrap();
    let Answer::Part(part) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(part.elements, [element("198.51.100.0/24", 5), element("2001:db8::1", 0)]);
    assert!(part.header.fits(Family::V4));
    assert!(!part.header.fits(Family::V6));
    assert_eq!((part.header.elements, part.header.max_elements), (2, 65536));
    assert_eq!(answers[1], Answer::Done);
}

#[test]
fn elements_of_any_kind_of_set_do_no_harm() {
    assert_eq!(read_element(&[]), Ok(None));
    let mut mapped = Request(vec![]);
    mapped.nest(IP, |ip| {
        ip.put(
            IPADDR_V6 | NET_ORDER,
            &"::ffff:1.2.3.4".parse::<std::net::Ipv6Addr>().unwrap().octets(),
        )
    });
    mapped.put(CIDR, &[128]);
    assert_eq!(read_element(&mapped.0), Ok(None));
}

#[test]
fn the_generation_of_nftables_is_asked_for_and_read() {
    let request = Request::generation().into_bytes(9);
    let expected = [20_u32.to_ne_bytes(), [0; 4], 9_u32.to_ne_bytes(), [0; 4], [0; 4]].concat();
    let kind = [GET_GENERATION.to_ne_bytes(), REQUEST.to_ne_bytes()].concat();
    assert_eq!((&request[..4], &request[4..8]), (&expected[..4], &kind[..]));
    assert_eq!(request[8..], expected[8..]);
    let body = [&[8, 0, 1, 0][..], &7_u32.to_be_bytes(), &[8, 0, 2, 0], &[0; 4]].concat();
    let answers = read(&message(NEW_GENERATION, 9, &[&[0; 4][..], &body].concat()), 9).unwrap();
    assert_eq!(answers, [Answer::Part(Part { generation: Some(7), ..Part::default() })]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, 0);
        let _ = part(&bytes);
        let _ = refused_line(&bytes);
    }

    #[test]
    fn what_is_written_is_read(list in prop::collection::vec((any::<u32>(), 1_u8..=32, any::<u32>()), 0..50)) {
        let elements: Vec<Element> = list
            .into_iter()
            .map(|(ip, length, timeout)| Element {
                network: Network::new(Address::new(std::net::Ipv4Addr::from(ip).into()), length).unwrap(),
                timeout,
            })
            .collect();
        let (request, taken) = Request::elements(7, "f2b4-web", ElementChange::Add, &elements);
        prop_assert_eq!(taken, elements.len());
        let answers = read(&request.into_bytes(5), 5).unwrap();
        let Answer::Part(part) = &answers[0] else { panic!("{answers:?}") };
        prop_assert_eq!(&part.elements, &elements);
        prop_assert_eq!(&part.header.name, "f2b4-web");
    }
}
