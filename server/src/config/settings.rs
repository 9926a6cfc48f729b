//! The table of settings.

use std::ops::RangeInclusive;

use super::Config;
use super::namespace_limits;
use super::segment_store::SegmentStoreSettings;
use super::values::{parse_address, parse_bool, parse_bytes, parse_count, show_bytes};
use crate::hex;

/// One setting: flag `--log-file-bytes`, variable `MILLSTREAM_LOG_FILE_BYTES`, file key `log_file_bytes`.
#[derive(Debug)]
pub struct Setting {
    /// The file key.
    pub key: &'static str,
    /// What the help says.
    pub help: &'static str,
    access: Access,
}

#[derive(Debug)]
enum Access {
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

fn parse_keys(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
    keys.map(|key| hex::read(key).ok_or_else(|| format!("{key:?} is not a public key: 64 hexadecimal digits")))
        .collect()
}

fn within(value: u64, range: &RangeInclusive<u64>, show: fn(u64) -> String) -> Result<u64, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("{} is out of range; {} to {} are allowed", show(value), show(*range.start()), show(*range.end())))
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

macro_rules! bytes {
    ($key:literal, $range:expr, $($field:ident).+ as $type:ty, $help:literal) => {
        Setting { key: $key, help: $help, access: Access::Bytes {
            range: $range,
            get: |config| config.$($field).+ as u64,
            set: |config, value| config.$($field).+ = value as $type,
        } }
    };
}

macro_rules! number {
    ($key:literal, $range:expr, $($field:ident).+ as $type:ty, $help:literal) => {
        Setting { key: $key, help: $help, access: Access::Number {
            range: $range,
            get: |config| config.$($field).+ as u64,
            set: |config, value| config.$($field).+ = value as $type,
        } }
    };
}

macro_rules! millis {
    ($key:literal, $range:expr, $field:ident, $help:literal) => {
        Setting {
            key: $key,
            help: $help,
            access: Access::Number {
                range: $range,
                get: |config| u64::try_from(config.$field.as_millis()).unwrap_or(u64::MAX),
                set: |config, value| config.$field = std::time::Duration::from_millis(value),
            },
        }
    };
}

macro_rules! text {
    ($key:literal, $form:literal, $get:expr, $set:expr, $help:literal) => {
        Setting { key: $key, help: $help, access: Access::Text { form: $form, get: $get, set: $set } }
    };
}

