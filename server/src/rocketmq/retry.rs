//! Messages that a consumer could not process: where they go next.

use millstream_engine::GroupRetries;

use super::answer::Refusal;
use super::delay;
use super::names::ScopedName;
use super::rows::NewMessage;
use super::tables::Tables;
use super::wire::properties::{DELAY_LEVEL, LETTER_ID, LETTER_TOPIC, REAL_QUEUE_ID, REAL_TOPIC, RETRY_TOPIC};

/// The level of the first retry is one above this.
const FIRST_LEVEL: i32 = 3;

/// Where a message of a group goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) topic: ScopedName,
    /// `None` for a dead letter.
    pub(super) waits: Option<RetryWait>,
}

/// For how long, and which level of delay that is in the words of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryWait {
    pub(super) level: i32,
    pub(super) ms: i64,
}

/// How a group's messages are tried again: as it is set, else as the client says, else as the server is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    group: ScopedName,
    steps: GroupRetries,
    /// How often a message is consumed again, at most.
    max_again: i32,
}

impl RetryPolicy {
    pub(super) fn of(tables: &Tables, group: ScopedName, said: Option<i32>) -> Result<RetryPolicy, Refusal> {
        let steps = tables.engine.group_retries(&tables.who, &group.namespace, &group.name)?;
        let again = |attempts: u32| i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let said = said.filter(|said| *said >= 0);
        let max_again = steps.max_attempts.map(again).or(said).unwrap_or_else(|| again(tables.settings.max_attempts));
        Ok(RetryPolicy { group, steps, max_again })
    }

    /// Of a message that was consumed again `times` times already. The level 0 leaves it to us, one below it asks for a dead letter.
    pub(super) fn after(&self, level: i32, times: i32) -> Retry {
        if level < 0 || times >= self.max_again {
            return Retry { topic: self.group.dead_letter_topic(), waits: None };
        }
        let own = FIRST_LEVEL.saturating_add(times);
        let attempts = u32::try_from(times).unwrap_or(0).saturating_add(1);
        let wait = match (level, self.steps.wait_ms(attempts)) {
            (0, Some(ms)) => RetryWait { level: own, ms: i64::try_from(ms).unwrap_or(i64::MAX) },
            (0, None) => RetryWait { level: own, ms: delay::of_level(own.into()) },
            (level, _) => RetryWait { level, ms: delay::of_level(level.into()) },
        };
        Retry { topic: self.group.retry_topic(), waits: Some(wait) }
    }
}

/// Has a message wait for its time.
pub(super) fn delay(message: &mut NewMessage, retry: &Retry, now_ms: i64) {
    match retry.waits {
        None => {
            message.set(DELAY_LEVEL, "-1".to_owned());
            let origin = message.properties.iter().find(|(name, _)| name == RETRY_TOPIC);
            if let Some(topic) = origin.map(|(_, topic)| ScopedName::parse(topic).name) {
                message.set(LETTER_TOPIC, topic);
                message.set(LETTER_ID, message.message_id.clone().unwrap_or_default());
            }
        }
        Some(RetryWait { level, ms }) => {
            message.set(DELAY_LEVEL, level.to_string());
            message.set(REAL_TOPIC, retry.topic.wire());
            message.set(REAL_QUEUE_ID, "0".to_owned());
            message.deliver_ms = Some(now_ms.saturating_add(ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(max_again: i32, steps_ms: &[u64]) -> RetryPolicy {
        let group = ScopedName { namespace: "public".to_owned(), name: "g".to_owned() };
        RetryPolicy { group, steps: GroupRetries { steps_ms: steps_ms.to_vec(), ..Default::default() }, max_again }
    }

    fn check(policy: &RetryPolicy, level: i32, times: i32, topic: &str, expected: Option<(i32, i64)>) {
        let retry = policy.after(level, times);
        let waits = retry.waits.map(|wait| (wait.level, wait.ms));
        assert_eq!((retry.topic.name.as_str(), waits), (topic, expected), "{level} {times} {policy:?}");
    }

    #[test]
    fn levels_grow_until_the_message_is_given_up() {
        let policy = |max| policy(max, &[]);
        check(&policy(16), 0, 0, "%RETRY%g", Some((3, 10_000)));
        check(&policy(16), 0, 15, "%RETRY%g", Some((18, 7_200_000)));
        check(&policy(16), 5, 1, "%RETRY%g", Some((5, 60_000)));
        check(&policy(16), 0, 16, "%DLQ%g", None);
        check(&policy(16), -1, 0, "%DLQ%g", None);
        check(&policy(2), 0, 2, "%DLQ%g", None);
    }

    #[test]
    fn a_group_s_own_steps_go_before_levels_but_not_before_what_a_client_asks_for() {
        let policy = policy(4, &[200, 700]);
        check(&policy, 0, 0, "%RETRY%g", Some((3, 200)));
        check(&policy, 0, 1, "%RETRY%g", Some((4, 700)));
        check(&policy, 0, 3, "%RETRY%g", Some((6, 700)));
        check(&policy, 2, 1, "%RETRY%g", Some((2, 5_000)));
        check(&policy, 0, 4, "%DLQ%g", None);
    }
}
