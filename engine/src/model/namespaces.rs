//! What a namespace may take, or a user: plugins and producers together, rates, and how many things there may be; and what plugins do
//! take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The namespace of the engine's own listings and tables; nobody else creates anything in it.
pub const SYSTEM_NAMESPACE: &str = "system";
/// The one table in it.
pub(crate) const AUDIT_TABLE: &str = "audit";

/// One limit of a namespace; those of [`NamespaceLimit::OF_USERS`] are limits of users as well. Its value is a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceLimit {
    /// Linear memory and tables of all instances, bytes.
    PluginMemory,
    /// Thousandths of one core, over all calls.
    PluginCpu,
    /// Instances that run at once.
    PluginConcurrency,
    /// Wall time of one call, ms, whatever the plugin's own limit.
    PluginTimeoutMax,
    /// Bytes that calls answer with, a second.
    PluginOutputRate,
    /// Log lines a second.
    PluginLogRate,
    /// Plugins, each with all its versions.
    PluginCount,
    /// Bytes of the modules of all versions, each module once.
    PluginModuleBytes,
    /// Producers whose recent batches are known, counted once for each table that they write to.
    ProducerStreams,
    /// Bytes of rows that are appended, a second, as they lie in Arrow's columns.
    BytesInPerSecond,
    RowsInPerSecond,
    /// Bytes that readers are sent, a second.
    BytesOutPerSecond,
    RowsOutPerSecond,
    /// Calls, statements, messages sent and reads of queues, a second.
    RequestsPerSecond,
    /// Of a user, at once, over all doors.
    Connections,
    /// Tables and topics. Those in which groups keep messages of their own do not count.
    Topics,
    /// Consumer groups that are on record.
    Groups,
    /// Bytes of all tables, in the log and in segments.
    RetainedBytes,
    /// Of one table.
    Partitions,
    /// Characters of the names of tables, topics and groups.
    NameLengthMin,
    NameLengthMax,
}

/// `producer_streams` of a namespace for which nothing was set: about 25 MiB.
pub(crate) const DEFAULT_PRODUCER_STREAMS: u64 = 100_000;

impl NamespaceLimit {
    /// What plugins and producers may take.
    pub const SHARES: [NamespaceLimit; 9] = [
        NamespaceLimit::PluginMemory,
        NamespaceLimit::PluginCpu,
        NamespaceLimit::PluginConcurrency,
        NamespaceLimit::PluginTimeoutMax,
        NamespaceLimit::PluginOutputRate,
        NamespaceLimit::PluginLogRate,
        NamespaceLimit::PluginCount,
        NamespaceLimit::PluginModuleBytes,
        NamespaceLimit::ProducerStreams,
    ];

    /// The others: rates and counts.
    pub const QUOTAS: [NamespaceLimit; 12] = [
        NamespaceLimit::BytesInPerSecond,
        NamespaceLimit::RowsInPerSecond,
        NamespaceLimit::BytesOutPerSecond,
        NamespaceLimit::RowsOutPerSecond,
        NamespaceLimit::RequestsPerSecond,
        NamespaceLimit::Connections,
        NamespaceLimit::Topics,
        NamespaceLimit::Groups,
        NamespaceLimit::RetainedBytes,
        NamespaceLimit::Partitions,
        NamespaceLimit::NameLengthMin,
        NamespaceLimit::NameLengthMax,
    ];

    /// Those that users have.
    pub const OF_USERS: [NamespaceLimit; 6] = [
        NamespaceLimit::BytesInPerSecond,
        NamespaceLimit::RowsInPerSecond,
        NamespaceLimit::BytesOutPerSecond,
        NamespaceLimit::RowsOutPerSecond,
        NamespaceLimit::RequestsPerSecond,
        NamespaceLimit::Connections,
    ];

    /// Those that namespaces have.
    pub fn of_namespaces() -> impl Iterator<Item = NamespaceLimit> {
        let all = NamespaceLimit::SHARES.into_iter().chain(NamespaceLimit::QUOTAS);
        all.filter(|limit| *limit != NamespaceLimit::Connections)
    }

