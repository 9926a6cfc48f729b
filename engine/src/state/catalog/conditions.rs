//! What submissions ask of the catalog.

use crate::model::{CheckbackId, ConsumerId, Error, Offset, PartitionId, Result, TableId};
use crate::state::family::{Ahead, Condition};

/// The consumer stands, is not paused, and is of this version.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerRuns {
    pub consumer: ConsumerId,
    pub version: u32,
}

impl Condition for ConsumerRuns {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        let found = ahead.catalog().consumer(self.consumer);
        match found.filter(|found| found.version == self.version && !found.paused) {
            Some(_) => Ok(()),
            None => Err(Error::Fenced("the consumer was paused, altered or dropped".to_owned())),
        }
    }
}

/// The checkback was not dropped.
#[derive(Debug, Clone)]
pub(crate) struct CheckbackStands {
    pub checkback: CheckbackId,
}

impl Condition for CheckbackStands {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        match ahead.catalog().checkback(self.checkback) {
            Some(_) => Ok(()),
            None => Err(Error::Fenced("the checkback was dropped".to_owned())),
        }
    }
}

/// The partition ends here: for submissions that follow from what it already holds.
#[derive(Debug, Clone)]
pub(crate) struct EndOffset {
    pub table: TableId,
    pub partition: PartitionId,
    pub end: Offset,
}

impl Condition for EndOffset {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        let EndOffset { table, partition, end } = *self;
        let found = ahead.catalog().partition(table, partition).map(|partition| partition.end);
        if found == Some(end) {
            return Ok(());
        }
        let found = found.map_or_else(|| "does not exist".to_owned(), |end| format!("ends at {end}"));
        Err(Error::FailedPrecondition(format!("partition {partition} {found}, not at {end}")))
    }
}

/// The partition's segments are still the ones a merge or cut started from.
#[derive(Debug, Clone)]
pub(crate) struct SegmentsUnchanged {
    pub table: TableId,
    pub partition: PartitionId,
    pub segments_version: u64,
}

impl Condition for SegmentsUnchanged {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        let SegmentsUnchanged { table, partition, segments_version } = *self;
        let found = ahead.catalog().partition(table, partition).map(|partition| partition.segments_version);
        if found == Some(segments_version) {
            return Ok(());
        }
        Err(Error::Busy(format!("the segments of partition {partition} changed meanwhile")))
    }
}

/// The table exists and rows of this schema version are taken.
#[derive(Debug, Clone)]
pub(crate) struct SchemaVersion {
    pub table: TableId,
    pub version: u32,
}

impl Condition for SchemaVersion {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        let SchemaVersion { table, version } = *self;
        match ahead.catalog().table(table) {
            None => Err(Error::gone("table")),
            Some(info) if version == 0 || version > info.schema_version() => {
                Err(Error::FailedPrecondition(format!("table {:?} has no schema version {version}", info.name)))
            }
            Some(_) => Ok(()),
        }
    }
}
