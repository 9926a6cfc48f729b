//! How an engine is opened.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;

use crate::model::NamespaceLimits;
use crate::platform::disk::{Disk, RealDisk};
use crate::platform::{Clock, SystemClock};

/// Where segments are kept.
#[derive(Debug, Clone, Default)]
pub enum SegmentStore {
    /// `segments/` under the data directory, every file and directory synced before it is recorded.
    #[default]
    Local,
    /// Any object store; a finished put is taken as durable.
    Remote { store: Arc<dyn ObjectStore>, prefix: String, url: String },
}

/// Settings of [`crate::front::Engine::open_with`]; `EngineOptions::new(dir)` gives the defaults.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    pub dir: PathBuf,
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    /// Seed of everything random in the engine; `None` takes one from the operating system.
    pub seed: Option<u64>,
    /// A log file is rolled when it would grow past this.
    pub log_file_bytes: u64,
    /// Log bytes above which the tables that pin the oldest file are cut into segments whatever their size.
    pub log_budget_bytes: u64,
    /// A commit holds at most this much; so does a submission.
    pub max_commit_bytes: usize,
    /// Bytes of submissions that may wait for the writer before callers are held back.
    pub queue_bytes: usize,
    /// Recent batches kept in memory for readers.
    pub tail_bytes: usize,
    /// Rows read from files kept for readers that take a little of them at a time.
    pub read_cache_bytes: usize,
    /// Evaluated topic batches kept for the groups that read the same range.
    pub evaluation_cache_bytes: usize,
    /// A partition's unsegmented bytes at which it is cut into a segment.
    pub segment_bytes: u64,
    /// The age of the oldest unsegmented row at which a partition is cut all the same.
    pub segment_age_ms: u64,
    /// Threads that write segments; 0 pauses segmentation (rows then stay in the log).
    pub segment_threads: usize,
    pub segment_store: SegmentStore,
    /// How long an object stays in an object store after nothing names it any more: copies of the data directory that are
    /// younger than this find all that they name. A directory of this machine keeps none.
    pub segment_grace_ms: u64,
    /// Objects of epochs below this are no other directory's any more: the operator's word, after `segment_store_contested`.
    pub segment_release_epoch: u64,
    /// Free bytes on the data disk below which appends fail with a retryable error.
    pub free_space_floor_bytes: u64,
    /// How often retention, expiry and segment work are looked at.
    pub maintenance_interval_ms: u64,
    /// Groups a topic may have.
    pub max_groups_per_topic: usize,
    /// How long a group of more than a few members gathers those who come and go before it shares out its partitions anew.
    pub group_join_delay_ms: u64,
    /// When and how often half messages are asked about.
    pub transaction_checks: TransactionChecks,
    /// Whether what becomes of messages is noted, in the table `message_trace` of their namespace.
    pub message_trace: bool,
    pub audit: AuditOptions,
    /// Limits of namespaces that have none of their own.
    pub namespace_limits: NamespaceLimits,
}

/// What is kept in the table `system.audit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditOptions {
    /// Also while there is no user.
    pub always: bool,
    /// Also that somebody reads or consumes: once a minute of each object.
    pub reads: bool,
    pub retention_days: u32,
}

impl Default for AuditOptions {
    fn default() -> Self {
        AuditOptions { always: false, reads: false, retention_days: 90 }
    }
}

/// When half messages whose producer has not said what became of them are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionChecks {
    /// So long after it was sent for the first time, unless its producer has said otherwise.
    pub after_ms: u64,
    pub every_ms: u64,
    /// After so many times nobody is asked any more, and it waits for somebody's decision.
    pub limit: u32,
}

impl Default for TransactionChecks {
    fn default() -> Self {
        TransactionChecks { after_ms: 6_000, every_ms: 30_000, limit: 15 }
    }
}

impl EngineOptions {
    /// The defaults over a directory of this machine.
    pub fn new(dir: impl Into<PathBuf>) -> EngineOptions {
        EngineOptions {
            dir: dir.into(),
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock::default()),
            seed: None,
            log_file_bytes: 128 << 20,
            log_budget_bytes: 8 << 30,
            max_commit_bytes: 8 << 20,
            queue_bytes: 32 << 20,
            tail_bytes: 64 << 20,
            read_cache_bytes: 24 << 20,
            evaluation_cache_bytes: 32 << 20,
            segment_bytes: 64 << 20,
            segment_age_ms: 10 * 60 * 1000,
            segment_threads: 1,
            segment_store: SegmentStore::Local,
            segment_grace_ms: 24 * 60 * 60 * 1000,
            segment_release_epoch: 0,
            free_space_floor_bytes: 256 << 20,
            maintenance_interval_ms: 1_000,
            max_groups_per_topic: 100,
            group_join_delay_ms: 100,
            transaction_checks: TransactionChecks::default(),
            message_trace: false,
            audit: AuditOptions::default(),
            namespace_limits: NamespaceLimits::default(),
        }
    }
}
