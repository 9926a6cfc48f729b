//! Which windows a time is in.

use std::fmt;
use std::str::FromStr;

use arrow::datatypes::TimeUnit;

/// How windows follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum WindowKind {
    /// Side by side.
    Tumble,
    /// Of one size, a new one at every step.
    Hop,
    /// They begin as tumbling ones do, and a time is in each of those that end at a step after it.
    Cumulate,
}

impl WindowKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            WindowKind::Tumble => "TUMBLE",
            WindowKind::Hop => "HOP",
            WindowKind::Cumulate => "CUMULATE",
        }
    }
}

/// Windows of a kind; lengths in ticks: µs as written, or a column's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WindowSpec {
    pub(crate) kind: WindowKind,
    pub(crate) size: i64,
    /// Of TUMBLE the size.
    pub(crate) step: i64,
    /// Windows begin at whole sizes or steps after the epoch and this.
    pub(crate) offset: i64,
}

/// `HOP 20000000 60000000 0`: kind, step, size, offset in µs.
impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.kind.name(), self.step, self.size, self.offset)
    }
}

impl FromStr for WindowSpec {
    type Err = ();

    fn from_str(text: &str) -> Result<WindowSpec, ()> {
        let mut parts = text.split(' ');
        let kind = match parts.next() {
            Some("TUMBLE") => WindowKind::Tumble,
            Some("HOP") => WindowKind::Hop,
            Some("CUMULATE") => WindowKind::Cumulate,
            _ => return Err(()),
        };
        let mut ticks = || parts.next().and_then(|part| part.parse().ok()).ok_or(());
        let (step, size, offset): (i64, i64, i64) = (ticks()?, ticks()?, ticks()?);
        if step <= 0 || size <= 0 || parts.next().is_some() {
            return Err(());
        }
        Ok(WindowSpec { kind, size, step, offset })
    }
}

impl WindowSpec {
    /// The same windows in ticks of a unit; `None` if their bounds lie between its ticks.
    pub(crate) fn in_unit(self, unit: TimeUnit) -> Option<WindowSpec> {
        let ticks = |us: i64| match unit {
            TimeUnit::Nanosecond => us.checked_mul(1000),
            coarse => {
                let us_per_tick = 1_000_000 / per_second(coarse);
                (us % us_per_tick == 0).then_some(us / us_per_tick)
            }
        };
        Some(WindowSpec { size: ticks(self.size)?, step: ticks(self.step)?, offset: ticks(self.offset)?, ..self })
    }

    /// How many windows a time may be in.
    pub(crate) fn windows_per_time(self) -> i64 {
        match self.kind {
            WindowKind::Tumble => 1,
            WindowKind::Hop | WindowKind::Cumulate => self.size.saturating_add(self.step - 1) / self.step,
        }
    }

    /// The ends of the windows that a time is in, the earliest first; `None` if one of them is out of range.
    pub(crate) fn ends(self, time: i64) -> Option<Ends> {
        let next = match self.kind {
            WindowKind::Tumble => self.floor(time, self.size)?.checked_add(self.size)?,
            WindowKind::Hop => {
                // The first window that begins after `time - size`.
                let start = self.floor(time.checked_sub(self.size)?, self.step)?.checked_add(self.step)?;
                start.checked_add(self.size)?
            }
            WindowKind::Cumulate => {
                let base = self.floor(time, self.size)?;
                let steps = (time.checked_sub(base)? / self.step).checked_add(1)?;
                base.checked_add(steps.checked_mul(self.step)?)?
            }
        };
        let last = match self.kind {
            WindowKind::Hop => self.floor(time, self.step)?.checked_add(self.size)?,
            WindowKind::Tumble | WindowKind::Cumulate => self.floor(time, self.size)?.checked_add(self.size)?,
        };
        Some(Ends { next: (next <= last).then_some(next), last, step: self.step })
    }

    /// Where the window begins that ends there.
    pub(crate) fn start(self, end: i64) -> Option<i64> {
        match self.kind {
            WindowKind::Tumble | WindowKind::Hop => end.checked_sub(self.size),
            WindowKind::Cumulate => self.floor(end.checked_sub(1)?, self.size),
        }
    }

    /// The length of the pieces that windows are made of: those times are in the same windows.
    pub(crate) fn pane(self) -> i64 {
        match self.kind {
            WindowKind::Tumble => self.size,
            WindowKind::Cumulate => self.step,
            WindowKind::Hop => greatest_common_divisor(self.size, self.step),
        }
    }

