//! Continuous topics: what users define of them, and how they fare.

use std::fmt;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::model::{FunctionId, Lsn, PartitionId, PluginId, Principal, TableId, TableInfo};

/// Id of a continuous topic: the LSN of the record that created it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContinuousId(pub u64);

impl fmt::Display for ContinuousId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What becomes of rows that come after their window has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatePolicy {
    /// They are rows of the table `TOPIC$late`.
    #[default]
    Keep,
    /// They are counted.
    Drop,
}

/// Where a continuous topic begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContinuousStart {
    /// With the first retained row.
    #[default]
    Earliest,
    /// With the first window that begins after the topic was made.
    Latest,
    /// With rows that were appended at or after this time, µs since the epoch, and the first window that begins after it.
    At(i64),
}

/// Choices of a continuous topic, as in `CREATE TOPIC … WITH (…)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuousSettings {
    pub late: LatePolicy,
    /// Silence after which event time goes on with the clock; `None`: it waits for rows.
    pub idle_ms: Option<u64>,
    pub start: ContinuousStart,
    /// What all open windows may take; the topic stops when they take more.
    pub state_bytes: u64,
}

impl Default for ContinuousSettings {
    fn default() -> Self {
        ContinuousSettings {
            late: LatePolicy::Keep,
            idle_ms: Some(60_000),
            start: ContinuousStart::Earliest,
            state_bytes: 256 << 20,
        }
    }
}

/// A continuous topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinuousSpec {
    pub namespace: String,
    pub name: String,
    /// Tables that it reads, of its namespace, in the order of the plan's sources. An output of another continuous topic is one.
    pub sources: Vec<String>,
    /// The canonical text of its SELECT.
    pub definition: String,
    /// As in [`crate::TopicSource::Select`].
    pub plugins: Vec<PluginId>,
    pub functions: Vec<FunctionId>,
    pub output_schema: SchemaRef,
    /// The output's column that has its event time: `window_time` or the like; `None` if it selects none.
    pub output_time: Option<String>,
    /// Columns of `TOPIC$late`, if late rows are kept.
    pub late_schema: Option<SchemaRef>,
    /// What saved state means, as the compiler names it.
    pub fingerprint: String,
    pub settings: ContinuousSettings,
}

impl ContinuousSpec {
    /// The name of the table that keeps a topic's late rows.
    pub fn late_table(name: &str) -> String {
        format!("{name}$late")
    }
}

/// A continuous topic as the catalog has it. Its rows are those of the table of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuousInfo {
    pub id: ContinuousId,
    pub namespace: String,
    pub name: String,
    pub sources: Vec<TableId>,
    /// The schema version of each source when it was made: later columns are not its.
    pub source_versions: Vec<u32>,
    pub definition: String,
    pub plugins: Vec<PluginId>,
    pub functions: Vec<FunctionId>,
    pub output: TableId,
    pub late: Option<TableId>,
    pub fingerprint: String,
    /// Of one that began with [`ContinuousStart::Latest`] it is the time at which that was.
    pub settings: ContinuousSettings,
    pub paused: bool,
    /// Counts from 1; PAUSE, RESUME and REBUILD raise it.
    pub version: u32,
    /// Who created it: it reads and writes as this one.
    pub owner: Principal,
    pub created: Lsn,
}

/// How a continuous topic stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinuousStatus {
    pub info: Arc<ContinuousInfo>,
    /// Next offset by source, in their order, and partition.
    pub positions: Vec<(TableId, PartitionId, u64)>,
    /// Retained rows of the sources that it has not read.
    pub lag: u64,
    /// `None` before the first row.
    pub watermark_us: Option<i64>,
    pub open_windows: u64,
    pub state_bytes: u64,
    pub rows_in: u64,
    pub rows_out: u64,
    pub late_rows: u64,
    /// Rows whose event time lies further ahead than `max_lead`: they count, and don't move the watermark.
    pub ahead_rows: u64,
    /// Why it does not go on, and what to do; `None` while it does.
    pub stopped: Option<String>,
}

/// How far event time is said to have come in a table: by hand, or by the continuous topic whose output it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatermarkInfo {
    pub table: Arc<TableInfo>,
    /// µs since the epoch.
    pub watermark_us: i64,
    /// The append time from which it holds.
    pub recorded_us: i64,
    /// The continuous topic that records it with its output.
    pub topic: Option<String>,
}