    /// As statements, settings and listings name it.
    pub fn name(self) -> &'static str {
        match self {
            NamespaceLimit::PluginMemory => "plugin_memory",
            NamespaceLimit::PluginCpu => "plugin_cpu",
            NamespaceLimit::PluginConcurrency => "plugin_concurrency",
            NamespaceLimit::PluginTimeoutMax => "plugin_timeout_max",
            NamespaceLimit::PluginOutputRate => "plugin_output_rate",
            NamespaceLimit::PluginLogRate => "plugin_log_rate",
            NamespaceLimit::PluginCount => "plugin_count",
            NamespaceLimit::PluginModuleBytes => "plugin_module_bytes",
            NamespaceLimit::ProducerStreams => "producer_streams",
            NamespaceLimit::BytesInPerSecond => "bytes_in_per_second",
            NamespaceLimit::RowsInPerSecond => "rows_in_per_second",
            NamespaceLimit::BytesOutPerSecond => "bytes_out_per_second",
            NamespaceLimit::RowsOutPerSecond => "rows_out_per_second",
            NamespaceLimit::RequestsPerSecond => "requests_per_second",
            NamespaceLimit::Connections => "connections",
            NamespaceLimit::Topics => "topics",
            NamespaceLimit::Groups => "groups",
            NamespaceLimit::RetainedBytes => "retained_bytes",
            NamespaceLimit::Partitions => "partitions",
            NamespaceLimit::NameLengthMin => "name_length_min",
            NamespaceLimit::NameLengthMax => "name_length_max",
        }
    }

    /// Whether its value is a number of bytes.
    pub fn is_bytes(self) -> bool {
        matches!(
            self,
            NamespaceLimit::PluginMemory
                | NamespaceLimit::PluginOutputRate
                | NamespaceLimit::PluginModuleBytes
                | NamespaceLimit::BytesInPerSecond
                | NamespaceLimit::BytesOutPerSecond
                | NamespaceLimit::RetainedBytes
        )
    }

    /// The least that may be set: with less, nothing could run.
    pub fn least(self) -> u64 {
        match self {
            NamespaceLimit::PluginMemory => 64 << 10,
            NamespaceLimit::PluginCpu => MIN_CPU_MILLI.into(),
            NamespaceLimit::PluginOutputRate => 1 << 10,
            NamespaceLimit::PluginLogRate
            | NamespaceLimit::PluginCount
            | NamespaceLimit::PluginModuleBytes
            | NamespaceLimit::Connections
            | NamespaceLimit::Topics
            | NamespaceLimit::Groups
            | NamespaceLimit::RetainedBytes
            | NamespaceLimit::NameLengthMin => 0,
            _ => 1,
        }
    }
}

/// The least share of a core, in thousandths, that a plugin or namespace may be given.
pub const MIN_CPU_MILLI: u32 = 10;

