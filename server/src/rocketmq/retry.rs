//! Messages that a consumer could not process: where they go next.

use super::answer::Refusal;
use super::delay;
use super::names::ScopedName;
use super::rows::NewMessage;
use super::wire::properties::{DELAY_LEVEL, REAL_QUEUE_ID, REAL_TOPIC};

/// How often a message is consumed again, at most, where the client does not say.
pub(super) const DEFAULT_MAX: i32 = 16;
/// The level of the first retry is one above this.
const FIRST_LEVEL: i32 = 3;

/// Where a message of a group goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) topic: ScopedName,
    /// `None` for a dead letter.
    pub(super) level: Option<i32>,
}

/// Of a message that was consumed again `times` times already. The level 0 leaves it to us, one below it asks for a dead letter.
pub(super) fn after(group: &ScopedName, level: i32, times: i32, max: i32) -> Retry {
    if level < 0 || times >= max {
        return Retry { topic: group.dead_letter_topic(), level: None };
    }
    let level = if level == 0 { FIRST_LEVEL.saturating_add(times) } else { level };
    Retry { topic: group.retry_topic(), level: Some(level) }
}

/// Has a message wait for the level's time.
pub(super) fn delay(message: &mut NewMessage, retry: &Retry, now_ms: i64) -> Result<(), Refusal> {
    match retry.level {
        None => message.set(DELAY_LEVEL, "-1".to_owned()),
        Some(level) => {
            message.set(DELAY_LEVEL, level.to_string());
            message.set(REAL_TOPIC, retry.topic.wire());
            message.set(REAL_QUEUE_ID, "0".to_owned());
            message.deliver_ms = Some(now_ms.saturating_add(delay::of_level(level.into())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_grow_until_the_message_is_given_up() {
        let group = ScopedName { namespace: "public".to_owned(), name: "g".to_owned() };
        let check = |level, times, max, topic: &str, expected| {
            let retry = after(&group, level, times, max);
            assert_eq!((retry.topic.name.as_str(), retry.level), (topic, expected), "{level} {times} {max}");
        };
        check(0, 0, 16, "%RETRY%g", Some(3));
        check(0, 15, 16, "%RETRY%g", Some(18));
        check(5, 1, 16, "%RETRY%g", Some(5));
        check(0, 16, 16, "%DLQ%g", None);
        check(-1, 0, 16, "%DLQ%g", None);
        check(0, 2, 2, "%DLQ%g", None);
    }
}
