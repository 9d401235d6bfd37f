//! What was measured, beside what it is measured against.

use serde_json::{Value, json};

/// What a ratio has to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// A cost: not more.
    AtMost(f64),
    /// A rate: not less.
    AtLeast(f64),
    /// Shown for comparison.
    None,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What was done.
    pub(crate) what: String,
    /// With what: the layout, the command, the size.
    pub(crate) with: String,
    /// The median, in `unit`.
    pub(crate) value: f64,
    /// The baseline's median, in `unit`.
    pub(crate) base: f64,
    /// Of both.
    pub(crate) unit: &'static str,
    /// The median of the ratios of each round, and the quartiles of those.
    pub(crate) ratio: [f64; 3],
    /// For the ratio.
    pub(crate) bound: Bound,
}

impl Figure {
    /// From values taken in the same rounds: `values[i]` and `base[i]` were measured one after the other.
    pub(crate) fn paired(
        what: &str,
        with: &str,
        unit: &'static str,
        values: &[f64],
        base: &[f64],
        bound: Bound,
    ) -> Self {
        let ratios: Vec<f64> = values.iter().zip(base).map(|(value, base)| value / base).collect();
        let ratio = [quantile(&ratios, 0.25), median(&ratios), quantile(&ratios, 0.75)];
        let (what, with) = (what.to_owned(), with.to_owned());
        Self { what, with, value: median(values), base: median(base), unit, ratio, bound }
    }

    /// Whether the bound is kept; `None` without one.
    fn holds(&self) -> Option<bool> {
        match self.bound {
            Bound::AtMost(most) => Some(self.ratio[1] <= most),
            Bound::AtLeast(least) => Some(self.ratio[1] >= least),
            Bound::None => None,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let (bound, value) = match self.bound {
            Bound::AtMost(value) => ("at most", Some(value)),
            Bound::AtLeast(value) => ("at least", Some(value)),
            Bound::None => ("none", None),
        };
        json!({
            "what": self.what, "with": self.with, "unit": self.unit, "value": self.value, "base": self.base,
            "ratio": self.ratio[1], "ratio_quartiles": [self.ratio[0], self.ratio[2]],
            "bound": { "is": bound, "value": value, "holds": self.holds() },
        })
    }
}

/// The heading of [`row`].
pub(crate) const HEAD: &str =
    "| what | with | figure | baseline | ratio (quartiles) | bound |\n|---|---|---|---|---|---|\n";

/// A line of Markdown from what [`Figure::json`] wrote.
pub(crate) fn row(figure: &Value) -> String {
    let text = |name: &str| figure[name].as_str().unwrap_or("?").to_owned();
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let (unit, quartiles) = (text("unit"), &figure["ratio_quartiles"]);
    let bound = match (figure["bound"]["is"].as_str(), figure["bound"]["value"].as_f64()) {
        (Some("at most"), Some(value)) => format!("≤ {value:.2}"),
        (Some("at least"), Some(value)) => format!("≥ {value:.2}"),
        _ => String::new(),
    };
    let verdict = match figure["bound"]["holds"].as_bool() {
        Some(true) => " holds",
        Some(false) => " **missed**",
        None => "",
    };
    format!(
        "| {} | {} | {} {unit} | {} {unit} | {:.2} ({:.2} to {:.2}) | {bound}{verdict} |\n",
        text("what"),
        text("with"),
        short(number(&figure["value"])),
        short(number(&figure["base"])),
        number(&figure["ratio"]),
        number(&quartiles[0]),
        number(&quartiles[1]),
    )
}

/// Three significant digits or whole numbers.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

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
