//! The text of a snapshot, in the two forms that Prometheus reads.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::families::{FAMILIES, Family, Kind, Number, Values};
use super::ledger::{BUCKETS, Latency};
use super::snapshot::Snapshot;

/// A form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own, 0.0.4, which every tool reads.
    Prometheus,
}

impl Format {
    /// The one that a client wants, by its `Accept`.
    pub fn accepted(accept: Option<&str>) -> Format {
        // Clients that know both name OpenMetrics first, and no one refuses the other.
        let open = |word: &str| {
            let mut parts = word.split(';').map(str::trim);
            let named = parts.next() == Some("application/openmetrics-text");
            named && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
        };
        match accept {
            Some(accept) if accept.split(',').any(open) => Format::OpenMetrics,
            _ => Format::Prometheus,
        }
    }

    /// The text's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Snapshot {
    /// The snapshot as text.
    ///
    /// # Errors
    /// The library refuses a value, which would be a defect of guard's.
    pub fn text(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Told(self)));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Prometheus => classic(&text),
        })
    }
}

/// A snapshot on its way to become text.
#[derive(Debug)]
struct Told(Snapshot);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        FAMILIES.iter().try_for_each(|family| family.encode(&self.0, &mut encoder))
    }
}

impl Family {
    fn encode(&self, snapshot: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Info => MetricType::Info,
            Kind::Histogram => MetricType::Histogram,
        };
        let unit = match self.unit {
            Some("seconds") => Some(Unit::Seconds),
            Some("bytes") => Some(Unit::Bytes),
            _ => None,
        };
        let mut descriptor =
            encoder.encode_descriptor(self.name, self.help, unit.as_ref(), kind)?;
        match self.values {
            Values::Histogram(of) => histogram(&mut descriptor, of(snapshot)),
            Values::Series(of) => of(snapshot).try_for_each(|(values, number)| {
                let labels: Vec<(&str, Cow<'_, str>)> = self
                    .labels
                    .iter()
                    .zip(values)
                    .map(|(label, value)| (*label, escape(value)))
                    .collect();
                if labels.is_empty() || self.kind == Kind::Info {
                    return number.encode(&mut descriptor, self.kind, &labels);
                }
                let mut of_labels = descriptor.encode_family(&labels)?;
                number.encode(&mut of_labels, self.kind, &labels)
            }),
        }
    }
}

impl Number {
    fn encode(
        self,
        encoder: &mut MetricEncoder<'_>,
        kind: Kind,
        labels: &Vec<(&str, Cow<'_, str>)>,
    ) -> fmt::Result {
        let none: Option<&Exemplar<NoLabelSet, u64>> = None;
        match (kind, self) {
            (Kind::Counter, Number::Whole(number)) => encoder.encode_counter(&number, none),
            (Kind::Counter, Number::Real(number)) => encoder.encode_counter(&number, none),
            (Kind::Gauge, Number::Whole(number)) => {
                encoder.encode_gauge(&i64::try_from(number).unwrap_or(i64::MAX))
            }
            (Kind::Gauge, Number::Real(number)) => encoder.encode_gauge(&number),
            (Kind::Info, _) => encoder.encode_info(labels),
            (Kind::Histogram, _) => Ok(()),
        }
    }
}

fn histogram(encoder: &mut MetricEncoder<'_>, latency: &Latency) -> fmt::Result {
    let bounds = BUCKETS.into_iter().chain([f64::MAX]);
    let buckets: Vec<(f64, u64)> = bounds.zip(latency.counts).collect();
    let count = latency.counts.iter().sum();
    encoder.encode_histogram::<NoLabelSet>(latency.sum, count, &buckets, None)
}

/// A label's value between its quotes: the library writes it as it is. Nothing that
/// guard puts there needs it, and nothing that it will ever put there may break a line.
fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// OpenMetrics' text in Prometheus' older form: there a counter's name ends with `_total`
/// and an info's with `_info` in the descriptions too, and there are no units and no end.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // What a name ends with stands in the line after its help.
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(comment) = line.strip_prefix("# ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let Some((word, rest)) = comment.split_once(' ') else { continue };
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let kind = match word {
            "HELP" => lines.peek().and_then(|line| line.rsplit_once(' ')).map(|(_, kind)| kind),
            "TYPE" => Some(rest),
            _ => continue,
        };
        let (ending, rest) = match (kind, word) {
            (Some("counter"), _) => ("_total", rest),
            (Some("info"), "TYPE") => ("_info", "gauge"),
            (Some("info"), _) => ("_info", rest),
            _ => ("", rest),
        };
        out.push_str(&format!("# {word} {name}{ending} {rest}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_the_form() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                          version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("text/plain;version=0.0.4"), Format::Prometheus),
            (Some(prometheus), Format::OpenMetrics),
            (Some("text/html, application/openmetrics-text; q=0"), Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn no_value_breaks_out_of_its_quotes() {
        assert_eq!(escape("web-1.example_x"), "web-1.example_x");
        assert_eq!(escape("a\"} 1\nb\\"), "a\\\"} 1\\nb\\\\");
    }

    #[test]
    fn the_older_form_names_what_it_describes() {
        let open = "# HELP a_b Words of it.\n# TYPE a_b counter\na_b_total{x=\"1\"} 1\n\
                    # HELP c_seconds C.\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 1.5\n\
                    # HELP d D.\n# TYPE d info\nd_info{v=\"1\"} 1\n# EOF\n";
        let classic = "# HELP a_b_total Words of it.\n# TYPE a_b_total counter\na_b_total{x=\"1\"} 1\n\
                       # HELP c_seconds C.\n# TYPE c_seconds gauge\nc_seconds 1.5\n\
                       # HELP d_info D.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n";
        assert_eq!(super::classic(open), classic);
    }
}
