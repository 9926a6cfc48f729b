//! How long to wait before a server that could not be reached is tried again.

use std::time::Duration;

use uuid::Uuid;

/// The wait after so many attempts in a row have failed: it doubles up to a limit, and is a little longer or shorter each time,
/// so that clients which lost their server together don't come back together.
pub(crate) fn wait(first: Duration, most: Duration, failed: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    let [chance, ..] = Uuid::new_v4().into_bytes();
    doubled.min(most.max(first)).mul_f64(0.8 + 0.4 * f64::from(chance) / f64::from(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let wait = |first, most, failed| wait(Duration::from_millis(first), Duration::from_millis(most), failed);
        for (failed, expected) in
            [(0, 100), (1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (6, 1000), (u32::MAX, 1000)]
        {
            let of_expected = wait(100, 1000, failed).as_secs_f64() * 1000.0 / f64::from(expected);
            assert!((0.79..1.21).contains(&of_expected), "{failed} failed: {of_expected} of {expected} ms");
        }
        assert!(wait(2000, 1000, 3) > Duration::from_millis(1500), "a first wait above the limit stays");
        let waits: std::collections::BTreeSet<Duration> = (0..100).map(|_| wait(1000, 1000, 1)).collect();
        assert!(waits.len() > 10, "all alike: {waits:?}");
    }
}
