//! Metrics as text: `OpenMetrics` 1.0, and Prometheus' older text format 0.0.4, which `node_exporter` reads from files.
//!
//! Names are ours and plain; labels hold what others chose (names of containers), so their values are escaped.

use std::fmt::Write as _;

use super::Histogram;
use crate::text::printable;

/// Which text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notation {
    /// `text/plain; version=0.0.4`.
    #[default]
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Notation {
    /// What HTTP calls it.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What somebody wants who says so in an `Accept` header: `OpenMetrics` only where it is named.
    pub fn accepted(accept: &str) -> Self {
        let refused = |part: &str| part.split(';').any(|word| matches!(word.trim(), "q=0" | "q=0.0"));
        let named = |part: &str| {
            part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/openmetrics-text")
        };
        if accept.split(',').any(|part| named(part) && !refused(part)) { Self::OpenMetrics } else { Self::Prometheus }
    }
}

/// What kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows.
    Counter,
    /// Durations by their length.
    Histogram,
    /// Says something by its labels.
    Info,
}

/// A name's labels.
pub type Labels = Vec<(&'static str, String)>;

/// One value of a metric.
#[derive(Clone, Debug)]
pub enum Point {
    /// A number.
    Whole(u64),
    /// A number with a fraction.
    Real(f64),
    /// Many durations.
    Spread(Histogram),
}

/// A family of metrics.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Without `_total`, `_info` and the like.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it is counted in; the name ends so.
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Its values.
    pub points: Vec<(Labels, Point)>,
}

impl Metric {
    fn of(kind: Kind, name: &'static str, help: &'static str, points: Vec<(Labels, Point)>) -> Self {
        Self { name, kind, unit: "", help, points }
    }

    /// A gauge.
    pub fn gauge(name: &'static str, help: &'static str, values: impl IntoIterator<Item = (Labels, u64)>) -> Self {
        Self::of(Kind::Gauge, name, help, values.into_iter().map(|(l, value)| (l, Point::Whole(value))).collect())
    }

    /// A gauge of seconds.
    pub fn seconds(name: &'static str, help: &'static str, value: f64) -> Self {
        Self::of(Kind::Gauge, name, help, vec![(Vec::new(), Point::Real(value))]).in_unit("seconds")
    }

    /// A counter.
    pub fn counter(name: &'static str, help: &'static str, values: impl IntoIterator<Item = (Labels, u64)>) -> Self {
        Self::of(Kind::Counter, name, help, values.into_iter().map(|(l, value)| (l, Point::Whole(value))).collect())
    }

    /// A histogram of seconds.
    pub fn histogram(
        name: &'static str,
        help: &'static str,
        values: impl IntoIterator<Item = (Labels, Histogram)>,
    ) -> Self {
        let points = values.into_iter().map(|(labels, value)| (labels, Point::Spread(value))).collect();
        Self::of(Kind::Histogram, name, help, points).in_unit("seconds")
    }

    /// An info.
    pub fn info(name: &'static str, help: &'static str, values: impl IntoIterator<Item = Labels>) -> Self {
        Self::of(Kind::Info, name, help, values.into_iter().map(|labels| (labels, Point::Whole(1))).collect())
    }

    /// The same in that unit, with which its name ends.
    #[must_use]
    pub fn in_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }
}

/// All of them as text.
pub fn render(metrics: &[Metric], notation: Notation) -> String {
    let mut out = String::with_capacity(8192);
    for metric in metrics.iter().filter(|metric| !metric.points.is_empty()) {
        describe(&mut out, metric, notation);
        for (labels, point) in &metric.points {
            sample(&mut out, metric, labels, point);
        }
    }
    if notation == Notation::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

// Writing to a String cannot fail, here and below.
fn describe(out: &mut String, metric: &Metric, notation: Notation) {
    let (kind, suffix) = match (metric.kind, notation) {
        (Kind::Gauge, _) => ("gauge", ""),
        (Kind::Counter, Notation::OpenMetrics) => ("counter", ""),
        (Kind::Counter, Notation::Prometheus) => ("counter", "_total"),
        (Kind::Histogram, _) => ("histogram", ""),
        (Kind::Info, Notation::OpenMetrics) => ("info", ""),
        // The older format knows no such kind.
        (Kind::Info, Notation::Prometheus) => ("gauge", "_info"),
    };
    let name = metric.name;
    let _ = writeln!(out, "# HELP {name}{suffix} {}", escaped(metric.help, notation == Notation::OpenMetrics));
    let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
    if notation == Notation::OpenMetrics && !metric.unit.is_empty() {
        let _ = writeln!(out, "# UNIT {name} {}", metric.unit);
    }
}

fn sample(out: &mut String, metric: &Metric, labels: &Labels, point: &Point) {
    let name = metric.name;
    let suffix = match metric.kind {
        Kind::Gauge | Kind::Histogram => "",
        Kind::Counter => "_total",
        Kind::Info => "_info",
    };
    match point {
        Point::Whole(value) => line(out, &[name, suffix], labels, None, value),
        Point::Real(value) => line(out, &[name, suffix], labels, None, value),
        Point::Spread(histogram) => {
            for (bound, count) in histogram.buckets() {
                line(out, &[name, "_bucket"], labels, Some(&format!("{bound:?}")), &count);
            }
            line(out, &[name, "_bucket"], labels, Some("+Inf"), &histogram.count());
            line(out, &[name, "_count"], labels, None, &histogram.count());
            line(out, &[name, "_sum"], labels, None, &histogram.sum());
        }
    }
}

fn line(out: &mut String, name: &[&str], labels: &Labels, bound: Option<&str>, value: &dyn std::fmt::Display) {
    for part in name {
        out.push_str(part);
    }
    let mut separator = '{';
    let all = labels.iter().map(|(label, value)| (*label, value.as_str()));
    for (label, value) in all.chain(bound.map(|bound| ("le", bound))) {
        let _ = write!(out, "{separator}{label}=\"{}\"", escaped(value, true));
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

/// What others chose, without anything that a terminal would obey, which spells line ends out too; then with backslashes
/// and quotes escaped, for both would end a value.
fn escaped(text: &str, quotes: bool) -> String {
    let text = printable(text).replace('\\', "\\\\");
    if quotes { text.replace('"', "\\\"") } else { text }
}
