//! Which time it is, by two clocks of which one may step.

/// A difference between the clocks up to which the wall clock is followed at once: NTP's corrections and short pauses.
pub(crate) const STEP_US: i64 = 60 * 1_000_000;
/// For how long the clocks must agree before a small step, or the time that the machine was off, is taken for the truth,
pub(super) const SETTLED_US: i64 = 3600 * 1_000_000;
/// and a large one.
const LONGEST_SETTLED_US: i64 = 24 * SETTLED_US;

/// The start of 2025, µs: machines without a battery begin long before, until they hear of the time.
const PLAUSIBLE_US: i64 = 1_735_689_600_000_000;

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// µs since the Unix epoch.
    pub wall_us: i64,
    /// µs since opening, by the monotonic clock.
    pub elapsed_us: i64,
}

/// What a look has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The wall clock shows another time than the one that is believed.
    Stepped { by_us: i64 },
    /// It shows the believed time again.
    Returned,
    /// It has gone evenly for long enough after a step, and is believed.
    Settled { by_us: i64 },
}

/// Believes the wall clock while it goes as the monotonic one does.
#[derive(Debug)]
pub(super) struct Judge {
    believed: Reading,
    /// What was believed before a step back settled: whether that was the wrong one shows when the clock returns to it.
    before: Option<Reading>,
    doubt: Option<Doubt>,
}

#[derive(Debug, Clone, Copy)]
struct Doubt {
    since_us: i64,
    /// The wall clock less what had passed.
    offset_us: i64,
}

impl Reading {
    /// The wall clock's time if it has gone evenly since.
    fn after(self, elapsed_us: i64) -> i64 {
        self.wall_us.saturating_add(elapsed_us.saturating_sub(self.elapsed_us))
    }

    fn is_near(self, reading: Reading) -> bool {
        reading.wall_us.saturating_sub(self.after(reading.elapsed_us)).unsigned_abs() <= STEP_US.unsigned_abs()
    }
}

impl Judge {
    /// Begins at opening with a time to believe.
    pub(super) fn new(wall_us: i64) -> Judge {
        Judge { believed: Reading { wall_us, elapsed_us: 0 }, before: None, doubt: None }
    }

    /// As [`Self::new`], with a step that has lasted for some time already.
    pub(super) fn doubting(wall_us: i64, (by_us, lasts_us): (i64, i64)) -> Judge {
        let doubt = Doubt { since_us: lasts_us.saturating_neg(), offset_us: wall_us.saturating_add(by_us) };
        Judge { doubt: Some(doubt), ..Judge::new(wall_us) }
    }

    /// The step that is not believed yet: by how much, and for how long it has lasted.
    pub(super) fn doubt(&self, elapsed_us: i64) -> Option<(i64, i64)> {
        let doubt = self.doubt?;
        let by_us = doubt.offset_us.saturating_add(elapsed_us).saturating_sub(self.expected_us(elapsed_us));
        Some((by_us, elapsed_us.saturating_sub(doubt.since_us)))
    }

    /// What the wall clock should show.
    pub(super) fn expected_us(&self, elapsed_us: i64) -> i64 {
        self.believed.after(elapsed_us)
    }

    /// Whether [`Self::look`] would find a step that it has not seen before.
    pub(super) fn would_step(&self, reading: Reading) -> bool {
        !self.is_right(reading) && !self.doubts(reading)
    }

    /// The believed time, and what this reading changes.
    pub(super) fn look(&mut self, reading: Reading) -> (i64, Option<Turn>) {
        if self.is_right(reading) {
            let returned = self.doubt.take().is_some() || !self.believed.is_near(reading);
            if !self.believed.is_near(reading) {
                self.before = None;
            }
            self.believed = reading;
            return (reading.wall_us, returned.then_some(Turn::Returned));
        }
        let expected_us = self.expected_us(reading.elapsed_us);
        let by_us = reading.wall_us.saturating_sub(expected_us);
        if expected_us < PLAUSIBLE_US && reading.wall_us >= PLAUSIBLE_US {
            *self = Judge { believed: reading, before: None, doubt: None };
            return (reading.wall_us, Some(Turn::Settled { by_us }));
        }
        if !self.doubts(reading) {
            let offset_us = reading.wall_us.saturating_sub(reading.elapsed_us);
            self.doubt = Some(Doubt { since_us: reading.elapsed_us, offset_us });
            return (expected_us, Some(Turn::Stepped { by_us }));
        }
        let lasts = self.doubt.map_or(0, |doubt| reading.elapsed_us.saturating_sub(doubt.since_us));
        if lasts < settles_after_us(by_us) {
            return (expected_us, None);
        }
        self.doubt = None;
        if by_us < 0 {
            self.before.get_or_insert(self.believed);
        } else {
            self.before = None;
        }
        self.believed = reading;
        (reading.wall_us, Some(Turn::Settled { by_us }))
    }

    fn is_right(&self, reading: Reading) -> bool {
        self.believed.is_near(reading) || self.before.is_some_and(|before| before.is_near(reading))
    }

    fn doubts(&self, reading: Reading) -> bool {
        let offset_us = reading.wall_us.saturating_sub(reading.elapsed_us);
        self.doubt
            .is_some_and(|doubt| offset_us.saturating_sub(doubt.offset_us).unsigned_abs() <= STEP_US.unsigned_abs())
    }
}

/// How long a step must last to be believed.
pub(super) fn settles_after_us(by_us: i64) -> i64 {
    by_us.saturating_abs().saturating_div(10).clamp(SETTLED_US, LONGEST_SETTLED_US)
}