/// Thousandths of a core, of a number of cores with up to three decimals such as `0.5` or `2`.
pub fn cpu_milli(cores: &str) -> Option<u32> {
    let (whole, part) = cores.trim().split_once('.').unwrap_or((cores.trim(), ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() > 3 || !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(part)
}

/// Limits that were set; those that are not are the server's defaults, and then [`NamespaceLimits::built_in`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NamespaceLimits(BTreeMap<NamespaceLimit, u64>);

impl NamespaceLimits {
    /// A value that lifts the limit, the server's default too.
    pub const UNLIMITED: u64 = u64::MAX;

    /// What holds where neither the namespace nor the server says anything.
    pub fn built_in() -> NamespaceLimits {
        NamespaceLimits([(NamespaceLimit::ProducerStreams, DEFAULT_PRODUCER_STREAMS)].into())
    }

    /// Limits that are known by a name: `tdmq`, what TDMQ for RocketMQ lets topics and groups be.
    pub fn profile(name: &str) -> Option<[(NamespaceLimit, u64); 3]> {
        (name == "tdmq").then_some([
            (NamespaceLimit::Partitions, 16),
            (NamespaceLimit::NameLengthMin, 3),
            (NamespaceLimit::NameLengthMax, 64),
        ])
    }

    /// With some set anew.
    pub(crate) fn with(mut self, changes: &NamespaceLimitChanges) -> NamespaceLimits {
        changes.iter().for_each(|(limit, value)| self.set(*limit, *value));
        self
    }

    /// What was set.
    pub fn get(&self, limit: NamespaceLimit) -> Option<u64> {
        self.0.get(&limit).copied()
    }

    /// The bound; none where nothing was set, or that there be none.
    pub fn bound(&self, limit: NamespaceLimit) -> Option<u64> {
        self.get(limit).filter(|value| *value != Self::UNLIMITED)
    }

    /// `None` unsets.
    pub fn set(&mut self, limit: NamespaceLimit, value: Option<u64>) {
        match value {
            Some(value) => self.0.insert(limit, value),
            None => self.0.remove(&limit),
        };
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and `defaults` where nothing is set.
    pub fn or(&self, defaults: &NamespaceLimits) -> NamespaceLimits {
        let mut all = defaults.0.clone();
        all.extend(&self.0);
        NamespaceLimits(all)
    }
}

/// A change of some limits; `None` unsets one.
pub type NamespaceLimitChanges = BTreeMap<NamespaceLimit, Option<u64>>;

/// What the plugins of a namespace take now, and have since the host was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceUsage {
    pub namespace: String,
    /// Of all instances, idle ones too.
    pub memory_bytes: u64,
    /// Times that an instance was refused memory for the namespace's limit.
    pub memory_refusals: u64,
    /// Calls under way in a guest, and those that wait for the namespace's or the server's instances.
    pub running: u64,
    pub waiting: u64,
    pub cpu_us: u64,
    pub output_bytes: u64,
    /// Times that calls were held back for the namespace's share of CPU or its output, and for how long.
    pub throttled: u64,
    pub throttled_us: u64,
    /// Log lines above the namespace's limit.
    pub log_lines_dropped: u64,
    /// Plugins, and the bytes of the modules of all their versions, each module once.
    pub plugins: u64,
    pub module_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Change;

    #[test]
    fn what_is_set_goes_before_defaults_and_lifts_them() {
        let mut defaults = NamespaceLimits::default();
        defaults.set(NamespaceLimit::PluginMemory, Some(1 << 30));
        defaults.set(NamespaceLimit::PluginCpu, Some(500));
        let mut limits = NamespaceLimits::default();
        limits.set(NamespaceLimit::PluginMemory, Some(NamespaceLimits::UNLIMITED));
        limits.set(NamespaceLimit::PluginCount, Some(3));
        let both = limits.or(&defaults);
        assert_eq!(both.bound(NamespaceLimit::PluginMemory), None);
        assert_eq!(both.bound(NamespaceLimit::PluginCpu), Some(500));
        assert_eq!(both.bound(NamespaceLimit::PluginCount), Some(3));
        limits.set(NamespaceLimit::PluginMemory, None);
        assert_eq!(limits.or(&defaults).bound(NamespaceLimit::PluginMemory), Some(1 << 30));
    }

    /// As `docs/log-format.md` has it.
    #[test]
    fn records_of_limits_have_their_form_and_older_ones_are_read() {
        let limits: NamespaceLimitChanges =
            [(NamespaceLimit::PluginCpu, Some(1_500)), (NamespaceLimit::PluginMemory, None)].into();
        let change = Change::NamespaceLimited { name: "shop".to_owned(), limits };
        let form = r#"{"namespace_limited":{"name":"shop","limits":{"plugin_memory":null,"plugin_cpu":1500}}}"#;
        assert_eq!(serde_json::to_string(&change).unwrap(), form);
        assert_eq!(serde_json::from_str::<Change>(form).unwrap(), change);
        let created = Change::NamespaceCreated { name: "shop".to_owned(), limits: NamespaceLimits::default() };
        let form = r#"{"namespace_created":{"name":"shop"}}"#;
        assert_eq!(serde_json::to_string(&created).unwrap(), form);
        assert_eq!(serde_json::from_str::<Change>(form).unwrap(), created);
        let limits = r#"{"memory_bytes":1,"call_timeout_ms":2,"concurrency":3}"#;
        let limits: crate::contract::PluginLimits = serde_json::from_str(limits).unwrap();
        assert_eq!((limits.cpu_milli, limits.log_rate), (None, 1_000));
    }

    #[test]
    fn shares_are_read_exactly() {
        for (text, milli) in [("0.5", 500), ("2", 2_000), ("1.25", 1_250), (".01", 10), ("0.001", 1), (" 3. ", 3_000)] {
            assert_eq!(cpu_milli(text), Some(milli), "{text}");
        }
        for text in ["", ".", "-1", "0.0001", "1e3", "half", "4294968", "1.2.3"] {
            assert_eq!(cpu_milli(text), None, "{text}");
        }
    }

    #[test]
    fn the_stored_form_is_an_object_of_names() {
        let mut limits = NamespaceLimits::default();
        let all = NamespaceLimit::SHARES.into_iter().chain(NamespaceLimit::QUOTAS);
        for (limit, value) in all.zip(1..) {
            limits.set(limit, Some(value));
            assert!(serde_json::to_string(&limits).unwrap().contains(&format!("\"{}\":{value}", limit.name())));
        }
        let stored = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<NamespaceLimits>(&stored).unwrap(), limits);
    }
}
