//! When a message is to be delivered, by what its properties say.

use millstream_engine::MAX_DELAY_US;

use super::answer::Refusal;
use super::wire::properties::{DELAY_LEVEL, START_DELIVER_TIME, TIMER_DELAY_MS, TIMER_DELAY_SEC, TIMER_DELIVER_MS};

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Delays of the levels 1, 2, …
pub(super) const LEVELS_MS: [i64; 18] = [
    SECOND_MS,
    5 * SECOND_MS,
    10 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    2 * MINUTE_MS,
    3 * MINUTE_MS,
    4 * MINUTE_MS,
    5 * MINUTE_MS,
    6 * MINUTE_MS,
    7 * MINUTE_MS,
    8 * MINUTE_MS,
    9 * MINUTE_MS,
    10 * MINUTE_MS,
    20 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
];

/// A level's delay; above the last one, that of the last one.
pub(super) fn of_level(level: i64) -> i64 {
    let index = usize::try_from(level.saturating_sub(1)).unwrap_or(0);
    LEVELS_MS.get(index).or(LEVELS_MS.last()).copied().unwrap_or(0)
}

/// The time, in ms, at which a message with these properties is to be delivered; `None` at once.
pub(super) fn deliver_at(properties: &[(String, String)], now_ms: i64) -> Result<Option<i64>, Refusal> {
    let number = |name: &str| {
        let found = properties.iter().find(|(property, _)| property == name);
        let parse = |(_, text): &(String, String)| {
            text.trim()
                .parse::<i64>()
                .map_err(|_| Refusal::illegal(format!("the property {name} is {text:?}, which is no number")))
        };
        found.map(parse).transpose()
    };
    let after = |delay_ms: i64| now_ms.saturating_add(delay_ms);
    let (level, at) = (number(DELAY_LEVEL)?, number(START_DELIVER_TIME)?);
    let at = match at {
        Some(at) => Some(at),
        None => number(TIMER_DELIVER_MS)?,
    };
    let delays = [
        at,
        number(TIMER_DELAY_MS)?.map(after),
        number(TIMER_DELAY_SEC)?.map(|seconds| after(seconds.saturating_mul(SECOND_MS))),
    ];
    let deliver = match (delays.into_iter().flatten().next(), level) {
        (Some(at), _) => at,
        (None, Some(level)) if level > 0 => {
            if level > LEVELS_MS.len() as i64 {
                let levels = LEVELS_MS.len();
                return Err(Refusal::illegal(format!("delay level {level}: there are the levels 1 to {levels}")));
            }
            after(of_level(level))
        }
        (None, _) => return Ok(None),
    };
    if deliver.saturating_sub(now_ms) > MAX_DELAY_US / 1_000 {
        return Err(Refusal::illegal("a message is delayed by at most 40 days"));
    }
    Ok((deliver > now_ms).then_some(deliver))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(properties: &[(&str, &str)], expected: Result<Option<i64>, &str>) {
        let properties: Vec<_> = properties.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        match (deliver_at(&properties, 1_000_000), expected) {
            (Ok(at), Ok(expected)) => assert_eq!(at, expected, "{properties:?}"),
            (Err(refusal), Err(part)) => assert!(refusal.remark.contains(part), "{refusal:?}"),
            (got, expected) => panic!("{properties:?}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn each_property_delays_and_wrong_ones_are_refused() {
        check(&[], Ok(None));
        check(&[("DELAY", "0")], Ok(None));
        check(&[("DELAY", "1")], Ok(Some(1_001_000)));
        check(&[("DELAY", "18")], Ok(Some(1_000_000 + 2 * HOUR_MS)));
        check(&[("DELAY", "19")], Err("1 to 18"));
        check(&[("DELAY", "x")], Err("no number"));
        check(&[("__STARTDELIVERTIME", "1000500")], Ok(Some(1_000_500)));
        check(&[("__STARTDELIVERTIME", "999999")], Ok(None));
        check(&[("TIMER_DELIVER_MS", "1000001"), ("DELAY", "3")], Ok(Some(1_000_001)));
        check(&[("TIMER_DELAY_SEC", "2")], Ok(Some(1_002_000)));
        check(&[("TIMER_DELAY_MS", "7")], Ok(Some(1_000_007)));
        check(&[("TIMER_DELAY_SEC", "3456000")], Ok(Some(1_000_000 + 40 * 24 * HOUR_MS)));
        check(&[("TIMER_DELAY_SEC", "3456001")], Err("at most 40 days"));
        check(&[("TIMER_DELAY_SEC", "9223372036854775807")], Err("at most 40 days"));
        assert_eq!((of_level(3), of_level(99)), (10_000, 2 * HOUR_MS));
    }
}
