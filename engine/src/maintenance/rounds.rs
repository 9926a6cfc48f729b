//! What is done in one round.

use super::retention;
use super::upkeep::Upkeep;
use crate::cursor;
use crate::model::{Error, Lsn, Result, TableId};
use crate::plugins::suspensions;
use crate::segments;
use crate::segments::{Job, Task};

/// Does everything that is due on this thread.
pub(super) fn run_now(upkeep: &Upkeep) -> Result<()> {
    retention::apply(upkeep)?;
    suspensions::record(&upkeep.plugins)?;
    if upkeep.ledger.options.segment_threads > 0 {
        for job in due_jobs(upkeep) {
            job.run_in_background(&upkeep.segments, &|| false)?;
        }
    }
    cursor::index_messages(&upkeep.ledger)?;
    trim(upkeep)?;
    upkeep.ledger.log.time().record(false)?;
    sweep(upkeep)
}

/// Cuts every durable row of a table into segments, and trims the log behind them.
pub(super) fn cut_table(upkeep: &Upkeep, table: TableId) -> Result<()> {
    let jobs: Vec<Job> = {
        let state = upkeep.ledger.state.read();
        state.table(table).ok_or_else(|| Error::gone("table"))?;
        let partitions = (0..).zip(state.catalog().partitions(table).unwrap_or_default());
        partitions.map(|(partition, found)| Job { table, partition, task: Task::CutTo(found.end) }).collect()
    };
    for job in jobs {
        job.run(&upkeep.segments, &|| false)?;
    }
    trim(upkeep)
}

pub(super) fn due_jobs(upkeep: &Upkeep) -> Vec<Job> {
    if upkeep.segments.is_fenced() {
        return Vec::new();
    }
    let over = upkeep.ledger.log.bytes().saturating_sub(upkeep.ledger.options.log_budget_bytes);
    segments::due(&upkeep.segments, over)
}

/// Deletes log files that nothing needs: their rows are in segments or gone, and a checkpoint taken after that was
/// recorded covers the rest.
pub(super) fn trim(upkeep: &Upkeep) -> Result<()> {
    // What another owner of the segment store does to the segments is not known.
    if upkeep.segments.is_fenced() {
        return Ok(());
    }
    let needed = {
        let state = upkeep.ledger.state.read();
        let partitions =
            state.catalog().tables().flat_map(|info| state.catalog().partitions(info.id).unwrap_or_default());
        // What is appended from here on is needed too.
        let next = Lsn(state.applied().0.saturating_add(1));
        partitions.filter_map(|found| found.oldest_unsegmented_lsn).fold(next, Lsn::min)
    };
    if !upkeep.ledger.log.can_trim(needed) {
        return Ok(());
    }
    let Some(_deleting) = upkeep.deleting() else { return Ok(()) };
    upkeep.ledger.checkpoint()?;
    let replayed_from = Lsn(upkeep.ledger.store.checkpoint_lsn().0.saturating_add(1));
    upkeep.ledger.log.trim(needed.min(replayed_from))
}

/// Deletes files of segments that nothing needs.
pub(super) fn sweep(upkeep: &Upkeep) -> Result<()> {
    let Some(_deleting) = upkeep.deleting() else { return Ok(()) };
    segments::sweep(&upkeep.segments)
}
