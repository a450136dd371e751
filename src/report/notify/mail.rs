//! (pure) Where mail goes: `smtp://user:password@host:587/?from=…&to=…`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::encode::base64;
use super::target::Secret;
use super::url::Url;

/// Most addresses that one target's mail goes to.
const MOST_TO: usize = 10;

/// A server that takes mail, from whom, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub encryption: Encryption,
    /// User and password, if it wants them.
    pub login: Option<(Secret, Secret)>,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the first byte.
    Tls,
    /// TLS after `STARTTLS`, or not at all.
    StartTls,
    /// None.
    None,
}

impl Mail {
    pub(super) fn secrets(&self) -> Vec<Option<&Secret>> {
        self.login.iter().flat_map(|(user, password)| [Some(user), Some(password)]).collect()
    }

    /// The login as it goes over the line, which a server may repeat: as `AUTH PLAIN` has
    /// it, and its parts as `AUTH LOGIN` has them; with and without the padding.
    pub(super) fn coded(&self) -> Vec<String> {
        let Some((user, password)) = &self.login else { return Vec::new() };
        let (user, password) = (user.tell(), password.tell());
        let plain = format!("\0{user}\0{password}");
        let coded = [&plain, user, password].map(|text| base64(text.as_bytes()));
        coded.into_iter().flat_map(|text| [text.trim_end_matches('=').to_owned(), text]).collect()
    }
}

/// Reads a target that is mail.
pub(super) fn read(url: &Url<'_>) -> Result<(Mail, String), String> {
    let place = url.place()?;
    let (mut from, mut to, mut plain) = (None, Vec::new(), false);
    for pair in &url.query {
        match pair.name.as_str() {
            "from" if from.is_none() => from = Some(address(&pair.value)?),
            "to" => {
                let all = pair.value.split(',').map(str::trim).filter(|one| !one.is_empty());
                for one in all.map(address) {
                    let one = one?;
                    // Each gets a mail of his own.
                    if !to.contains(&one) {
                        to.push(one);
                    }
                }
            }
            "encryption" => match pair.value.to_ascii_lowercase().as_str() {
                "none" => plain = true,
                "starttls" | "tls" | "auto" => {}
                _ => return Err("`encryption` takes none; else smtp is STARTTLS, smtps TLS".into()),
            },
            _ => {
                return Err(
                    "behind the `?` mail takes from, to, encryption, events, level and name".into(),
                );
            }
        }
    }
    let implicit = url.scheme.ends_with('s');
    if url.path.len() > 1 {
        return Err("it has a path, and mail takes none: write `smtp://host/?from=…&to=…`".into());
    }
    if implicit && plain {
        return Err("smtps is TLS from the first byte: write smtp for `encryption=none`".into());
    }
    let Some(from) = from else {
        return Err("it says not from whom: add `from=guard@example.org`".into());
    };
    if to.is_empty() || to.len() > MOST_TO {
        return Err(format!("it names nobody, or more than {MOST_TO}: add `to=me@example.org`"));
    }
    let login = match (place.user.clone(), place.password.clone()) {
        (Some(user), Some(password)) => Some((Secret(user), Secret(password))),
        (None, None) => None,
        _ => return Err("user and password go together: `smtp://user:password@host/…`".into()),
    };
    if login.is_some() && plain && !place.is_here() {
        return Err("a password never goes out without TLS: leave out `encryption=none`".into());
    }
    let (encryption, usual) = match (implicit, plain) {
        (true, _) => (Encryption::Tls, 465),
        (false, false) => (Encryption::StartTls, 587),
        (false, true) => (Encryption::None, 25),
    };
    let shown = place.shown();
    let port = place.port.unwrap_or(usual);
    Ok((Mail { host: place.host, port, encryption, login, from, to }, shown))
}

/// An address as SMTP and a header take it, without anything around it.
fn address(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let fits = text.split_once('@').is_some_and(|(user, host)| {
        let dotted = |text: &str| text.split('.').all(|part| !part.is_empty());
        let host_char = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        user.chars().all(good) && dotted(user) && host.chars().all(host_char) && dotted(host)
    });
    // What lettre would refuse, such as an endless label, is not to be found out at night.
    if fits && text.len() <= 254 && text.parse::<lettre::Address>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("`from` or `to` is no plain address such as me@example.org".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let check = |text: &str, encryption, port| {
            let (mail, _) = read(&Url::parse(text).unwrap()).unwrap();
            assert_eq!((mail.encryption, mail.port), (encryption, port), "{text}");
        };
        check("smtp://m.x/?from=a@b.c&to=d@e.f", Encryption::StartTls, 587);
        check("smtps://m.x/?from=a@b.c&to=d@e.f,g@h.i", Encryption::Tls, 465);
        check("smtp://m.x/?from=a@b.c&to=d@e.f&encryption=none", Encryption::None, 25);
        check("smtp://u:p@127.0.0.1:2525/?from=a@b&to=d@e&encryption=none", Encryption::None, 2525);
    }

    #[test]
    fn mistakes() {
        for bad in [
            "smtp://m.x/?to=d@e.f",
            "smtp://m.x/?from=a@b.c",
            "smtp://m.x/?from=a@b.c%20&to=d@e.f",
            "smtp://m.x/?from=a@b.c&to=d",
            "smtp://m.x/x?from=a@b.c&to=d@e.f",
            "smtp://u@m.x/?from=a@b.c&to=d@e.f",
            "smtp://u:p@m.x/?from=a@b.c&to=d@e.f&encryption=none",
            "smtps://m.x/?from=a@b.c&to=d@e.f&encryption=none",
            "smtp://m.x/?from=a@b.c&to=d@e.f&subject=x",
        ] {
            assert!(read(&Url::parse(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
