//! Labels of anybody: `key=value`, with a NUL between one and the next.
//!
//! Whatever they are, reading them ends, and complaints point into them.
#![no_main]

use guard::filter::Library;
use guard::filters::Catalog;
use guard::labels::{Complaint, Defaults, read};
use guard::model::{Container, ContainerId, ServiceId};
use guard_fuzz::{SEPARATOR, assert_within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let container = container(input);
    let mut library = Library::of(Catalog::new(""));
    let reading = read(&container, &Defaults::default(), &mut library);
    reading.complaints.iter().for_each(assert_sound);
    assert!(reading.complaints.len() <= 101, "{} complaints", reading.complaints.len());
    let mut names: Vec<_> = reading.jails.iter().map(|jail| jail.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "two jails of one name: {names:?}");
});

fn container(input: &str) -> Container {
    let label = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    Container {
        id: ContainerId("0123456789abcdef".into()),
        service: ServiceId::Compose { project: "shop".into(), service: "web".into() },
        labels: input.split(SEPARATOR).map(label).collect(),
        network_mode: "shop_default".to_owned(),
        ..Container::named("shop-web-1")
    }
}

fn assert_sound(complaint: &Complaint) {
    let text = if complaint.in_key { &complaint.label } else { &complaint.value };
    assert_within(&complaint.span, text, &complaint.what);
    for shown in [complaint.render(), complaint.one_line()] {
        let control = shown.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "a control character in {shown:?}");
    }
}
