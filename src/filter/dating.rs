//! When the lines of a source were written, by their dates alone.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ansi;
use super::dates::Detector;
use super::filter::Filter;

/// Reads dates as a [`Judge`](super::Judge) of the same filter does, and judges nothing:
/// for whoever looks for a place in a log.
#[derive(Debug)]
pub struct Dating {
    detector: Detector,
    zone: TimeZone,
    now: Timestamp,
    plain: String,
}

impl Dating {
    /// Dates that name no zone are read in `zone`, those without a year as of `now`.
    pub fn new(filter: &Filter, zone: TimeZone, now: Timestamp) -> Dating {
        let detector = Detector::new(Arc::clone(filter.dates()));
        Dating { detector, zone, now, plain: String::new() }
    }

    /// The date of a line, if it has one.
    pub fn date(&mut self, line: &str) -> Option<Timestamp> {
        let stamp = if ansi::is_in(line) {
            ansi::strip(line, &mut self.plain);
            self.detector.find(&self.plain)
        } else {
            self.detector.find(line)
        };
        stamp?.when.resolve(&self.zone, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::FilterSpec;

    #[test]
    fn dates_are_those_that_the_judge_sees() {
        let spec = FilterSpec { failregex: vec!["<HOST>".to_owned()], ..FilterSpec::default() };
        let filter = Filter::new(&spec).unwrap();
        let now: Timestamp = "2025-05-26T12:00:00Z".parse().unwrap();
        let mut dating = Dating::new(&filter, TimeZone::get("Europe/Paris").unwrap(), now);
        for (line, expected) in [
            ("2025-05-26 13:00:00,050 failed", Some("2025-05-26T11:00:00.05Z")),
            ("\u{1b}[31mMay 25 10:00:00\u{1b}[0m failed", Some("2025-05-25T08:00:00Z")),
            ("failed", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(dating.date(line), expected, "{line}");
        }
    }
}
