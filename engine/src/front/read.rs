//! History reads and what wakes readers.

use tokio::sync::watch;

use crate::access::Action;
use crate::cursor::{Scan, ScanRequest};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{Lsn, Offset, PartitionId, Result, RowPlace, TableId};

impl Engine {
    /// Reads ranges of a topic's source through an operator.
    pub fn scan(&self, who: &Principal, request: ScanRequest) -> Result<Scan> {
        self.session(who)?.topic_by_id(Action::Read, request.topic)?;
        crate::cursor::scan(&self.rooms.tables, request)
    }

    /// The first offset appended at or after `time_us`; the end offset if there is none.
    pub fn offset_at(&self, who: &Principal, table: TableId, partition: PartitionId, time_us: i64) -> Result<Offset> {
        self.session(who)?.table_by_id(Action::Read, table)?;
        crate::cursor::offset_at(&self.rooms.tables, table, partition, time_us)
    }

    /// The LSN of a retained row. `FailedPrecondition` where only a segment has the row, and was written by a release that
    /// did not keep LSNs. Costs a look into the log's index or a segment's footer, which stay in memory for a while.
    pub fn lsn_of(&self, who: &Principal, table: TableId, partition: PartitionId, offset: Offset) -> Result<Lsn> {
        self.session(who)?.table_by_id(Action::Read, table)?;
        crate::cursor::lsn_of(&self.rooms.tables, table, partition, offset)
    }

    /// The retained row that has an LSN; `NotFound` where there is none. `FailedPrecondition` where segments of releases that
    /// did not keep LSNs may have it. Costs the index of one file of the log, or the footer of one segment of each partition
    /// that was appended to at that time.
    pub fn row_at(&self, who: &Principal, lsn: Lsn) -> Result<RowPlace> {
        let session = self.session(who)?;
        let place = crate::cursor::row_at(&self.rooms.tables, lsn)?;
        session.table_by_id(Action::Read, place.table)?;
        Ok(place)
    }

    /// Changes whenever rows of the table become readable.
    pub fn watch_table(&self, who: &Principal, id: TableId) -> Result<watch::Receiver<u64>> {
        self.session(who)?.table_by_id(Action::Read, id)?;
        Ok(self.rooms.watchers.subscribe(id))
    }
}
