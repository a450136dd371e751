//! The text of a filter file → sections with options, as Python's `ConfigParser` reads
//! it the way fail2ban sets it up.
//!
//! `#` and `;` at a line's start, and ` ;` within it, begin a comment; a line that is
//! indented more than its option goes on with its value; an option or section that
//! comes twice in one file is a mistake; names of options are in lower case.

use super::text::{Origin, Text};

/// The sections of one file, in its order.
pub(super) type Sections = Vec<(String, Options)>;

/// The options of a section, in their order.
pub(super) type Options = Vec<(String, Text)>;

/// What is wrong with a file, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: u32,
    pub(super) what: String,
    pub(super) remedy: Option<&'static str>,
}

/// Reads the text of file number `file`.
pub(super) fn parse(text: &str, file: usize) -> Result<Sections, Mistake> {
    let mut reader = Reader { file, sections: Vec::new(), in_option: false, indent: 0 };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, number) in text.split('\n').zip(1..) {
        reader.line(line.strip_suffix('\r').unwrap_or(line), number)?;
    }
    let mut sections = reader.sections;
    for (_, value) in sections.iter_mut().flat_map(|(_, options)| options) {
        value.trim_end();
    }
    Ok(sections)
}

struct Reader {
    file: usize,
    sections: Sections,
    /// Can a line go on with the last option's value?
    in_option: bool,
    /// How far the last line that began something is indented.
    indent: usize,
}

impl Reader {
    fn line(&mut self, line: &str, number: u32) -> Result<(), Mistake> {
        let (content, comment) = without_comment(line);
        let value = content.trim();
        let origin = Origin { file: self.file, line: number };
        if value.is_empty() {
            if !comment && let Some(option) = self.option() {
                option.push_line("", origin);
            }
            return Ok(());
        }
        let indent = line.len() - line.trim_start().len();
        if indent > self.indent
            && let Some(option) = self.option()
        {
            option.push_line(value, origin);
            return Ok(());
        }
        self.indent = indent;
        if let Some(header) = value.strip_prefix('[').and_then(|rest| Some(rest.rsplit_once(']')?.0))
            && !header.is_empty()
        {
            return self.section(header, number);
        }
        self.new_option(value, origin)
    }

    /// The value that the next line may go on with.
    fn option(&mut self) -> Option<&mut Text> {
        let options = &mut self.sections.last_mut()?.1;
        options.last_mut().filter(|_| self.in_option).map(|(_, value)| value)
    }

    fn section(&mut self, name: &str, line: u32) -> Result<(), Mistake> {
        self.in_option = false;
        if self.sections.iter().any(|(known, _)| known == name) {
            let what = format!("the section [{name}] comes a second time");
            return Err(Mistake { line, what, remedy: Some("put its options into one section") });
        }
        self.sections.push((name.to_owned(), Vec::new()));
        Ok(())
    }

    fn new_option(&mut self, text: &str, origin: Origin) -> Result<(), Mistake> {
        let line = origin.line;
        let Some((section, options)) = self.sections.last_mut() else {
            let what = "an option before the first section".to_owned();
            return Err(Mistake { line, what, remedy: Some("begin with [Definition]") });
        };
        let Some((name, value)) = text.split_once(['=', ':']) else {
            let what = format!("`{}` is no option: it has no `=`", shortened(text));
            let remedy = Some("to go on with the value above, indent the line");
            return Err(Mistake { line, what, remedy });
        };
        let name = name.trim_end().to_lowercase();
        if name.is_empty() {
            let what = "an option without a name".to_owned();
            return Err(Mistake { line, what, remedy: None });
        }
        if options.iter().any(|(known, _)| *known == name) {
            let what = format!("the option `{name}` comes a second time in [{section}]");
            let remedy = Some("further regexes go into further lines of one option, indented");
            return Err(Mistake { line, what, remedy });
        }
        let mut first = Text::default();
        first.push_line(value.trim(), origin);
        options.push((name, first));
        self.in_option = true;
        Ok(())
    }
}

/// The line up to its comment, and whether there is one.
fn without_comment(line: &str) -> (&str, bool) {
    if line.trim_start().starts_with(['#', ';']) {
        return ("", true);
    }
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    match line.match_indices(';').map(|(at, _)| at).find(begins) {
        Some(at) => (&line[..at], true),
        None => (line, false),
    }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let sections = parse(text, 0).unwrap();
        let option = |(name, value): &(String, Text)| format!("{name}={:?}", value.to_string());
        let section = |(name, options): &(String, Options)| {
            format!("[{name}] {}", options.iter().map(option).collect::<Vec<_>>().join(" "))
        };
        sections.iter().map(section).collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }

    #[track_caller]
    fn refuse(text: &str, line: u32, what: &str) {
        let mistake = parse(text, 0).unwrap_err();
        assert_eq!(mistake.line, line, "{mistake:?}");
        assert!(mistake.what.contains(what), "{mistake:?}");
    }

    #[test]
    fn options_and_their_further_lines() {
        assert_eq!(shown("[A]\nx = 1\nY: 2\n"), r#"[A] x="1" y="2""#);
        assert_eq!(shown("[A]\nx = 1\n  2 = 3\n\t[b]\n"), r#"[A] x="1\n2 = 3\n[b]""#);
        assert_eq!(shown("[A]\nx =\n  1\n\n  2\n\n\n[B]\n"), r#"[A] x="\n1\n\n2" [B]"#);
        assert_eq!(shown("  [A]\n  x = 1\n  y = 2\n    3\n"), r#"[A] x="1" y="2\n3""#);
        assert_eq!(shown("\u{feff}[A]\r\nx = 1\r\n"), r#"[A] x="1""#);
        assert_eq!(shown("[A] rest\nx=a=b:c\n"), r#"[A] x="a=b:c""#);
    }

    #[test]
    fn comments() {
        assert_eq!(shown("# a\n[A]\n; b\nx = 1\n# c\n   ; d\n  2\n"), r#"[A] x="1\n2""#);
        assert_eq!(shown("[A]\nx = a#b ;c\ny = a;b\nz = ;c\n"), r#"[A] x="a#b" y="a;b" z="""#);
        assert_eq!(shown("[A]\nx = 1\n  a ; b\n   ;\n  c\n"), r#"[A] x="1\na\nc""#);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        refuse("x = 1\n", 1, "before the first section");
        refuse("[A]\nx = 1\nfoo\n", 3, "`foo` is no option");
        refuse("[A]\nx = 1\n[B]\n[A]\n", 4, "[A] comes a second time");
        refuse("[A]\nx = 1\nX = 2\n", 3, "`x` comes a second time in [A]");
        refuse("[A]\n = 2\n", 2, "without a name");
    }
}
