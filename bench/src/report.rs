//! One JSON line a figure, and a table for people at the end.

use serde::Serialize;

/// A measured figure beside the limit that was measured in the same run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What the machine, or a rival, did in the same run; none where the target is absolute.
    pub(crate) limit: Option<f64>,
    /// value / limit.
    pub(crate) ratio: Option<f64>,
    /// The bound on the ratio, or on the value where there is no limit. None: reported only.
    pub(crate) target: Option<f64>,
    pub(crate) met: Option<bool>,
    pub(crate) note: String,
}

impl Figure {
    /// Reported, with nothing to reach.
    pub(crate) fn reported(name: &'static str, value: f64, unit: &'static str, note: impl Into<String>) -> Figure {
        Figure { name, value, unit, limit: None, ratio: None, target: None, met: None, note: note.into() }
    }

    /// To reach at least `target` times the limit.
    pub(crate) fn at_least(mut self, limit: f64, target: f64) -> Figure {
        let ratio = self.value / limit;
        self.limit = Some(limit);
        self.ratio = Some(ratio);
        self.target = Some(target);
        self.met = Some(ratio >= target);
        self
    }

    /// To stay at or below `target` times the limit.
    pub(crate) fn at_most(mut self, limit: f64, target: f64) -> Figure {
        let ratio = self.value / limit;
        self.limit = Some(limit);
        self.ratio = Some(ratio);
        self.target = Some(target);
        self.met = Some(ratio <= target);
        self
    }

    /// The value itself is to stay at or below `target`.
    pub(crate) fn value_at_most(mut self, target: f64) -> Figure {
        self.target = Some(target);
        self.met = Some(self.value <= target);
        self
    }

    /// The value itself is to reach `target`.
    pub(crate) fn value_at_least(mut self, target: f64) -> Figure {
        self.target = Some(target);
        self.met = Some(self.value >= target);
        self
    }

    /// As [`Self::at_least`], with a limit that is only reported.
    pub(crate) fn beside(mut self, limit: f64) -> Figure {
        self.limit = Some(limit);
        self.ratio = Some(self.value / limit);
        self
    }

    /// Prints the line.
    #[allow(clippy::print_stdout, reason = "the figures are this program's output")]
    pub(crate) fn print(&self) {
        match serde_json::to_string(self) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("{}: {error}", self.name),
        }
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which `share` of the others lie.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = ((values.len() as f64 - 1.0) * share).round() as usize;
    values.get(index).copied().unwrap_or(f64::NAN)
}
