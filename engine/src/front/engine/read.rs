//! History reads and what wakes readers.

use tokio::sync::watch;

use crate::access::Action;
use crate::*;

impl Engine {
    /// Reads ranges of a table through an operator.
    pub fn scan(&self, who: &Principal, request: ScanRequest) -> Result<Scan> {
        self.enter(who, Action::Read, None)?;
        cursor::scan(&self.shared, request)
    }

    /// The first offset appended at or after `time_us`; the end offset if there is none.
    pub fn offset_at(&self, who: &Principal, table: TableId, partition: PartitionId, time_us: i64) -> Result<Offset> {
        self.enter(who, Action::Read, None)?;
        cursor::offset_at(&self.shared, table, partition, time_us)
    }

    /// The LSN of a retained row. `FailedPrecondition` where only a segment has the row, and was written by a release that
    /// did not keep LSNs. Costs a look into the log's index or a segment's footer, which stay in memory for a while.
    pub fn lsn_of(&self, who: &Principal, table: TableId, partition: PartitionId, offset: Offset) -> Result<Lsn> {
        self.enter(who, Action::Read, None)?;
        cursor::lsn_of(&self.shared, table, partition, offset)
    }

    /// The retained row that has an LSN; `NotFound` where there is none. `FailedPrecondition` where segments of releases that
    /// did not keep LSNs may have it. Costs the index of one file of the log, or the footer of one segment of each partition
    /// that was appended to at that time.
    pub fn row_at(&self, who: &Principal, lsn: Lsn) -> Result<RowPlace> {
        self.enter(who, Action::Read, None)?;
        cursor::row_at(&self.shared, lsn)
    }

    /// Changes whenever rows of the table become readable.
    pub fn watch_table(&self, id: TableId) -> Result<watch::Receiver<u64>> {
        self.shared.table(id)?;
        Ok(self.shared.watchers.subscribe(id))
    }
}
