//! The parameters of a consumer. Names, defaults and ranges are those of docs/delivery.md.

use std::time::Duration;

use millstream_protocol::{AutoOffsetReset, Compression, DEFAULT_NAMESPACE, GroupMode};

use crate::error::{Error, Result};

/// Settings of a consumer; [`ConsumerOptions::parse`] takes them as `key = value` pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerOptions {
    pub namespace: String,
    pub group_id: String,
    pub client_id: String,
    pub auto_offset_reset: AutoOffsetReset,
    pub enable_auto_commit: bool,
    pub auto_commit_interval: Duration,
    pub session_timeout: Duration,
    pub max_poll_interval: Duration,
    pub min_poll_rows: u32,
    pub max_poll_rows: u32,
    /// Bytes that may wait in this process, for each topic.
    pub fetch_max_bytes: u64,
    pub mode: GroupMode,
    pub replay: bool,
    pub compression: Compression,
    /// The wait before a server that is away is tried again; it doubles from attempt to attempt.
    pub reconnect_interval: Duration,
    /// What the wait grows to.
    pub reconnect_max_interval: Duration,
    /// Attempts in a row after which a poll gives the error.
    pub reconnect_count: u32,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        ConsumerOptions {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            group_id: String::new(),
            client_id: String::new(),
            auto_offset_reset: AutoOffsetReset::Latest,
            enable_auto_commit: true,
            auto_commit_interval: Duration::from_millis(5_000),
            session_timeout: Duration::from_millis(12_000),
            max_poll_interval: Duration::from_millis(300_000),
            min_poll_rows: 1,
            max_poll_rows: 65_536,
            fetch_max_bytes: 16 << 20,
            mode: GroupMode::Shared,
            replay: false,
            compression: Compression::None,
            reconnect_interval: Duration::from_millis(100),
            reconnect_max_interval: Duration::from_millis(10_000),
            reconnect_count: 40,
        }
    }
}

const KEYS: [&str; 17] = [
    "namespace",
    "group.id",
    "client.id",
    "auto.offset.reset",
    "enable.auto.commit",
    "auto.commit.interval.ms",
    "session.timeout.ms",
    "max.poll.interval.ms",
    "min.poll.rows",
    "max.poll.rows",
    "fetch.max.bytes",
    "group.mode",
    "replay",
    "compression",
    "reconnect.interval.ms",
    "reconnect.max.interval.ms",
    "reconnect.count",
];

impl ConsumerOptions {
    /// The defaults for a group.
    pub fn group(group_id: impl Into<String>) -> ConsumerOptions {
        ConsumerOptions { group_id: group_id.into(), ..ConsumerOptions::default() }
    }

    /// Takes `key = value` pairs; an unknown key is an error that lists the known ones.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<ConsumerOptions> {
        let mut options = ConsumerOptions::default();
        for (key, value) in pairs {
            options.set(key, value)?;
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "namespace" => self.namespace = value.to_owned(),
            "group.id" => self.group_id = value.to_owned(),
            "client.id" => self.client_id = value.to_owned(),
            "auto.offset.reset" => {
                self.auto_offset_reset = choice(
                    key,
                    value,
                    &[
                        ("latest", AutoOffsetReset::Latest),
                        ("earliest", AutoOffsetReset::Earliest),
                        ("none", AutoOffsetReset::None),
                    ],
                )?;
            }
            "enable.auto.commit" => self.enable_auto_commit = boolean(key, value)?,
            "auto.commit.interval.ms" => self.auto_commit_interval = millis(key, value)?,
            "session.timeout.ms" => self.session_timeout = millis(key, value)?,
            "max.poll.interval.ms" => self.max_poll_interval = millis(key, value)?,
            "min.poll.rows" => self.min_poll_rows = number(key, value)?,
            "max.poll.rows" => self.max_poll_rows = number(key, value)?,
            "fetch.max.bytes" => self.fetch_max_bytes = number(key, value)?,
            "group.mode" => {
                self.mode = choice(key, value, &[("shared", GroupMode::Shared), ("broadcast", GroupMode::Broadcast)])?;
            }
            "replay" => self.replay = boolean(key, value)?,
            "compression" => {
                self.compression = choice(
                    key,
                    value,
                    &[("none", Compression::None), ("lz4_frame", Compression::Lz4Frame), ("zstd", Compression::Zstd)],
                )?;
            }
            "reconnect.interval.ms" => self.reconnect_interval = millis(key, value)?,
            "reconnect.max.interval.ms" => self.reconnect_max_interval = millis(key, value)?,
            "reconnect.count" => self.reconnect_count = number(key, value)?,
            _ => return Err(Error::InvalidInput(format!("unknown key {key:?}; known are {}", KEYS.join(", ")))),
        }
        Ok(())
    }

    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |message: &str| Err(Error::InvalidInput(message.to_owned()));
        if !(1..=192).contains(&self.group_id.len()) {
            return refuse("group.id is required, 1 to 192 bytes");
        }
        if self.client_id.len() > 255 {
            return refuse("client.id has more than 255 bytes");
        }
        if !(6_000..=1_800_000).contains(&self.session_timeout.as_millis()) {
            return refuse("session.timeout.ms is outside 6000 to 1800000");
        }
        if self.max_poll_interval.as_millis() < 1_000 {
            return refuse("max.poll.interval.ms is below 1000");
        }
        if self.min_poll_rows == 0 || self.max_poll_rows < self.min_poll_rows {
            return refuse("min.poll.rows must be at least 1 and at most max.poll.rows");
        }
        if self.fetch_max_bytes < 1 << 16 {
            return refuse("fetch.max.bytes is below 65536");
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Error::InvalidInput(format!("{key} is {value:?}, not a number in range")))
}

fn millis(key: &str, value: &str) -> Result<Duration> {
    Ok(Duration::from_millis(u64::from(number::<u32>(key, value)?)))
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    choice(key, value, &[("true", true), ("false", false)])
}

fn choice<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T> {
    let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Error::InvalidInput(format!("{key} is {value:?}, not one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_parsed_and_checked() {
        let options = ConsumerOptions::parse([("group.id", "g"), ("auto.offset.reset", "earliest")]);
        assert_eq!(
            options.map(|o| (o.group_id, o.auto_offset_reset)).ok(),
            Some(("g".into(), AutoOffsetReset::Earliest))
        );
        for (pairs, word) in [
            (vec![("group.id", "g"), ("sesion.timeout.ms", "1")], "sesion"),
            (vec![], "group.id"),
            (vec![("group.id", "g"), ("session.timeout.ms", "5")], "6000"),
            (vec![("group.id", "g"), ("auto.offset.reset", "newest")], "earliest"),
            (vec![("group.id", "g"), ("replay", "maybe")], "true"),
        ] {
            let message = ConsumerOptions::parse(pairs.iter().copied()).map_err(|error| error.to_string());
            assert!(message.as_ref().is_err_and(|message| message.contains(word)), "{pairs:?}: {message:?}");
        }
    }
}
