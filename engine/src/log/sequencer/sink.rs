//! Who takes up what the log has written.

use crate::model::Result;
use crate::state::{Record, RecordContext};

/// What the log tells the rest of the engine, and asks of it. Called from the log's threads.
pub(crate) trait CommitSink: Send + Sync {
    /// Takes a durable commit up (a written one, where all its submissions ask for no more). Its submitters are answered
    /// after this. An error is one of the state store: nothing more can be taken up.
    fn apply_commit(&self, records: &[(RecordContext, Record)]) -> Result<()>;
    /// Wakes whoever waits for what the commit brought.
    fn wake(&self, records: &[(RecordContext, Record)]);
    /// Writes a checkpoint of all that has been applied; all of it lies in sealed, synced extents.
    fn checkpoint(&self) -> Result<()>;
}