/// Every setting but the data directory and the configuration file, in the order of the help.
pub static SETTINGS: &[Setting] = &[
    text!(
        "grpc",
        "ADDR",
        |config| config.grpc.to_string(),
        |config, text| {
            config.grpc = parse_address(text)?;
            Ok(())
        },
        "Address of the Flight and Flight SQL door; port 0 takes a free one"
    ),
    text!(
        "http",
        "ADDR",
        |config| config.http.to_string(),
        |config, text| {
            config.http = parse_address(text)?;
            Ok(())
        },
        "Address of the HTTP door; port 0 takes a free one"
    ),
    text!(
        "log",
        "FILTER",
        |config| config.log_filter.clone(),
        |config, text| {
            tracing_subscriber::EnvFilter::try_new(text).map_err(|error| error.to_string())?;
            config.log_filter = text.to_owned();
            Ok(())
        },
        "What is logged to standard error: error, warn, info, debug, or target=level pairs with commas"
    ),
    bytes!(
        "log_file_bytes",
        64 * KIB..=64 * GIB,
        engine.log_file_bytes as u64,
        "A log file is rolled, and a checkpoint taken, when it would grow past this"
    ),
    bytes!(
        "log_budget_bytes",
        MIB..=1024 * TIB,
        engine.log_budget_bytes as u64,
        "Log bytes above which the tables that pin the oldest file are cut into segments whatever their size"
    ),
    bytes!(
        "max_commit_bytes",
        64 * KIB..=8 * MIB,
        engine.max_commit_bytes as usize,
        "The most that one commit, and so one submission, holds"
    ),
    bytes!(
        "queue_bytes",
        64 * KIB..=16 * GIB,
        engine.queue_bytes as usize,
        "Submissions that may wait for the log writer before producers are held back"
    ),
    bytes!("tail_bytes", 0..=TIB, engine.tail_bytes as usize, "Recent rows kept in memory for readers"),
    bytes!(
        "evaluation_cache_bytes",
        0..=TIB,
        engine.evaluation_cache_bytes as usize,
        "Evaluated topic batches kept for the groups that read the same rows"
    ),
    bytes!(
        "segment_bytes",
        64 * KIB..=64 * GIB,
        engine.segment_bytes as u64,
        "Log bytes of a partition at which they are cut into a Parquet segment"
    ),
    number!(
        "segment_age_ms",
        100..=31_536_000_000,
        engine.segment_age_ms as u64,
        "Age of the oldest row outside segments at which a partition is cut all the same"
    ),
    number!(
        "segment_threads",
        0..=64,
        engine.segment_threads as usize,
        "Threads that write segments; 0 pauses them, and rows stay in the log"
    ),
    bytes!(
        "free_space_floor_bytes",
        0..=1024 * TIB,
        engine.free_space_floor_bytes as u64,
        "Free bytes of the data disk below which appends fail with a retryable error"
    ),
    number!(
        "maintenance_interval_ms",
        10..=3_600_000,
        engine.maintenance_interval_ms as u64,
        "How often retention, expiry and segment work are looked at"
    ),
    number!(
        "max_groups_per_topic",
        1..=1_000_000,
        engine.max_groups_per_topic as usize,
        "Consumer groups that a topic may have"
    ),
    text!(
        "namespace_limits",
        "LIMITS",
        |config| namespace_limits::show(&config.engine.namespace_limits),
        |config, text| {
            config.engine.namespace_limits = namespace_limits::parse(text)?;
            Ok(())
        },
        "Limits of namespaces that have none of their own, such as plugin_memory=1GiB,plugin_cpu=1.5"
    ),
    text!(
        "segment_url",
        "URL",
        |config| config.segment_store.url.clone(),
        |config, text| {
            config.segment_store.url = SegmentStoreSettings::check_url(text)?;
            Ok(())
        },
        "Where segments are kept: local (segments/ of the data directory) or s3://BUCKET/PREFIX"
    ),
    text!(
        "s3_endpoint",
        "URL",
        |config| config.segment_store.endpoint.clone(),
        |config, text| {
            text.clone_into(&mut config.segment_store.endpoint);
            Ok(())
        },
        "The S3 service, such as http://127.0.0.1:9000; from AWS_ENDPOINT if not given, else AWS"
    ),
    text!(
        "s3_region",
        "REGION",
        |config| config.segment_store.region.clone(),
        |config, text| {
            text.clone_into(&mut config.segment_store.region);
            Ok(())
        },
        "The region of the bucket; from AWS_REGION if not given"
    ),
    text!(
        "s3_access_key_id",
        "ID",
        |config| config.segment_store.access_key_id.clone(),
        |config, text| {
            text.clone_into(&mut config.segment_store.access_key_id);
            Ok(())
        },
        "The access key; without one the AWS_* variables are used"
    ),
    Setting {
        key: "s3_secret_access_key",
        help: "The secret of the access key; by variable or file only",
        access: Access::Secret { set: |config, text| text.clone_into(&mut config.segment_store.secret_access_key) },
    },
    text!(
        "s3_allow_http",
        "BOOL",
        |config| config.segment_store.allow_http.to_string(),
        |config, text| {
            config.segment_store.allow_http = parse_bool(text)?;
            Ok(())
        },
        "Whether the S3 service may be reached without TLS; always so on this machine"
    ),
    bytes!(
        "query_memory_bytes",
        MIB..=TIB,
        sql.memory_limit_bytes as usize,
        "What all running queries together may hold in memory"
    ),
    text!(
        "file_roots",
        "DIRS",
        |config| config.sql.file_roots.as_ref().map_or_else(String::new, |roots| {
            roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(":")
        }),
        |config, text| {
            config.sql.file_roots = Some(text.split(':').filter(|part| !part.is_empty()).map(Into::into).collect());
            Ok(())
        },
        "Directories, with : between, that COPY and CREATE PLUGIN may use; every one if not given"
    ),
    number!(
        "network_threads",
        1..=1024,
        network_threads as usize,
        "Threads that move bytes between sockets and queues"
    ),
    number!("query_threads", 1..=1024, query_threads as usize, "Threads that run queries, topics and plugins"),
    text!(
        "plugin_trusted_keys",
        "KEYS",
        |config| {
            let keys: Vec<String> = config.plugin_trusted_keys.iter().map(|key| hex::write(key)).collect();
            keys.join(",")
        },
        |config, text| {
            config.plugin_trusted_keys = parse_keys(text)?;
            Ok(())
        },
        "Public keys, with commas between; only modules that one of them has signed are then loaded"
    ),
    text!(
        "plugin_http_allow",
        "NETWORKS",
        |config| config.plugin_http_allow.to_string(),
        |config, text| {
            config.plugin_http_allow = text.parse()?;
            Ok(())
        },
        "Networks such as 127.0.0.0/8 or fd00::/8, with commas between, that plugins' requests may go to beside the public \
         internet"
    ),
    number!(
        "grpc_connections",
        1..=1_000_000,
        grpc_connections as usize,
        "Connections that the Flight door serves at once; further ones are closed as they come"
    ),
    millis!(
        "grpc_keepalive_ms",
        100..=3_600_000,
        grpc_keepalive,
        "A connection that was silent for this long is asked for a sign of life, and closed without one for as long again"
    ),
    bytes!(
        "http_body_limit_bytes",
        KIB..=GIB,
        http_body_limit_bytes as usize,
        "The most that the body of an HTTP request holds"
    ),
    millis!(
        "header_timeout_ms",
        100..=600_000,
        header_timeout,
        "A connection that has not sent a whole request header by then is closed"
    ),
    millis!(
        "shutdown_timeout_ms",
        100..=600_000,
        shutdown_timeout,
        "How long requests and streams under way may take to end once the server was told to stop"
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_one_by_one() {
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(parse_keys("").unwrap(), Vec::<[u8; 32]>::new());
        assert_eq!(parse_keys(&format!("{key}, {key}")).unwrap().len(), 2);
        assert!(parse_keys("d75a").unwrap_err().contains("64 hexadecimal digits"));
    }

    #[test]
    fn the_manual_names_every_setting_with_its_default() {
        let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
        let defaults = Config::new("/d");
        for setting in SETTINGS {
            let row = manual.lines().find(|line| line.starts_with(&format!("| `{}` |", setting.key)));
            let row = row.unwrap_or_else(|| panic!("docs/operations.md has no row for {}", setting.key));
            let default = setting.default_text(&defaults);
            assert!(row.contains(&default), "{}: the default is {default}: {row}", setting.key);
        }
    }
}
