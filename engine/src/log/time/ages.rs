//! How old rows are. Append times are an axis on which a step of the clock leaves a hole, and on which a log that waits for the
//! clock creeps; what has passed between two of its points is kept here.

/// While the log is ahead of a clock that is believed, its time goes this many times slower.
pub(super) const SLOWNESS: i64 = 1_000;

/// Older ones are let go: what lies below goes evenly.
const MAX_KNOTS: usize = 256;

/// Where the pace changes: an append time, and what has passed until then, from an arbitrary point, both in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Knot {
    pub axis_us: i64,
    pub counted_us: i64,
}

/// From append times to what has passed: straight lines between knots, an even pace before the first and behind the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ages {
    knots: Vec<Knot>,
    /// Behind the last knot the axis creeps.
    slow: bool,
}

impl Ages {
    pub(super) fn new(knots: Vec<Knot>) -> Ages {
        Ages { knots, slow: false }
    }

    /// Nothing is known of what was before: all of it is as old as this.
    pub(super) fn beginning_at(axis_us: i64) -> Ages {
        let counted_us = axis_us;
        Ages::new(vec![Knot { axis_us: axis_us.min(0), counted_us }, Knot { axis_us, counted_us }])
    }

    pub(super) fn knots(&self) -> &[Knot] {
        &self.knots
    }

    pub(super) fn last_axis(&self) -> Option<i64> {
        self.knots.last().map(|knot| knot.axis_us)
    }

    /// What has passed until an append time.
    pub(super) fn counted(&self, axis_us: i64) -> i64 {
        let after = self.knots.partition_point(|knot| knot.axis_us <= axis_us);
        let before = after.checked_sub(1).and_then(|at| self.knots.get(at));
        match (before, self.knots.get(after)) {
            (None, None) => axis_us,
            (None, Some(next)) => next.counted_us.saturating_sub(next.axis_us.saturating_sub(axis_us)),
            (Some(last), None) => {
                let pace = if self.slow { SLOWNESS } else { 1 };
                last.counted_us.saturating_add(axis_us.saturating_sub(last.axis_us).saturating_mul(pace))
            }
            (Some(from), Some(to)) => {
                let share = scaled(axis_us - from.axis_us, to.counted_us - from.counted_us, to.axis_us - from.axis_us);
                from.counted_us.saturating_add(share)
            }
        }
    }

    /// The first append time until which so much has passed.
    pub(super) fn axis_at(&self, counted_us: i64) -> i64 {
        let after = self.knots.partition_point(|knot| knot.counted_us < counted_us);
        let before = after.checked_sub(1).and_then(|at| self.knots.get(at));
        match (before, self.knots.get(after)) {
            (None, None) => counted_us,
            (None, Some(next)) => next.axis_us.saturating_sub(next.counted_us.saturating_sub(counted_us)),
            (Some(last), None) => {
                let pace = if self.slow { SLOWNESS } else { 1 };
                last.axis_us.saturating_add(counted_us.saturating_sub(last.counted_us) / pace)
            }
            (Some(from), Some(to)) => {
                let share =
                    scaled(counted_us - from.counted_us, to.axis_us - from.axis_us, to.counted_us - from.counted_us);
                from.axis_us.saturating_add(share)
            }
        }
    }

    /// The axis goes on from `from` at `to`, and nothing has passed between.
    pub(super) fn jump(&mut self, from: i64, to: i64) {
        let counted_us = self.counted(from);
        self.push(Knot { axis_us: from, counted_us });
        self.push(Knot { axis_us: to, counted_us });
    }

    /// From here on the axis creeps, at the pace of [`SLOWNESS`],
    pub(super) fn begin_slow(&mut self, axis_us: i64) {
        self.push(Knot { axis_us, counted_us: self.counted(axis_us) });
        self.slow = true;
    }

    /// until here.
    pub(super) fn end_slow(&mut self, axis_us: i64) {
        self.push(Knot { axis_us, counted_us: self.counted(axis_us) });
        self.slow = false;
    }

    /// Nothing has passed between these points after all.
    pub(super) fn leave_out(&mut self, from: i64, to: i64) {
        let (counted_us, end_us) = (self.counted(from), self.counted(to));
        self.knots.retain(|knot| knot.axis_us < from || knot.axis_us > to);
        let at = self.knots.partition_point(|knot| knot.axis_us < from);
        for later in self.knots.iter_mut().skip(at) {
            later.counted_us -= end_us - counted_us;
        }
        let between = [from, to].map(|axis_us| Knot { axis_us, counted_us });
        self.knots.splice(at..at, between);
    }

    /// What a [`Self::jump`] has left out counts.
    pub(super) fn count_again(&mut self, from: i64, to: i64) {
        for later in self.knots.iter_mut().filter(|knot| knot.axis_us >= to) {
            later.counted_us = later.counted_us.saturating_add(to - from);
        }
    }

    fn push(&mut self, knot: Knot) {
        let rises = |last: &Knot| last.axis_us <= knot.axis_us && last.counted_us <= knot.counted_us;
        debug_assert!(self.knots.last().is_none_or(rises), "{knot:?} after {:?}", self.knots);
        if self.knots.last() != Some(&knot) {
            self.knots.push(knot);
        }
        let over = self.knots.len().saturating_sub(MAX_KNOTS);
        self.knots.drain(..over);
    }
}

/// `part * whole / of`, where `of` is above 0.
fn scaled(part: i64, whole: i64, of: i64) -> i64 {
    let scaled = i128::from(part) * i128::from(whole) / i128::from(of.max(1));
    i64::try_from(scaled).unwrap_or(i64::MAX)
}
