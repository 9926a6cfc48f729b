//! The parameters of a consumer, checked before anything else happens.

use std::time::Duration;

use crate::model::{ConsumerConfig, Error, GroupMode, Result};

const GROUP_ID_BYTES: usize = 192;
const CLIENT_ID_BYTES: usize = 255;
const SESSION_MS: std::ops::RangeInclusive<u64> = 6_000..=1_800_000;
const MIN_MAX_POLL_INTERVAL_MS: u64 = 1_000;
/// Twenty-four days, which is what an int of milliseconds holds in the clients this comes from.
const LONGEST_MS: u64 = i32::MAX as u64;
const MAX_POLL_ROWS: usize = 16 << 20;

impl ConsumerConfig {
    /// Checks every parameter; [`crate::front::Engine::join`] does it too. The error names the parameter, its value and its range.
    pub fn validate(&self) -> Result<()> {
        identifier("group.id", &self.group_id, 1, GROUP_ID_BYTES)?;
        let broadcast = self.mode == GroupMode::Broadcast;
        identifier("client.id", &self.client_id, usize::from(broadcast), CLIENT_ID_BYTES).map_err(|error| {
            if broadcast && self.client_id.is_empty() {
                let message = "client.id is required in a broadcast group: offsets are kept under it";
                return Error::InvalidInput(message.to_owned());
            }
            error
        })?;
        milliseconds("session.timeout.ms", self.session_timeout, *SESSION_MS.start(), *SESSION_MS.end())?;
        milliseconds("max.poll.interval.ms", self.max_poll_interval, MIN_MAX_POLL_INTERVAL_MS, LONGEST_MS)?;
        milliseconds("auto.commit.interval.ms", self.auto_commit_interval, 0, LONGEST_MS)?;
        rows("max.poll.rows", self.max_poll_rows, MAX_POLL_ROWS)?;
        rows("min.poll.rows", self.min_poll_rows, self.max_poll_rows)
    }
}

fn identifier(name: &str, value: &str, min: usize, max: usize) -> Result<()> {
    if value.len() < min || value.len() > max {
        return Err(Error::InvalidInput(format!("{name} must have {min} to {max} bytes, it has {}", value.len())));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::InvalidInput(format!("{name} {value:?} holds a control character")));
    }
    Ok(())
}

fn milliseconds(name: &str, value: Duration, min: u64, max: u64) -> Result<()> {
    if value >= Duration::from_millis(min) && value <= Duration::from_millis(max) {
        return Ok(());
    }
    Err(Error::InvalidInput(format!("{name} must be {min} to {max}, it is {}", value.as_millis())))
}

fn rows(name: &str, value: usize, max: usize) -> Result<()> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::InvalidInput(format!("{name} must be 1 to {max}, it is {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl Fn(&mut ConsumerConfig), expected: Option<&str>) {
        let mut config = ConsumerConfig { group_id: "g".to_owned(), ..ConsumerConfig::default() };
        change(&mut config);
        assert_eq!(config.validate().err().map(|error| error.to_string()).as_deref(), expected);
    }

    #[test]
    fn ranges() {
        check(|_| {}, None);
        check(|c| c.group_id.clear(), Some("group.id must have 1 to 192 bytes, it has 0"));
        check(|c| c.group_id = "g".repeat(192), None);
        check(|c| c.group_id = "g".repeat(193), Some("group.id must have 1 to 192 bytes, it has 193"));
        check(|c| c.group_id = "a\nb".to_owned(), Some("group.id \"a\\nb\" holds a control character"));
        check(|c| c.client_id = "c".repeat(255), None);
        check(|c| c.client_id = "c".repeat(256), Some("client.id must have 0 to 255 bytes, it has 256"));
        let ms = Duration::from_millis;
        let session = "session.timeout.ms must be 6000 to 1800000, it is";
        check(|c| c.session_timeout = ms(5_999), Some(&format!("{session} 5999")));
        check(|c| c.session_timeout = ms(6_000), None);
        check(|c| c.session_timeout = ms(1_800_000), None);
        check(|c| c.session_timeout = ms(1_800_001), Some(&format!("{session} 1800001")));
        let slow = "max.poll.interval.ms must be 1000 to 2147483647, it is 999";
        check(|c| c.max_poll_interval = ms(999), Some(slow));
        check(|c| c.max_poll_interval = ms(1_000), None);
        check(|c| c.max_poll_rows = 0, Some("max.poll.rows must be 1 to 16777216, it is 0"));
        check(|c| c.min_poll_rows = 0, Some("min.poll.rows must be 1 to 65536, it is 0"));
        check(|c| c.min_poll_rows = 65_537, Some("min.poll.rows must be 1 to 65536, it is 65537"));
        let broadcast = "client.id is required in a broadcast group: offsets are kept under it";
        check(|c| c.mode = GroupMode::Broadcast, Some(broadcast));
    }
}
