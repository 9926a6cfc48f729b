//! Consumers that are plugins: what users define of them, and how they fare.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{
    AutoOffsetReset, ConsumerId, Lsn, Offset, OnError, PartitionId, PluginId, Principal, SeekTo, TableId, TopicId,
};

/// Calls that are tried again for the same rows before the policy is followed, at most.
pub const MAX_CONSUMER_RETRIES: u32 = 100;

/// A consumer to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginConsumerSpec {
    pub namespace: String,
    pub name: String,
    /// A topic of the namespace, identity topics included.
    pub topic: String,
    /// The name of a consumer plugin of the namespace.
    pub plugin: String,
    /// The consumer group whose offsets it moves; `None`: one of the consumer's name.
    pub group: Option<String>,
    /// Tables of the namespace, by what the plugin calls them.
    pub outputs: Vec<(String, String)>,
    /// Where it begins, if the group has no offsets on the topic.
    pub from: AutoOffsetReset,
    pub settings: PluginConsumerSettings,
}

/// What an operator decides about a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginConsumerSettings {
    /// What becomes of a row at which the plugin fails, or that it gives up.
    pub on_error: OnError,
    /// How often a failed batch is given again before the policy is followed; at most [`MAX_CONSUMER_RETRIES`].
    pub retries: u32,
    /// Rows of one call, at most.
    pub batch_rows: u32,
    /// Keys and values of all its partitions, and 64 bytes for each.
    pub state_bytes: u64,
}

impl Default for PluginConsumerSettings {
    fn default() -> Self {
        PluginConsumerSettings { on_error: OnError::Stop, retries: 5, batch_rows: 8_192, state_bytes: 64 << 20 }
    }
}

/// A consumer as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginConsumerInfo {
    pub id: ConsumerId,
    pub namespace: String,
    pub name: String,
    pub topic: TopicId,
    /// The version that it calls.
    pub plugin: PluginId,
    pub group: String,
    /// A table for each output of the plugin, in the plugin's order.
    pub outputs: Vec<TableId>,
    pub settings: PluginConsumerSettings,
    /// What takes the plugin's and its outputs' place from given offsets on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upcoming: Option<UpcomingVersion>,
    pub paused: bool,
    /// Counts from 1; PAUSE, RESUME and RELOAD raise it.
    pub version: u32,
    /// Who created it: it reads and writes as this one.
    #[serde(default = "Principal::anonymous")]
    pub owner: Principal,
    pub created: Lsn,
}

/// A version of a consumer's plugin that begins at an offset of each partition: rows below it are the old version's,
/// whenever they are read. A partition without one is the new version's from its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpcomingVersion {
    pub plugin: PluginId,
    pub outputs: Vec<TableId>,
    /// By partition.
    pub from: BTreeMap<PartitionId, Offset>,
}

/// What runs at an offset of a consumer's input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunningVersion<'a> {
    pub plugin: PluginId,
    pub outputs: &'a [TableId],
    /// It ends here.
    pub until: Offset,
}

impl PluginConsumerInfo {
    pub(crate) fn version_at(&self, partition: PartitionId, offset: Offset) -> RunningVersion<'_> {
        let current = |until| RunningVersion { plugin: self.plugin, outputs: &self.outputs, until };
        let Some(upcoming) = &self.upcoming else { return current(Offset::MAX) };
        match upcoming.from.get(&partition) {
            Some(from) if offset < *from => current(*from),
            _ => RunningVersion { plugin: upcoming.plugin, outputs: &upcoming.outputs, until: Offset::MAX },
        }
    }

    /// Every plugin version that it may call.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = PluginId> {
        [self.plugin].into_iter().chain(self.upcoming.as_ref().map(|upcoming| upcoming.plugin))
    }

    /// Every table that it may write to.
    pub(crate) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.outputs.iter().chain(self.upcoming.iter().flat_map(|upcoming| &upcoming.outputs)).copied()
    }
}

/// Which version a consumer is to go on with, and where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsumerReload {
    /// `None`: the plugin's newest.
    pub version: Option<u32>,
    /// `None`: at once, wherever each partition is.
    pub at: Option<SeekTo>,
}

/// How a consumer fares.
#[derive(Debug, Clone)]
pub struct PluginConsumerStatus {
    pub info: Arc<PluginConsumerInfo>,
    pub topic: String,
    pub plugin: String,
    pub plugin_version: u32,
    /// The version that goes on from given offsets, while a partition is below its own.
    pub next_version: Option<u32>,
    /// Names of the tables that it writes to, in the plugin's order.
    pub outputs: Vec<String>,
    /// `running`, `paused`, `waiting` (it has not begun, or tries something again), or `stopped`.
    pub state: &'static str,
    /// Why it is not running, of the first partition that is not.
    pub error: Option<String>,
    /// Partitions that have stopped; the others go on.
    pub stopped_partitions: Vec<PartitionId>,
    /// Rows that are appended and not yet done, over all partitions.
    pub lag: Offset,
    pub figures: PluginConsumerFigures,
    /// Bytes of state, as `state_bytes` bounds them.
    pub state_bytes: u64,
}

/// Counters since the consumer began to run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PluginConsumerFigures {
    pub calls: u64,
    /// Of them, those that failed or asked for another try.
    pub failures: u64,
    /// Rows done.
    pub rows_in: u64,
    /// Rows appended to tables.
    pub rows_out: u64,
    /// Rows passed over under [`OnError::Skip`].
    pub rows_skipped: u64,
    /// Rows put into the dead-letter table under [`OnError::DeadLetter`].
    pub dead_letters: u64,
    pub commits: u64,
}
