//! One jail of fail2ban's, in guard's words; to which service it belongs is not yet known.

use super::action::Block;
use super::filter::Chosen;
use super::mount::{Mounted, Mounts};
use super::source::Source;
use super::{Ground, Remarks, arithmetic, is_on};
use crate::filter::{FilePlace, Setting, Settings};
use crate::labels;
use crate::model::{BanTime, IgnoreEntry};

/// The section that describes a jail.
#[derive(Clone, Copy)]
pub(super) struct Jail<'a> {
    pub(super) section: &'a str,
    pub(super) place: &'a FilePlace,
}

/// A jail in guard's words.
#[derive(Debug)]
pub(super) struct Draft {
    /// fail2ban's name of it.
    pub(super) name: String,
    pub(super) place: FilePlace,
    /// Options of labels and their values, but for name, source, ports and chain.
    pub(super) options: Vec<(String, String)>,
    /// Where options are written, as far as a file says it; later ones count.
    pub(super) places: Vec<(String, FilePlace)>,
    /// Whom it ignores.
    pub(super) ignore: Vec<(String, FilePlace)>,
    pub(super) source: Source,
    pub(super) block: Block,
    /// The files of its filter that must be mounted.
    pub(super) mount: Vec<Mounted>,
}

/// Reads one jail.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a mut Settings,
    pub(super) section: &'a str,
    pub(super) place: &'a FilePlace,
    pub(super) ground: &'a Ground,
    pub(super) mounts: &'a mut Mounts,
    pub(super) remarks: &'a mut Remarks,
}

/// Reads a jail; `None`: it can't be taken over, and a remark says why.
pub(super) fn read<'a>(
    settings: &'a mut Settings,
    Jail { section, place }: Jail<'a>,
    (ground, mounts): (&'a Ground, &'a mut Mounts),
    remarks: &'a mut Remarks,
) -> Option<Draft> {
    let mut reader = Reader { settings, section, place, ground, mounts, remarks };
    let journal = reader.is_journal()?;
    let chosen = reader.filter(journal)?;
    let source = reader.source(&chosen, journal)?;
    let block = reader.block()?;
    let Chosen { mut options, mount, recidive, place: of_filter, .. } = chosen;
    let mut places: Vec<(String, FilePlace)> =
        options.iter().map(|(option, _)| (option.clone(), of_filter.clone())).collect();
    if recidive {
        options.push(("recidive".to_owned(), "true".to_owned()));
    }
    reader.limits(&mut options);
    reader.growth(&mut options);
    reader.logs(&mut options, journal || recidive);
    let ignore = reader.ignored();
    reader.others();
    for (option, _) in &options {
        let setting = reader.settings.get(section, option).ok().flatten();
        let own = setting.map(|setting| setting.place()).filter(|place| !place.file.is_empty());
        places.extend(own.map(|place| (option.clone(), place)));
    }
    let (name, place) = (section.to_owned(), place.clone());
    Some(Draft { name, place, options, places, ignore, source, block, mount })
}

