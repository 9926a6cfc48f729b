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

    /// Changes whenever rows of the table become readable.
    pub fn watch_table(&self, id: TableId) -> Result<watch::Receiver<u64>> {
        self.shared.table(id)?;
        Ok(self.shared.watchers.subscribe(id))
    }
}
