//! Rows of a segment, for the cursor.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::handle::{Figures, Segments};
use super::open::{Footer, Segment};
use super::prune::{Pruning, View};
use super::run::{Position, RunReader};
use crate::chunks::{Chunk, ChunkRows, Projection};
use crate::contract::InputColumn;
use crate::model::{Error, Offset, PartitionId, Result, TableInfo};

/// Pieces that are fetched together: whoever reads on finds the next ones there, and nobody fetches a row group for a few rows.
const PIECES_AT_A_TIME: u64 = 4;

/// The disk fetches the row groups that begin within so many bytes while one is decoded.
const BYTES_AHEAD: u64 = 2 << 20;

impl Footer {
    /// Columns of the table that the file has; `_offset` and `_append_ts` follow them.
    pub(super) fn stored_columns(&self) -> usize {
        self.metadata.schema().fields().len().saturating_sub(2)
    }
}

impl Segments {
    /// The chunk of a segment that holds `offset`: one run, or a stretch that pruning rules out.
    pub(crate) fn chunk(
        &self,
        segment: &Arc<Segment>,
        (table, partition): (&TableInfo, PartitionId),
        projection: &Projection,
        offset: Offset,
        pruning: &Pruning<'_>,
    ) -> Result<Chunk> {
        let footer = segment.footer(&self.store)?;
        let view = View { table, partition, segment, footer: &footer, projection };
        let row = offset.saturating_sub(segment.meta.first_offset);
        let group = footer.row_groups.partition_point(|group| group.first_row <= row).saturating_sub(1);
        let span = match footer.row_groups.get(group) {
            Some(span) if row < span.first_row + span.rows => *span,
            _ => return Err(Error::Internal(format!("segment {} does not hold {offset}", segment.meta.path))),
        };
        let run_rows = if pruning.piecemeal { span.piece_rows } else { span.run_rows };
        let run = (row - span.first_row) / run_rows;
        let columns = file_columns(&footer, projection);
        let position = Position { segment: segment.meta.id, group, columns, row: run * run_rows, run_rows };
        let base = segment.meta.first_offset + span.first_row + position.row;
        if let Some(reader) = self.pool.take(&position) {
            return self.read(&view, reader, base);
        }
        let mut end = span.rows;
        if !pruning.is_none() {
            let (skipped, survivors) = view.next_stretch(pruning, group, run);
            if skipped > 0 {
                Figures::add(&self.figures.runs_pruned, skipped);
                let next = view.skip_to(group, run, skipped);
                return Ok(view.chunk(base, next, ChunkRows::Pruned));
            }
            end = span.rows.min((run + survivors) * span.run_rows);
        }
        if pruning.piecemeal {
            end = end.min((run + PIECES_AT_A_TIME) * run_rows);
        }
        if position.columns.is_empty() {
            let rows = run_rows.min(span.rows - position.row);
            return view.assemble(base, rows, &[], &[]);
        }
        let columns = position.columns.clone();
        let reader = RunReader::open(&self.pool, &footer, position, end)?;
        if end == span.rows {
            view.read_ahead(pruning, group, &columns);
        }
        self.read(&view, reader, base)
    }

    fn read(&self, view: &View<'_>, mut reader: RunReader, base: Offset) -> Result<Chunk> {
        let columns = reader.columns();
        let (rows, arrays) = reader.next_run(view.footer)?;
        self.pool.put(reader);
        Figures::add(&self.figures.runs_read, 1);
        Figures::add(&self.figures.rows_read, rows);
        view.assemble(base, rows, &columns, &arrays)
    }
}

impl View<'_> {
    /// (runs ruled out from `run` on, over row groups; runs wanted from `run` on, within this one).
    fn next_stretch(&self, pruning: &Pruning<'_>, group: usize, run: u64) -> (u64, u64) {
        let out = self.ruled_out(pruning, group, run);
        let wanted = out.iter().take_while(|out| !**out).count() as u64;
        if wanted > 0 {
            return (0, wanted);
        }
        let mut skipped = out.iter().take_while(|out| **out).count() as u64;
        let mut whole = skipped == out.len() as u64;
        let mut group = group;
        while whole && group + 1 < self.footer.row_groups.len() {
            group += 1;
            let out = self.ruled_out(pruning, group, 0);
            let more = out.iter().take_while(|out| **out).count() as u64;
            whole = more == out.len() as u64;
            skipped += more;
        }
        (skipped, 0)
    }

    /// Who reads this row group to its end goes on with the next ones, unless pruning rules them out. What he reads now is
    /// here already: it does not wait behind what he reads next.
    fn read_ahead(&self, pruning: &Pruning<'_>, group: usize, columns: &[usize]) {
        let mut bytes = 0;
        for next in group + 1..self.footer.row_groups.len() {
            if bytes >= BYTES_AHEAD || !pruning.is_none() && self.ruled_out(pruning, next, 0).first() != Some(&false) {
                break;
            }
            bytes += RunReader::read_ahead(self.footer, next, columns);
        }
    }

    /// The offset after `skipped` runs.
    fn skip_to(&self, group: usize, run: u64, skipped: u64) -> Offset {
        let (mut run, mut left) = (run, skipped);
        for span in self.footer.row_groups.iter().skip(group) {
            let here = span.runs() - run;
            if left < here {
                return self.segment.meta.first_offset + span.first_row + (run + left) * span.run_rows;
            }
            left -= here;
            run = 0;
            if left == 0 {
                return self.segment.meta.first_offset + span.first_row + span.rows;
            }
        }
        self.segment.meta.next_offset
    }

    /// Puts a run's columns into the projection's order.
    fn assemble(&self, base: Offset, rows: u64, columns: &[usize], arrays: &[ArrayRef]) -> Result<Chunk> {
        let stored = self.footer.stored_columns();
        let find = |column: usize| {
            let found = columns.iter().position(|have| *have == column).and_then(|index| arrays.get(index));
            found.cloned().ok_or_else(|| Error::Internal(format!("column {column} was not read")))
        };
        let fields = self.projection.inputs().iter().zip(self.projection.schema().fields());
        for (input, field) in fields {
            if let InputColumn::Field(index) = *input
                && index < stored
                && find(index)?.data_type() != field.data_type()
            {
                let message = format!("column {:?} is not of type {}", field.name(), field.data_type());
                return Err(self.footer.undecodable(&message));
            }
        }
        let count = usize::try_from(rows).unwrap_or(usize::MAX);
        let batch = self.projection.batch(
            self.partition,
            base,
            count,
            |index| if index < stored { find(index).map(Some) } else { Ok(None) },
            || find(stored + 1),
        )?;
        Ok(self.chunk(base, base + rows, ChunkRows::Batch(batch)))
    }

    fn chunk(&self, base_offset: Offset, next_offset: Offset, rows: ChunkRows) -> Chunk {
        let meta = &self.segment.meta;
        Chunk { base_offset, next_offset, rows, schema_version: meta.schema_version, encoded: None }
    }
}

/// The columns of the file that a projection needs, in the file's order.
fn file_columns(footer: &Footer, projection: &Projection) -> Arc<[usize]> {
    let stored = footer.stored_columns();
    let columns = projection.inputs().iter().filter_map(|input| match *input {
        InputColumn::Field(index) => (index < stored).then_some(index),
        InputColumn::AppendTs => Some(stored + 1),
        InputColumn::Partition | InputColumn::Offset => None,
    });
    let mut columns: Vec<usize> = columns.collect();
    columns.sort_unstable();
    columns.dedup();
    columns.into()
}
