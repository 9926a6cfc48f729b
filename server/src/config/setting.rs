//! One setting: how it is given, shown and checked.

use std::ops::RangeInclusive;

use super::Config;
use super::values::{parse_bytes, parse_count, show_bytes};

/// One setting: flag `--log-file-bytes`, variable `MILLSTREAM_LOG_FILE_BYTES`, file key `log_file_bytes`.
#[derive(Debug)]
pub struct Setting {
    /// The file key.
    pub key: &'static str,
    /// What the help says.
    pub help: &'static str,
    pub(super) access: Access,
}

#[derive(Debug)]
pub(super) enum Access {
    Bytes {
        range: RangeInclusive<u64>,
        get: fn(&Config) -> u64,
        set: fn(&mut Config, u64),
    },
    Number {
        range: RangeInclusive<u64>,
        get: fn(&Config) -> u64,
        set: fn(&mut Config, u64),
    },
    Text {
        form: &'static str,
        get: fn(&Config) -> String,
        set: fn(&mut Config, &str) -> Result<(), String>,
    },
    /// Given by variable or file only: flags are seen by every user of the machine.
    Secret {
        set: fn(&mut Config, &str),
    },
}

impl Setting {
    /// The flag, without its dashes; `None` for secrets.
    pub fn flag(&self) -> Option<String> {
        (!matches!(self.access, Access::Secret { .. })).then(|| self.key.replace('_', "-"))
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("MILLSTREAM_{}", self.key.to_ascii_uppercase())
    }

    /// What stands for the value in the help.
    pub fn form(&self) -> &'static str {
        match &self.access {
            Access::Bytes { .. } => "BYTES",
            Access::Number { .. } if self.key.ends_with("_ms") => "MS",
            Access::Number { .. } => "N",
            Access::Text { form, .. } => form,
            Access::Secret { .. } => "SECRET",
        }
    }

    /// The value a configuration holds, as it would be written; nothing for what is not set, and for secrets.
    pub fn show(&self, config: &Config) -> String {
        match &self.access {
            Access::Bytes { get, .. } => show_bytes(get(config)),
            Access::Number { get, .. } => get(config).to_string(),
            Access::Text { get, .. } => get(config),
            Access::Secret { .. } => String::new(),
        }
    }

    /// The default in words; the same on every machine.
    pub fn default_text(&self, defaults: &Config) -> String {
        match self.key {
            "network_threads" => "cores, at most 4".to_owned(),
            "query_threads" => "cores".to_owned(),
            _ => self.show(defaults),
        }
    }

    /// Reads and checks a value.
    pub(crate) fn apply(&self, config: &mut Config, text: &str) -> Result<(), String> {
        match &self.access {
            Access::Bytes { range, set, .. } => set(config, within(parse_bytes(text)?, range, show_bytes)?),
            Access::Number { range, set, .. } => set(config, within(parse_count(text)?, range, |n| n.to_string())?),
            Access::Text { set, .. } => set(config, text)?,
            Access::Secret { set } => set(config, text),
        }
        Ok(())
    }
}

fn within(value: u64, range: &RangeInclusive<u64>, show: fn(u64) -> String) -> Result<u64, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("{} is out of range; {} to {} are allowed", show(value), show(*range.start()), show(*range.end())))
}
