//! What was measured, beside what it is measured against.

use serde_json::{Value, json};

/// What a figure has to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// The ratio is not more: a cost.
    AtMost(f64),
    /// The ratio is not less: a rate.
    AtLeast(f64),
    /// The figure itself is not more, in its unit.
    Within(f64),
    /// Shown for comparison.
    None,
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// The table's heading.
    pub(crate) table: String,
    /// With what: the layout, the command.
    pub(crate) row: String,
    /// What is measured, or the size.
    pub(crate) column: String,
    /// The median, in `unit`.
    pub(crate) value: f64,
    /// Of the value and the baseline.
    pub(crate) unit: String,
    /// What it is measured against.
    pub(crate) base: Option<Base>,
    /// For the ratio, or for the figure.
    pub(crate) bound: Bound,
}

/// A baseline of the same run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    /// Its median.
    pub(crate) value: f64,
    /// The first quartile, the median and the third quartile of the rounds' ratios.
    pub(crate) ratio: [f64; 3],
}

impl Figure {
    /// Something that has no baseline.
    pub(crate) fn alone(place: [&str; 3], unit: &str, value: f64, bound: Bound) -> Self {
        let [table, row, column] = place.map(str::to_owned);
        Self { table, row, column, value, unit: unit.to_owned(), base: None, bound }
    }

    /// From values taken in the same rounds: `values[i]` and `base[i]` were measured one after the other.
    pub(crate) fn paired(place: [&str; 3], unit: &str, values: &[f64], base: &[f64], bound: Bound) -> Self {
        let ratios: Vec<f64> = values.iter().zip(base).map(|(value, base)| value / base).collect();
        let ratio = [0.25, 0.5, 0.75].map(|part| quantile(&ratios, part));
        let base = Some(Base { value: median(base), ratio });
        Self { base, ..Self::alone(place, unit, median(values), bound) }
    }

    /// Whether the bound is kept; `None` without one.
    fn holds(&self) -> Option<bool> {
        let ratio = self.base.map_or(f64::NAN, |base| base.ratio[1]);
        match self.bound {
            Bound::AtMost(most) => Some(ratio <= most),
            Bound::AtLeast(least) => Some(ratio >= least),
            Bound::Within(most) => Some(self.value <= most),
            Bound::None => None,
        }
    }

    /// As it is kept.
    pub(crate) fn json(&self) -> Value {
        let bound = match self.bound {
            Bound::AtMost(value) => json!({ "is": "ratio at most", "value": value }),
            Bound::AtLeast(value) => json!({ "is": "ratio at least", "value": value }),
            Bound::Within(value) => json!({ "is": "at most", "value": value }),
            Bound::None => Value::Null,
        };
        json!({
            "table": self.table, "row": self.row, "column": self.column, "value": self.value, "unit": self.unit,
            "baseline": self.base.map(|base| base.value),
            "ratio": self.base.map(|base| base.ratio[1]),
            "ratio_quartiles": self.base.map(|base| [base.ratio[0], base.ratio[2]]),
            "bound": bound, "holds": self.holds(),
        })
    }
}

/// A cell of Markdown from what [`Figure::json`] wrote.
pub(crate) fn cell(figure: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let (value, unit) = (short(number(&figure["value"])), figure["unit"].as_str().unwrap_or("?"));
    let missed = figure["holds"] == false;
    let strong = |text: String| if missed { format!("**{text}**") } else { text };
    let Some(base) = figure["baseline"].as_f64() else { return strong(format!("{value} {unit}").trim().to_owned()) };
    let quartiles = &figure["ratio_quartiles"];
    format!(
        "{} ({:.2} to {:.2}); {value} : {} {unit}",
        strong(format!("{:.2}", number(&figure["ratio"]))),
        number(&quartiles[0]),
        number(&quartiles[1]),
        short(base),
    )
}

/// Three significant digits or whole numbers.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The value in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which a part of them is.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index into what was measured"
)]
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Sizes as numbers; far below 2^52.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}

/// So many, in words: `1 container`, `10,000 containers`.
pub(crate) fn so_many(count: usize, noun: &str) -> String {
    let digits = count.to_string();
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    let plural = match noun.strip_suffix('y') {
        _ if count == 1 => noun.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{noun}s"),
    };
    format!("{} {plural}", grouped.join(","))
}
