//! What the doctor found and what could be guarded, for people.

use anstyle::{AnsiColor, Style};

use super::{BAD, Text, WARN, escape, line, warn};
use crate::model::{Finding, Level, Suggestion, Sure};

/// It is well.
const WELL: Style = AnsiColor::Green.on_default();

/// So much of a sentence is shown, in bytes.
const MOST: usize = 2000;

/// Findings, and what to do, below each other.
pub(super) fn findings(text: &mut Text, findings: &[Finding]) {
    let out = &mut text.out;
    for finding in findings {
        let style = match finding.level {
            Level::Ok => WELL,
            Level::Note => Style::new(),
            Level::Warning => WARN,
            Level::Error => BAD,
        };
        let level = finding.level.as_str();
        line(
            out,
            format_args!(
                "{style}{level}:{style:#} {}: {}",
                escape(&finding.about),
                shown(&finding.what)
            ),
        );
        if let Some(why) = &finding.why {
            line(out, format_args!("    {}", shown(why)));
        }
        for cure in &finding.cure {
            line(out, format_args!("  → {}", shown(cure)));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    line(
        out,
        format_args!(
            "{} errors, {} warnings, {} notes, {} things are well",
            count(Level::Error),
            count(Level::Warning),
            count(Level::Note),
            count(Level::Ok)
        ),
    );
}

/// Suggestions, as labels to paste into a compose file.
pub(super) fn suggestions(
    text: &mut Text,
    looked_at: u64,
    suggestions: &[Suggestion],
    notes: &[String],
) {
    let out = &mut text.out;
    for suggestion in suggestions {
        let sure = match suggestion.sure {
            Sure::Proven => "proven",
            Sure::Likely => "likely",
            Sure::Guess => "a guess",
        };
        line(
            out,
            format_args!(
                "# {} ({}): filter {}, {sure}",
                escape(&suggestion.container),
                escape(&suggestion.image),
                escape(&suggestion.filter)
            ),
        );
        for note in &suggestion.notes {
            line(out, format_args!("#   {}", shown(note)));
        }
        line(out, format_args!("  {}:", escape(&suggestion.service)));
        line(out, format_args!("    labels:"));
        for (label, value) in &suggestion.labels {
            line(out, format_args!("      {}: {}", escape(label), quoted(value)));
        }
        out.push('\n');
    }
    if suggestions.is_empty() {
        let what = "there is nothing to suggest";
        line(&mut text.err, format_args!("{looked_at} containers without labels: {what}"));
    }
    for note in notes {
        warn(&mut text.err, note);
    }
}

/// A value in YAML, in which Compose leaves `$` alone.
fn quoted(value: &str) -> String {
    format!("\"{}\"", escape(value).replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$"))
}

fn shown(words: &str) -> std::borrow::Cow<'_, str> {
    escape(&words[..words.floor_char_boundary(MOST)])
}