    /// Where the pane begins that a time is in.
    pub(crate) fn pane_of(self, time: i64) -> Option<i64> {
        self.floor(time, self.pane())
    }

    fn floor(self, time: i64, length: i64) -> Option<i64> {
        let since = time.checked_sub(self.offset)?;
        since.checked_sub(since.rem_euclid(length))?.checked_add(self.offset)
    }
}

/// Ends of windows, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    next: Option<i64>,
    last: i64,
    step: i64,
}

impl Iterator for Ends {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        let end = self.next?;
        self.next = end.checked_add(self.step).filter(|next| *next <= self.last);
        Some(end)
    }
}

/// Ticks of a unit in a second.
pub(crate) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn greatest_common_divisor(mut one: i64, mut other: i64) -> i64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> WindowSpec {
        let spec: WindowSpec = text.parse().unwrap();
        assert_eq!(spec.to_string(), text);
        spec
    }

    fn windows(spec: WindowSpec, time: i64) -> Vec<(i64, i64)> {
        spec.ends(time).unwrap().map(|end| (spec.start(end).unwrap(), end)).collect()
    }

    #[test]
    fn windows_of_a_time() {
        let tumble = spec("TUMBLE 10 10 0");
        assert_eq!(windows(tumble, 0), [(0, 10)]);
        assert_eq!(windows(tumble, 9), [(0, 10)]);
        assert_eq!(windows(tumble, -1), [(-10, 0)]);
        assert_eq!(windows(spec("TUMBLE 10 10 3"), 2), [(-7, 3)]);
        assert_eq!(windows(spec("TUMBLE 10 10 -3"), 7), [(7, 17)]);
        let hop = spec("HOP 5 10 0");
        assert_eq!(windows(hop, 0), [(-5, 5), (0, 10)]);
        assert_eq!(windows(hop, -1), [(-10, 0), (-5, 5)]);
        assert_eq!(windows(spec("HOP 4 10 0"), 9), [(0, 10), (4, 14), (8, 18)]);
        let gaps = spec("HOP 10 4 0");
        assert_eq!(windows(gaps, 3), [(0, 4)]);
        assert_eq!(windows(gaps, 4), []);
        assert_eq!(windows(gaps, -7), [(-10, -6)]);
        let cumulate = spec("CUMULATE 5 15 0");
        assert_eq!(windows(cumulate, 0), [(0, 5), (0, 10), (0, 15)]);
        assert_eq!(windows(cumulate, 14), [(0, 15)]);
        assert_eq!(windows(cumulate, -6), [(-15, -5), (-15, 0)]);
    }

    /// By the definition: of all windows that there are, those that have the time.
    #[test]
    fn panes_and_ends_agree_with_what_windows_are() {
        for text in ["TUMBLE 7 7 2", "HOP 3 10 1", "HOP 10 3 -4", "HOP 4 12 0", "CUMULATE 3 12 5"] {
            let spec = spec(text);
            for time in -60..60 {
                let all: Vec<(i64, i64)> = match spec.kind {
                    WindowKind::Cumulate => (-20..20)
                        .flat_map(|n| {
                            (1..=spec.size / spec.step).map(move |k| (n * spec.size + spec.offset, k * spec.step))
                        })
                        .map(|(start, length)| (start, start + length))
                        .collect(),
                    _ => {
                        (-60..60).map(|n| n * spec.step + spec.offset).map(|start| (start, start + spec.size)).collect()
                    }
                };
                let expected: Vec<_> = all.into_iter().filter(|(start, end)| (*start..*end).contains(&time)).collect();
                assert_eq!(windows(spec, time), expected, "{text} at {time}");
                let pane = spec.pane_of(time).unwrap();
                assert!((pane..pane + spec.pane()).contains(&time));
                assert_eq!(windows(spec, pane), expected, "{text}: a pane's times are in the same windows, {time}");
            }
        }
    }

    #[test]
    fn units_and_bounds() {
        let minute = spec("TUMBLE 60000000 60000000 1000000");
        assert_eq!(minute.in_unit(TimeUnit::Second), Some(spec("TUMBLE 60 60 1")));
        assert_eq!(minute.in_unit(TimeUnit::Nanosecond), Some(spec("TUMBLE 60000000000 60000000000 1000000000")));
        assert_eq!(spec("TUMBLE 1500 1500 0").in_unit(TimeUnit::Millisecond), None);
        assert_eq!(minute.in_unit(TimeUnit::Microsecond).unwrap().ends(i64::MAX).map(|_| ()), None);
        assert_eq!(minute.ends(i64::MIN).map(|_| ()), None);
    }
}
