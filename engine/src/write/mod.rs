//! What happens to rows on their caller's thread: checked, spread over partitions, cut into frames, encoded.

mod event_time;
mod hash;
mod partition;
mod pieces;

use arrow_array::RecordBatch;

use crate::log;
use crate::model::{Append, Error, PartitionChoice, PartitionId, Result, TableId, TableInfo};
use crate::platform::EngineOptions;
use crate::state::{RowsPart, RowsPayload};

pub(crate) use hash::hashable;
pub(crate) use pieces::pieces;

use partition::RoundRobin;

/// Parts below both bounds go to the writer as they are: it makes one frame of those that meet in a commit.
pub(crate) const COALESCE_ROWS: usize = 512;
pub(crate) const COALESCE_BYTES: usize = 32 << 10;

/// A frame's bounds: what a reader takes and decodes at a time.
const FRAME_ROWS: usize = 65_536;
const FRAME_BYTES: usize = 1 << 20;

/// What a frame takes in a commit besides its rows, generously.
const FRAME_OVERHEAD: usize = 256;

/// What makes parts of appends, for all who append.
#[derive(Debug)]
pub(crate) struct Appender {
    options: EngineOptions,
    turns: RoundRobin,
}

impl Appender {
    pub(crate) fn new(options: EngineOptions) -> Appender {
        Appender { options, turns: RoundRobin::default() }
    }

    /// The append as parts for the writer, in partition order; rows of one partition stay in their order. `spare` is what is left
    /// of the submission's size, and is reduced by what the parts take.
    pub(crate) fn prepare(&self, table: &TableInfo, append: &Append, spare: &mut usize) -> Result<Vec<RowsPart>> {
        let batch = self.conform(table, append, spare)?;
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        self.encode(table, self.place(table, batch, append.partition)?, spare)
    }

    /// The append's rows as the table stores them, if the submission has room for them.
    pub(crate) fn conform(&self, table: &TableInfo, append: &Append, spare: &usize) -> Result<RecordBatch> {
        let limit = self.options.max_commit_bytes;
        let batch = crate::model::types::conform(&append.batch, table.schema(), limit)?;
        fits(log::sliced_bytes(&batch), &self.options, spare)?;
        Ok(batch)
    }

    /// Rows by partition, in partition order, each partition's in their order.
    pub(crate) fn place(
        &self,
        table: &TableInfo,
        batch: RecordBatch,
        choice: PartitionChoice,
    ) -> Result<Vec<(PartitionId, RecordBatch)>> {
        match choice {
            PartitionChoice::Named(partition) => Ok(vec![(named(table, partition)?, batch)]),
            PartitionChoice::ByKey => partition::place(table, batch, &self.turns),
        }
    }

    /// Rows that have their places, as parts; `spare` as with [`Self::prepare`].
    pub(crate) fn encode(
        &self,
        table: &TableInfo,
        placed: Vec<(PartitionId, RecordBatch)>,
        spare: &mut usize,
    ) -> Result<Vec<RowsPart>> {
        let mut parts = Vec::with_capacity(placed.len());
        for (partition, rows) in placed {
            for frame in pieces(&rows, FRAME_ROWS, FRAME_BYTES) {
                let part = part(table, partition, frame)?;
                let bytes = match &part.payload {
                    RowsPayload::Small(rows) => log::sliced_bytes(rows),
                    RowsPayload::Encoded(rows) => rows.len(),
                };
                self.spend(bytes, spare)?;
                parts.push(part);
            }
        }
        Ok(parts)
    }

    /// Rows as one part that is encoded, however few they are: none are joined with it, so that it lies where its submission says.
    pub(crate) fn whole(&self, table: &TableInfo, partition: PartitionId, rows: &RecordBatch) -> Result<RowsPart> {
        let rows = crate::model::types::conform(rows, table.schema(), self.options.max_commit_bytes)?;
        let payload = RowsPayload::Encoded(log::encode(&rows)?);
        Ok(RowsPart { payload, ..part(table, partition, rows)? })
    }

    /// Takes what a frame of these bytes needs from what the submission may still hold.
    pub(crate) fn spend(&self, bytes: usize, spare: &mut usize) -> Result<()> {
        let left = spare.checked_sub(bytes.saturating_add(FRAME_OVERHEAD));
        *spare = left.ok_or_else(|| too_large(&self.options, *spare, bytes))?;
        Ok(())
    }

    /// Frees what is kept for a table that was dropped.
    pub(crate) fn forget(&self, table: TableId) {
        self.turns.forget(table);
    }
}

fn part(table: &TableInfo, partition: PartitionId, rows: RecordBatch) -> Result<RowsPart> {
    let (min_event_us, max_event_us) = event_time::bounds(table, &rows)?;
    let count = u32::try_from(rows.num_rows()).map_err(|_| Error::Internal("a frame of too many rows".to_owned()))?;
    let small = rows.num_rows() < COALESCE_ROWS && log::sliced_bytes(&rows) < COALESCE_BYTES;
    let payload = if small { RowsPayload::Small(rows) } else { RowsPayload::Encoded(log::encode(&rows)?) };
    let schema_version = table.schema_version();
    Ok(RowsPart { table: table.id, partition, schema_version, rows: count, min_event_us, max_event_us, payload })
}

fn named(table: &TableInfo, partition: PartitionId) -> Result<PartitionId> {
    let partitions = table.options.partitions;
    if partition < partitions {
        return Ok(partition);
    }
    Err(Error::InvalidInput(format!("table {:?} has {partitions} partitions, there is no {partition}", table.name)))
}

/// Refuses before encoding what can't fit after it.
fn fits(bytes: usize, options: &EngineOptions, spare: &usize) -> Result<()> {
    if bytes <= *spare { Ok(()) } else { Err(too_large(options, *spare, bytes)) }
}

fn too_large(options: &EngineOptions, spare: usize, bytes: usize) -> Error {
    let before = options.max_commit_bytes.saturating_sub(spare);
    Error::TooLarge {
        what: "a submission",
        size: u64::try_from(before.saturating_add(bytes)).unwrap_or(u64::MAX),
        limit: u64::try_from(options.max_commit_bytes).unwrap_or(u64::MAX),
        hint: "cut the batch and append the pieces one after the other",
    }
}
