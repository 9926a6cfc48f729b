//! How messages of a consumer group are tried again.

use serde::{Deserialize, Serialize};

use crate::model::{Error, Result};

/// The most that a group's attempts can be set to.
pub const MAX_GROUP_ATTEMPTS: u32 = 10_000;
/// The most steps, and how long each may be: no message is invisible for longer.
const MAX_STEPS: usize = 64;
const MIN_STEP_MS: u64 = 100;
const MAX_STEP_MS: u64 = 12 * 3_600_000;

/// What is set for a group; what is not is left to whoever hands out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRetries {
    /// How often a message is handed out, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// How long a message waits before its second time, its third, …; the last one holds for all that follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps_ms: Vec<u64>,
}

/// What is to be set for a group; the rest stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRetryChanges {
    /// 0 takes it away again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// None at all take them away again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_ms: Option<Vec<u64>>,
}

impl GroupRetries {
    /// How long a message waits that was handed out so often.
    pub fn wait_ms(&self, attempts: u32) -> Option<u64> {
        let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        self.steps_ms.get(step).or(self.steps_ms.last()).copied()
    }

    pub(crate) fn change(&mut self, changes: &GroupRetryChanges) {
        if let Some(max_attempts) = changes.max_attempts {
            self.max_attempts = (max_attempts > 0).then_some(max_attempts);
        }
        if let Some(steps_ms) = &changes.steps_ms {
            self.steps_ms.clone_from(steps_ms);
        }
    }
}

impl GroupRetryChanges {
    pub fn is_empty(&self) -> bool {
        *self == GroupRetryChanges::default()
    }

    pub(crate) fn check(&self) -> Result<()> {
        if let Some(attempts) = self.max_attempts.filter(|attempts| *attempts > MAX_GROUP_ATTEMPTS) {
            return Err(Error::InvalidInput(format!(
                "messages are handed out at most {MAX_GROUP_ATTEMPTS} times, not {attempts}"
            )));
        }
        let steps = self.steps_ms.as_deref().unwrap_or_default();
        if steps.len() > MAX_STEPS {
            let count = steps.len();
            return Err(Error::InvalidInput(format!(
                "a group has at most {MAX_STEPS} steps, not {count}; the last one holds for all that follow"
            )));
        }
        match steps.iter().find(|step| !(MIN_STEP_MS..=MAX_STEP_MS).contains(step)) {
            None => Ok(()),
            Some(step) => Err(Error::InvalidInput(format!(
                "a message waits 100 ms to 12 h before it is tried again, not {step} ms"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_holds_for_all_that_follow() {
        let mut retries = GroupRetries::default();
        assert_eq!(retries.wait_ms(1), None);
        retries.change(&GroupRetryChanges { max_attempts: Some(5), steps_ms: Some(vec![100, 200]) });
        let waits: Vec<_> = (0..5).map(|attempts| retries.wait_ms(attempts)).collect();
        assert_eq!(waits, [100, 100, 200, 200, 200].map(Some));
        retries.change(&GroupRetryChanges { max_attempts: Some(0), steps_ms: None });
        assert_eq!((retries.max_attempts, retries.steps_ms.len()), (None, 2));
        retries.change(&GroupRetryChanges { max_attempts: None, steps_ms: Some(Vec::new()) });
        assert_eq!(retries, GroupRetries::default());
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let refused = |max_attempts, steps_ms| {
            GroupRetryChanges { max_attempts: Some(max_attempts), steps_ms: Some(steps_ms) }.check().is_err()
        };
        assert!(refused(MAX_GROUP_ATTEMPTS + 1, Vec::new()));
        assert!(refused(1, vec![99]) && refused(1, vec![100, MAX_STEP_MS + 1]) && refused(1, vec![100; 65]));
        assert!(!refused(MAX_GROUP_ATTEMPTS, vec![100, MAX_STEP_MS]) && !refused(0, vec![100; 64]));
    }
}
