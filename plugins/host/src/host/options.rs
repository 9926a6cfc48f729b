//! Settings of a host, and what limits of plugins may be.

use std::path::PathBuf;
use std::time::Duration;

use millstream_engine::{Error, MIN_CPU_MILLI, PluginLimits, Result};

use crate::http::Networks;
use crate::modules::Trust;

/// What `output_bytes` of a plugin may be at most: an answer is held twice while it is checked.
const MAX_OUTPUT_BYTES: u64 = 128 << 20;

/// What `cpu_milli` of a plugin may be at most; there is no machine of more cores.
const MAX_CPU_MILLI: u32 = 1_024_000;

/// What `lookup_bytes` of a plugin may be at most.
const MAX_LOOKUP_BYTES: u64 = 16 << 30;

/// Settings of a [`WasmHost`].
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Where compiled code is kept, with the key that authenticates it. It must be writable by this user alone.
    pub cache_dir: PathBuf,
    /// Compiled code above this is dropped, oldest first.
    pub cache_bytes: u64,
    /// Instances of all plugins together, of up to four parts each; those of more parts count more. Idle ones give way when a
    /// plugin needs another, and a namespace runs no more at once than it leaves to others.
    pub max_instances: u32,
    /// What `memory_bytes` of a plugin may be at most.
    pub max_memory_bytes: u64,
    /// Linear memory and tables of all instances together. A namespace has no more of it than it leaves to others.
    pub memory_bytes: u64,
    /// How long a call waits for one of its plugin's instances to become free.
    pub wait_timeout: Duration,
    /// Whose signatures modules must have.
    pub trust: Trust,
    /// Where requests of plugins may go beside the public internet.
    pub http_allow: Networks,
    /// Where they may not go, whatever else allows it.
    pub http_deny: Networks,
}

impl HostOptions {
    /// The defaults over a directory.
    pub fn new(cache_dir: impl Into<PathBuf>) -> HostOptions {
        HostOptions {
            cache_dir: cache_dir.into(),
            cache_bytes: 1 << 30,
            max_instances: 1_024,
            max_memory_bytes: 1 << 30,
            memory_bytes: 2 << 30,
            wait_timeout: Duration::from_secs(30),
            trust: Trust::default(),
            http_allow: Networks::default(),
            http_deny: Networks::default(),
        }
    }
}

/// Refuses limits that no plugin can have.
pub(crate) fn check_limits(limits: &PluginLimits, options: &HostOptions) -> Result<()> {
    let refuse = |what: &str, value: u64, low: u64, high: u64| {
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            Err(Error::InvalidInput(format!("{what} is {value}; it must be from {low} to {high}")))
        }
    };
    refuse("memory_bytes", limits.memory_bytes, 64 << 10, options.max_memory_bytes)?;
    refuse("call_timeout_ms", limits.call_timeout_ms, 1, 600_000)?;
    refuse("concurrency", limits.concurrency.into(), 1, options.max_instances.into())?;
    let cpu_milli = limits.cpu_milli.unwrap_or(1_000);
    if !(MIN_CPU_MILLI..=MAX_CPU_MILLI).contains(&cpu_milli) {
        let cores = |milli: u32| f64::from(milli) / 1e3;
        let (low, high) = (cores(MIN_CPU_MILLI), cores(MAX_CPU_MILLI));
        return Err(Error::InvalidInput(format!("cpu is {}; it must be from {low} to {high}", cores(cpu_milli))));
    }
    refuse("output_bytes", limits.output_bytes, 1 << 10, MAX_OUTPUT_BYTES)?;
    refuse("lookup_bytes", limits.lookup_bytes, 1 << 10, MAX_LOOKUP_BYTES)
}
