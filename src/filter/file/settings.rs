//! Any of fail2ban's configuration, read as its filters are: `jail.conf` with all that is
//! beside it, an action of `action.d`.
//!
//! The order of files, `[INCLUDES]`, `[DEFAULT]` and `%(…)s` are those of filter files,
//! and so is the code; only tags (`<name>`) are left as they are.

use super::include::{self, Read};
use super::interpolate::Config;
use super::text::{Origin, Text};
use super::{FilePlace, FilterFileError, FilterFiles};

/// The sections of some files together.
#[derive(Debug, Default)]
pub struct Settings {
    /// The files' names, by their numbers.
    names: Vec<String>,
    config: Config,
    /// The sections in the order in which they are written, and where each begins.
    sections: Vec<(String, FilePlace)>,
}

/// What an option is, and where each of its lines was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Its lines, without the blanks around them; empty ones are left out.
    pub lines: Vec<(String, FilePlace)>,
}

impl Setting {
    /// All of it.
    pub fn text(&self) -> String {
        self.lines.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Where it begins, as far as a file says it.
    pub fn place(&self) -> FilePlace {
        let mut places = self.lines.iter().map(|(_, place)| place);
        places.find(|place| !place.file.is_empty()).cloned().unwrap_or_default()
    }

    /// Is nothing in it?
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl Settings {
    /// Reads `NAME.conf`, `NAME.d/*.conf`, `NAME.local` and `NAME.d/*.local` of the first
    /// folder that has any of them.
    ///
    /// # Errors
    /// There is none, or something is wrong in them.
    pub fn read(name: &str, files: &dyn FilterFiles) -> Result<Settings, FilterFileError> {
        Ok(Settings::of(include::read(name, files)?))
    }

    /// Reads these files (folder and name), each with what it includes, later ones over
    /// earlier ones.
    ///
    /// # Errors
    /// One is not there, or something is wrong in it.
    pub fn read_these(
        these: &[(String, String)],
        files: &dyn FilterFiles,
    ) -> Result<Settings, FilterFileError> {
        Ok(Settings::of(include::read_these(these, files)?))
    }

    fn of(Read { names, files }: Read) -> Settings {
        let mut settings = Settings { names, ..Settings::default() };
        for (number, sections) in files {
            for (name, options) in &sections {
                let known = settings.sections.iter().any(|(known, _)| known == name);
                if known || name == "DEFAULT" || name == "INCLUDES" {
                    continue;
                }
                let first = options.first().and_then(|(_, text)| text.lines().first());
                let line = first.map_or(0, |(_, origin)| origin.line);
                let place = settings.place(Origin { file: number, line });
                settings.sections.push((name.clone(), place));
            }
            settings.config.merge(sections);
        }
        settings
    }

    /// The later files' options over those that are there.
    pub fn extend(&mut self, later: Settings) {
        let shift = self.names.len();
        for (name, place) in later.sections {
            if !self.sections.iter().any(|(known, _)| *known == name) {
                self.sections.push((name, place));
            }
        }
        self.names.extend(later.names);
        self.config.extend(later.config, shift);
    }

    /// The sections' names, as they are written, and where each begins.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &FilePlace)> {
        self.sections.iter().map(|(name, place)| (name.as_str(), place))
    }

    /// Gives an option that no file can set.
    pub fn give(&mut self, option: &str, value: &str) {
        self.config.give(option, value);
    }

    /// Sets an option of a section to a text that is taken as it is, such as what
    /// `%(known/failregex)s` stands for in a jail.
    pub fn set(&mut self, section: &str, option: &str, value: &str) {
        let value = Text::given(&value.replace('%', "%%"), Origin::nowhere());
        self.config.set(section, option, value);
    }

    /// Is the option set in the section itself, and not only in `[DEFAULT]`?
    pub fn is_own(&self, section: &str, option: &str) -> bool {
        self.config.has(section, option)
    }

    /// An option with every `%(…)s` in it replaced; `None`: there is none.
    ///
    /// # Errors
    /// A `%` that means nothing, a name that is unknown, or too much of it all.
    pub fn get(&self, section: &str, option: &str) -> Result<Option<Setting>, FilterFileError> {
        match self.config.get(section, option) {
            Ok(text) => Ok(text.map(|text| self.setting(&text))),
            Err(mistake) => Err(FilterFileError::Wrong {
                place: self.place(mistake.origin),
                what: mistake.what,
                remedy: mistake.remedy,
            }),
        }
    }

    /// The names of the options that the section itself has.
    pub fn options(&self, section: &str) -> Vec<String> {
        self.config.own(section)
    }

    fn setting(&self, text: &Text) -> Setting {
        let lines = text.lines().iter().map(|(line, origin)| (line.trim(), *origin));
        let lines = lines.filter(|(line, _)| !line.is_empty());
        let lines = lines.map(|(line, origin)| (line.to_owned(), self.place(origin)));
        Setting { lines: lines.collect() }
    }

    fn place(&self, origin: Origin) -> FilePlace {
        match self.names.get(origin.file) {
            Some(file) => FilePlace { file: file.clone(), line: origin.line },
            None => FilePlace::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Tree(BTreeMap<&'static str, &'static str>);

    impl FilterFiles for Tree {
        fn folders(&self) -> Vec<String> {
            vec!["f".to_owned()]
        }
        fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
            Ok(self.0.get(format!("{folder}/{name}").as_str()).map(|text| (*text).to_owned()))
        }
        fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
            let before = format!("{folder}/{name}/");
            let names = self.0.keys().filter_map(|path| path.strip_prefix(&before));
            Ok(names.map(str::to_owned).collect())
        }
    }

    fn shown(settings: &Settings, section: &str, option: &str) -> String {
        match settings.get(section, option).unwrap() {
            Some(setting) => format!("{} {}", setting.text(), setting.place()),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn jails_are_merged_in_fail2bans_order() {
        let tree = Tree(BTreeMap::from([
            (
                "f/jail.conf",
                "[INCLUDES]\nbefore = paths.conf\n[DEFAULT]\nmaxretry = 5\n[b]\nx=1\n[a]\nport = %(p)s\ny = 1\n",
            ),
            ("f/paths.conf", "[DEFAULT]\np = 80\nmaxretry = 9\n"),
            ("f/paths.local", "[DEFAULT]\np = 81\n"),
            ("f/jail.d/2.conf", "[a]\ny = 2\n"),
            ("f/jail.d/1.local", "[a]\ny = %(known/y)s 4\n[c]\nz = %(__name__)s\n"),
            ("f/jail.local", "[a]\ny = 3\n"),
        ]));
        let mut settings = Settings::read("jail", &tree).unwrap();
        let names: Vec<_> = settings.sections().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(shown(&settings, "a", "maxretry"), "5 f/jail.conf:4");
        assert_eq!(shown(&settings, "a", "port"), "81 f/paths.local:2");
        assert_eq!(shown(&settings, "a", "y"), "3 4 f/jail.d/1.local:2");
        assert_eq!(shown(&settings, "c", "z"), "c f/jail.conf");
        assert_eq!(shown(&settings, "a", "w"), "none");
        assert!(settings.is_own("a", "y") && !settings.is_own("a", "maxretry"));
        settings.set("a", "known/failregex", "100% <HOST>");
        let one = Tree(BTreeMap::from([(
            "f/one.conf",
            "[a]\nfailregex = %(known/failregex)s\n x\nmaxretry = 7\n[DEFAULT]\np = 1\n",
        )]));
        let later = Settings::read_these(&[("f".into(), "one.conf".into())], &one).unwrap();
        settings.extend(later);
        assert_eq!(shown(&settings, "a", "failregex"), "100% <HOST>\nx f/one.conf:3");
        assert_eq!(shown(&settings, "a", "maxretry"), "7 f/one.conf:4");
        assert_eq!(shown(&settings, "a", "port"), "1 f/one.conf:6");
        assert!(Settings::read_these(&[("f".into(), "two.conf".into())], &one).is_err());
    }
}