impl Reader<'_> {
    /// An option; the outer `None`: it can't be read, and a remark says why.
    #[expect(clippy::option_option, reason = "a mistake is not the same as nothing")]
    pub(super) fn get(&mut self, option: &str) -> Option<Option<Setting>> {
        match self.settings.get(self.section, option) {
            Ok(setting) => Some(setting),
            Err(error) => {
                self.remarks.broken(&format!("`{option}`"), &error);
                None
            }
        }
    }

    /// The same, without which a jail can do.
    pub(super) fn try_get(&mut self, option: &str) -> Option<Setting> {
        self.get(option).flatten().filter(|setting| !setting.is_empty())
    }

    /// Does it read the journal? `None`: `backend` can't be read.
    fn is_journal(&mut self) -> Option<bool> {
        let setting = self.get("backend")?.unwrap_or_default();
        let text = setting.text();
        let (name, options) = text.split_once('[').unwrap_or((&text, ""));
        let journal = name.trim().eq_ignore_ascii_case("systemd");
        let options = options.trim_end().trim_end_matches(']').trim();
        if journal && !options.is_empty() {
            let shown: String = options.chars().take(60).collect();
            let what = format!(
                "`backend = systemd[{shown}]`: guard follows the host's journal, and knows no \
                 options for it"
            );
            let remedy = "where the lines are in another journal, mount its folder into guard's \
                          container in the place of /var/log/journal";
            self.remarks.lost(&setting.place(), what, remedy);
        }
        Some(journal)
    }

    fn limits(&mut self, options: &mut Vec<(String, String)>) {
        // Without a word of theirs it is what fail2ban has built in.
        let maxretry = self.try_get("maxretry");
        let text = maxretry.as_ref().map_or("3".to_owned(), Setting::text);
        options.push(("maxretry".to_owned(), text));
        for option in ["findtime", "bantime"] {
            let setting = self.try_get(option);
            match setting.as_ref().map_or(Ok("10m".to_owned()), |setting| time(setting, option)) {
                Ok(text) => options.push((option.to_owned(), text)),
                Err(why) => {
                    let place = setting.map(|setting| setting.place()).unwrap_or_default();
                    let remedy = "until a label says so it is guard's default, 10m";
                    self.remarks.lost(&place, format!("`{option}`: {why}"), remedy);
                }
            }
        }
    }

    /// `bantime.increment` and what belongs to it.
    fn growth(&mut self, options: &mut Vec<(String, String)>) {
        if !self.try_get("bantime.increment").is_some_and(|setting| is_on(&setting.text())) {
            return;
        }
        options.push(("bantime.increment".to_owned(), "true".to_owned()));
        for option in ["factor", "multipliers", "maxtime", "rndtime", "overalljails"] {
            let option = format!("bantime.{option}");
            let Some(setting) = self.try_get(&option) else { continue };
            let value = match option.as_str() {
                "bantime.overalljails" => Ok(is_on(&setting.text()).to_string()),
                "bantime.maxtime" | "bantime.rndtime" => time(&setting, &option),
                "bantime.factor" => Ok(factor(&setting.text())),
                _ => Ok(setting.text()),
            };
            match value {
                Ok(value) => options.push((option, value)),
                Err(why) => {
                    self.remarks.lost(&setting.place(), format!("`{option}`: {why}"), "");
                }
            }
        }
        let Some(formula) = self.try_get("bantime.formula") else { return };
        const USUAL: &str = "ban.Time*(1<<(ban.Countifban.Count<20else20))*banFactor";
        let plain: String = formula.text().chars().filter(|c| !c.is_whitespace()).collect();
        if plain != USUAL {
            self.remarks.lost(
                &formula.place(),
                "`bantime.formula` is Python, which guard does not run",
                "`guard.bantime.factor`, or `guard.bantime.multipliers` with a number for each ban",
            );
        }
    }

    fn logs(&mut self, options: &mut Vec<(String, String)>, bytes_are_known: bool) {
        for option in ["logencoding", "logtimezone"] {
            let Some(setting) = self.try_get(option) else { continue };
            let text = setting.text();
            if !bytes_are_known && !text.eq_ignore_ascii_case("auto") {
                options.push((option.to_owned(), text));
            }
        }
    }

    /// `ignoreip`, without those whom guard never bans anyway.
    fn ignored(&mut self) -> Vec<(String, FilePlace)> {
        let Some(setting) = self.try_get("ignoreip") else { return Vec::new() };
        let mut found: Vec<(String, FilePlace)> = Vec::new();
        for (line, place) in &setting.lines {
            let between = |c: char| c.is_whitespace() || c == ',';
            for word in line.split(between).filter(|word| !word.is_empty()) {
                match labels::parse_ignore(word) {
                    Ok(entries) if entries.iter().all(is_loopback) => {}
                    Ok(_) if found.iter().any(|(known, _)| known == word) => {}
                    Ok(_) => found.push((word.to_owned(), place.clone())),
                    Err(flaws) => {
                        let why: Vec<String> = flaws.iter().map(ToString::to_string).collect();
                        let what = format!("`ignoreip`: {}", why.join("; "));
                        self.remarks.lost(place, what, "");
                    }
                }
            }
        }
        found
    }

    /// Options that guard does not have.
    fn others(&mut self) {
        if let Some(setting) = self.try_get("ignorecommand") {
            self.remarks.lost(
                &setting.place(),
                "`ignorecommand`: guard starts no programs",
                "list addresses, prefixes or DNS names in `guard.ignoreip`; on guard's own \
                 service also `file:/etc/guard/ignore.txt`, which a program may write",
            );
        }
        if let Some(setting) = self.try_get("ignoreself").filter(|set| !is_on(&set.text())) {
            self.remarks.lost(
                &setting.place(),
                "`ignoreself = false`: guard never bans the host's own addresses",
                "",
            );
        }
        let maxretry = self.try_get("maxretry").map(|setting| setting.text());
        let kept = self.try_get("maxmatches");
        if let Some(setting) = kept.filter(|kept| Some(kept.text()) != maxretry) {
            self.remarks.note(
                &setting.place(),
                "`maxmatches`: guard keeps the last lines that led to a ban, as many as it shows",
                "",
            );
        }
    }
}

fn is_loopback(entry: &IgnoreEntry) -> bool {
    match entry {
        IgnoreEntry::Network(network) => network.address().ip().is_loopback(),
        IgnoreEntry::Name(name) => name == "localhost",
        IgnoreEntry::File(_) => false,
    }
}

/// A time as labels have it. fail2ban hands it to Python, so some write `24*60*60`; a ban of
/// less than nothing is for ever there.
fn time(setting: &Setting, option: &str) -> Result<String, String> {
    let text = setting.text();
    let flaw = match labels::duration::parse(&text) {
        Ok(BanTime::Forever) if option != "bantime" => {
            return Err(format!("`{text}`: guard has no time without end there"));
        }
        Ok(BanTime::For(_) | BanTime::Forever) => return Ok(text),
        Err(flaw) => flaw,
    };
    match arithmetic::seconds(&text) {
        Some(seconds) if seconds < 0.0 && option == "bantime" => Ok("-1".to_owned()),
        Some(seconds) if (1.0..1e10).contains(&seconds) => Ok(format!("{seconds:.0}")),
        _ => Err(format!("`{text}`: {flaw}")),
    }
}

/// A factor as labels have it: worked out, where fail2ban has Python do that.
fn factor(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    match arithmetic::number(text).filter(|number| !is_plain && *number > 0.0) {
        Some(number) => format!("{number:.6}"),
        None => text.to_owned(),
    }
}
