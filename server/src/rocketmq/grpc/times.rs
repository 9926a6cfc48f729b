//! Times as the protocol has them.

use std::time::Duration;

pub(super) fn timestamp(ms: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: ms.div_euclid(1_000), nanos }
}

/// In ms since the Unix epoch; `None` for what is no time.
pub(super) fn millis(timestamp: &prost_types::Timestamp) -> Option<i64> {
    let nanos = u32::try_from(timestamp.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    timestamp.seconds.checked_mul(1_000)?.checked_add(i64::from(nanos / 1_000_000))
}

/// `None` for what is none, or below zero.
pub(super) fn duration(said: &prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(said.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(said.seconds).ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back_and_wrong_ones_are_none() {
        for ms in [0, 1, 999, 1_795_889_531_769, -1, -1_001] {
            assert_eq!(millis(&timestamp(ms)), Some(ms));
        }
        let of = |seconds, nanos| millis(&prost_types::Timestamp { seconds, nanos });
        assert_eq!((of(i64::MAX, 0), of(0, -1), of(0, i32::MAX)), (None, None, None));
        let of = |seconds, nanos| duration(&prost_types::Duration { seconds, nanos });
        assert_eq!(of(1, 500_000_000), Some(Duration::from_millis(1_500)));
        assert_eq!((of(-1, 0), of(0, -1), of(0, 1_000_000_000)), (None, None, None));
        assert_eq!(of(i64::MAX, 0).map(|long| long.as_secs()), Some(i64::MAX.unsigned_abs()));
    }
}
