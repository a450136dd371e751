//! `ignoreip`: whom not to ban.

use std::net::Ipv4Addr;
use std::str::FromStr;

use super::Flaw;
use super::values::{nothing, quoted, words};
use crate::model::{IgnoreEntry, InvalidAddress, Network};

/// Most entries of one list.
const MAX_IGNORE: usize = 1000;

/// Most entries of a list in a file.
const MAX_LIST: usize = 10_000;

const MAX_PATH: usize = 4096;

/// Addresses, prefixes, DNS names and lists in files (`file:/etc/guard/ignore`), with
/// blanks, commas or line ends between them: the syntax of `ignoreip` and of `GUARD_IGNOREIP`.
pub fn parse_ignore(value: &str) -> Result<Vec<IgnoreEntry>, Vec<Flaw>> {
    let mut entries: Vec<IgnoreEntry> = Vec::new();
    let mut flaws: Vec<Flaw> = Vec::new();
    for (at, (start, text)) in words(value).enumerate() {
        if at == MAX_IGNORE {
            let what = format!("more than {MAX_IGNORE} entries");
            flaws.push(Flaw::new(start..start + text.len(), what).mend("write prefixes"));
            break;
        }
        match ignore_entry(text) {
            Ok(entry) => entries.push(entry),
            Err(flaw) => flaws.push(flaw.shifted(start)),
        }
    }
    if entries.is_empty() && flaws.is_empty() {
        flaws.push(nothing(value));
    }
    if flaws.is_empty() { Ok(entries) } else { Err(flaws) }
}

fn ignore_entry(text: &str) -> Result<IgnoreEntry, Flaw> {
    if let Some(path) = text.strip_prefix("file:") {
        return file(path).map(IgnoreEntry::File).map_err(|flaw| flaw.shifted("file:".len()));
    }
    let masked = with_length(text);
    match Network::from_str(masked.as_deref().unwrap_or(text)) {
        Ok(network) => return Ok(IgnoreEntry::Network(network)),
        Err(InvalidAddress::Everybody(_)) => {
            let what = format!("{} is every address there is", quoted(text));
            return Err(Flaw::new(0..text.len(), what)
                .mend("nobody would ever be banned; use `dryrun` or `enable: false` for that"));
        }
        Err(InvalidAddress::NotAnAddress(_) | InvalidAddress::NotANetwork(_)) => {}
    }
    match dns_name(text) {
        Some(name) => Ok(IgnoreEntry::Name(name)),
        None => Err(Flaw::new(
            0..text.len(),
            format!("{} is no address, prefix or DNS name", quoted(text)),
        )),
    }
}

/// The path of a list, without detours.
fn file(path: &str) -> Result<String, Flaw> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    let good = path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain));
    if good && path.len() <= MAX_PATH && !path.contains(char::is_control) {
        return Ok(path.to_owned());
    }
    let what = format!("{} is no absolute path", quoted(path));
    Err(Flaw::new(0..path.len(), what).mend("write it as `file:/etc/guard/ignore.txt`"))
}

/// Reads a list as a file has it: an entry a line, `#` before a comment. What is wrong
/// is left out, and told with the number of its line.
pub fn parse_ignore_list(text: &str) -> (Vec<IgnoreEntry>, Vec<(usize, String)>) {
    let (mut entries, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        if entries.len() == MAX_LIST {
            wrong.push((number, format!("more than {MAX_LIST} entries: write prefixes")));
            break;
        }
        match ignore_entry(entry) {
            Ok(IgnoreEntry::File(_)) => wrong.push((number, "no list in a list".to_owned())),
            Ok(entry) => entries.push(entry),
            Err(flaw) => {
                let remedy = flaw.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
                wrong.push((number, flaw.what + &remedy));
            }
        }
    }
    (entries, wrong)
}

/// `192.0.2.0/255.255.255.0` as `192.0.2.0/24`; `None` for anything else.
fn with_length(text: &str) -> Option<String> {
    let (address, mask) = text.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let mask = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    let length = mask.leading_ones();
    (mask.count_ones() == length).then(|| format!("{address}/{length}"))
}

/// A host name as RFC 1123 2.1 has it (and `_`, which people use), in lower
/// case; the last part is never a number, so that no mistyped address is one.
fn dns_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next()?;
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.to_lowercase().starts_with("0x");
    (name.len() <= 253 && !numeric && name.split('.').all(good)).then(|| name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_ignore() {
        let check = |text: &str, shown: &[&str]| {
            let entries = parse_ignore(text).unwrap();
            let entries: Vec<String> = entries
                .iter()
                .map(|entry| match entry {
                    IgnoreEntry::Network(network) => network.to_string(),
                    IgnoreEntry::Name(name) => format!("name {name}"),
                    IgnoreEntry::File(path) => format!("file {path}"),
                })
                .collect();
            assert_eq!(entries, shown, "{text}");
        };
        check("192.0.2.1", &["192.0.2.1"]);
        check(
            "192.0.2.1, 10.0.0.0/8\n2001:db8::/32",
            &["192.0.2.1", "10.0.0.0/8", "2001:db8::/32"],
        );
        check("192.0.2.7/255.255.255.0", &["192.0.2.0/24"]);
        check(
            "Router.lan home.example.org. proxy_1",
            &["name router.lan", "name home.example.org", "name proxy_1"],
        );
        check("file:/etc/guard/ignore.txt", &["file /etc/guard/ignore.txt"]);
        for bad in [
            "999.1.1.1",
            "192.0.2",
            "10.0.0.0-10.0.0.9",
            "192.0.2.0/33",
            "192.0.2.0/255.0.255.0",
            "0.0.0.0/0",
            "0.0.0.0/0.0.0.0",
            "::/0",
            "a..b",
            "-x",
            "x-",
            "file:",
            "file:hosts",
            "file:/etc/../hosts",
            "*.lan",
            "0x7f",
            "",
        ] {
            assert!(parse_ignore(bad).is_err(), "{bad}");
        }
        assert!(parse_ignore(&"192.0.2.1 ".repeat(1001)).is_err());
    }

    #[test]
    fn a_bad_line_of_a_list_does_not_stop_the_others() {
        let text = "# office\n192.0.2.1 # door\n\n999.1.1.1\r\nfile:/x\n10.0.0.0/8 # lan\nhome.example\n0.0.0.0/0";
        let (entries, wrong) = parse_ignore_list(text);
        assert_eq!(entries.len(), 3, "{entries:?}");
        assert_eq!(entries[2], IgnoreEntry::Name("home.example".into()));
        let lines: Vec<usize> = wrong.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [4, 5, 8], "{wrong:?}");
        let (entries, wrong) = parse_ignore_list(&"192.0.2.1\n".repeat(10_005));
        assert_eq!((entries.len(), wrong.len()), (10_000, 1));
    }
}
