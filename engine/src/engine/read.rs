//! History reads and what wakes readers.

use tokio::sync::watch;

use crate::*;

#[allow(unused_variables, clippy::unimplemented, reason = "signatures first: bodies land with their modules")]
impl Engine {
    /// Reads ranges of a table through an operator.
    pub fn scan(&self, who: &Principal, request: ScanRequest) -> Result<Scan> {
        unimplemented!()
    }
    /// The first offset appended at or after `time_us`; the end offset if there is none.
    pub fn offset_at(&self, who: &Principal, table: TableId, partition: PartitionId, time_us: i64) -> Result<Offset> {
        unimplemented!()
    }
    /// Changes whenever rows of the table become readable.
    pub fn watch_table(&self, id: TableId) -> Result<watch::Receiver<u64>> {
        unimplemented!()
    }
}
