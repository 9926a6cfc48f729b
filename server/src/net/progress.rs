//! How messages come in: steadily, or too slowly.

use std::time::Duration;

use tokio::time::Instant;

/// How often a message that is arriving is looked at.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// What must come within a time-out for a message not to be late.
const STEP_BYTES: usize = 64 << 10;
/// How long a message may pause, and the whole of it may take, where others wait for its room.
const WANTED_PAUSE: Duration = Duration::from_secs(1);
const WANTED_WHOLE: Duration = Duration::from_secs(6);
/// How far a message has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    begun: Instant,
    /// When the last whole step had come, and all that had by then.
    step: (Instant, usize),
}

impl Progress {
    pub(super) fn new(now: Instant) -> Progress {
        Progress { begun: now, step: (now, 0) }
    }

    /// Whether a message of which `received` bytes are here has taken too long.
    pub(super) fn is_late(&mut self, now: Instant, received: usize, wanted: bool, timeout: Duration) -> bool {
        if received >= self.step.1 + STEP_BYTES {
            self.step = (now, received);
        }
        let pause = if wanted { WANTED_PAUSE.min(timeout) } else { timeout };
        now - self.step.0 > pause || (wanted && now - self.begun > WANTED_WHOLE.max(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_late_when_it_pauses_or_others_wait() {
        let (start, timeout) = (Instant::now(), Duration::from_secs(10));
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let late = |wanted, steps: &[(u64, usize)]| {
            let mut progress = Progress::new(start);
            steps.iter().any(|(seconds, received)| progress.is_late(at(*seconds), *received, wanted, timeout))
        };
        assert!(!late(false, &[(9, 0), (10, 0)]));
        assert!(late(false, &[(11, 0)]));
        assert!(late(false, &[(9, 60_000), (11, 65_000)]), "a few bytes are no progress");
        let steady: Vec<_> = (1..100).map(|second| (second * 9, second as usize * STEP_BYTES)).collect();
        assert!(!late(false, &steady), "slow is not late");
        assert!(late(true, &steady));
        assert!(late(true, &[(2, 1000)]));
        assert!(!late(true, &[(1, 100_000), (2, 300_000), (3, 500_000)]));
        assert!(late(true, &(1..8).map(|second| (second, second as usize * STEP_BYTES)).collect::<Vec<_>>()));
    }
}
