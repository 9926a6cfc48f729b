//! What goes on beside reading and writing: retention, cutting and merging segments, trimming the log, deleting files.
//!
//! One thread looks every `maintenance_interval_ms` for what is due by the engine's clock; `segment_threads` others write
//! segments. They hold the engine weakly and end with it.

mod retention;
mod threads;

use crate::front::Shared;
use crate::model::{Lsn, Result, TableId};
use crate::plugins::suspensions;
use crate::segments;
use crate::segments::{Job, Task};

pub(crate) use threads::Maintenance;

/// Does everything that is due on this thread.
pub(crate) fn run_now(shared: &Shared) -> Result<()> {
    retention::apply(shared)?;
    suspensions::record(shared)?;
    if shared.options.segment_threads > 0 {
        for job in due_jobs(shared) {
            job.run_in_background(shared, &|| false)?;
        }
    }
    trim(shared)?;
    shared.log.time().record(false)?;
    segments::sweep(shared)
}

/// Cuts every durable row of a table into segments, and trims the log behind them.
pub(crate) fn cut_table(shared: &Shared, table: TableId) -> Result<()> {
    let jobs: Vec<Job> = {
        let state = shared.state.read();
        state.table(table).ok_or_else(|| crate::model::Error::gone("table"))?;
        let partitions = (0..).zip(state.catalog().partitions(table).unwrap_or_default());
        partitions.map(|(partition, found)| Job { table, partition, task: Task::CutTo(found.end) }).collect()
    };
    for job in jobs {
        job.run(shared, &|| false)?;
    }
    trim(shared)
}

fn due_jobs(shared: &Shared) -> Vec<Job> {
    if shared.segments.is_fenced() {
        return Vec::new();
    }
    let over = shared.log.bytes().saturating_sub(shared.options.log_budget_bytes);
    segments::due(shared, over)
}

/// Deletes log files that nothing needs: their rows are in segments or gone, and a checkpoint taken after that was
/// recorded covers the rest.
fn trim(shared: &Shared) -> Result<()> {
    // What another owner of the segment store does to the segments is not known.
    if shared.segments.is_fenced() {
        return Ok(());
    }
    let needed = {
        let state = shared.state.read();
        let partitions =
            state.catalog().tables().flat_map(|info| state.catalog().partitions(info.id).unwrap_or_default());
        // What is appended from here on is needed too.
        let next = Lsn(state.applied().0.saturating_add(1));
        partitions.filter_map(|found| found.oldest_unsegmented_lsn).fold(next, Lsn::min)
    };
    if !shared.log.can_trim(needed) {
        return Ok(());
    }
    shared.checkpoint()?;
    let replayed_from = Lsn(shared.store.checkpoint_lsn().0.saturating_add(1));
    shared.log.trim(needed.min(replayed_from))
}
