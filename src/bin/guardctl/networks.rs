//! Whom `ban` and `unban` are about: addresses as arguments, or on standard input.

use std::io::{self, BufRead, Read};

use guard::model::{InvalidAddress, Network};

/// Most addresses that are read from standard input.
const MAX_ADDRESSES: usize = 1_000_000;

/// Longest line of standard input, in bytes: an address and a comment.
const MAX_LINE: u64 = 4096;

/// An argument of `ban` and `unban`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom {
    /// An address or a prefix.
    Network(Network),
    /// Those on standard input.
    StandardInput,
}

/// Reads an address or a prefix.
pub(crate) fn network(text: &str) -> Result<Network, InvalidAddress> {
    text.parse()
}

/// Reads the same, or `-`.
pub(crate) fn whom(text: &str) -> Result<Whom, InvalidAddress> {
    if text == "-" { Ok(Whom::StandardInput) } else { network(text).map(Whom::Network) }
}

/// The networks that were named, and those on standard input where `-` was.
/// Nothing is done when one of them is none.
///
/// # Errors
/// What is wrong on standard input, and where.
pub(crate) fn networks(whom: &[Whom]) -> Result<Vec<Network>, String> {
    let mut networks = Vec::new();
    for whom in whom {
        match whom {
            Whom::Network(network) => networks.push(*network),
            Whom::StandardInput => {
                read_networks(io::stdin().lock(), &mut networks)?;
            }
        }
    }
    Ok(networks)
}

fn read_networks(mut from: impl BufRead, to: &mut Vec<Network>) -> Result<(), String> {
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = (&mut from).take(MAX_LINE).read_until(b'\n', &mut line);
        let wrong =
            |what: String| format!("standard input, line {number}: {what}; nothing was done");
        if read.map_err(|error| wrong(error.to_string()))? == 0 {
            break;
        }
        if line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n') {
            return Err(wrong(format!("longer than {MAX_LINE} bytes")));
        }
        let line = String::from_utf8_lossy(&line);
        let text = line.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        to.push(text.parse().map_err(|error: InvalidAddress| wrong(error.to_string()))?);
        if to.len() > MAX_ADDRESSES {
            return Err(wrong(format!("more than {MAX_ADDRESSES} addresses")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_one_a_line() {
        let read = |text: &str| {
            let mut networks = Vec::new();
            read_networks(text.as_bytes(), &mut networks)
                .map(|()| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(
            read("# list\n192.0.2.1\r\n\n  2001:db8::/64 # net\n192.0.2.2").unwrap(),
            "192.0.2.1 2001:db8::/64 192.0.2.2"
        );
        assert_eq!(read("").unwrap(), "");
        let told = read("192.0.2.1\n192.0.2.300\n").unwrap_err();
        assert!(told.contains("line 2") && told.contains("nothing was done"), "{told}");
        assert!(read("0.0.0.0/0").unwrap_err().contains("every address"));
        assert!(read(&"x".repeat(5000)).unwrap_err().contains("longer than"));
    }
}
