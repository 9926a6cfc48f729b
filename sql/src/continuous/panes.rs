//! Panes: the pieces that windows are made of, between the rows that come and the windows that close.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result as DfResult, internal_err};

use super::groups::{GroupTable, Grouping};
use super::pieces::{Assembly, encode};
use super::split::Kept;

/// Pieces of a pane that are put together once there are so many small ones.
const MANY_PIECES: usize = 16;
/// What of those is small.
const SMALL_PIECE_BYTES: usize = 64 << 10;

/// What one step may write again of what is saved: a step must fit into a commit, however large windows are.
pub(super) const SAVED_ANEW_BYTES: usize = 4 << 20;

/// What has come for one pane, of rows that missed equally many of its windows.
#[derive(Debug, Default)]
pub(super) struct Pane {
    /// In the order in which they came.
    pieces: Vec<Piece>,
    /// What came since; part of no piece yet.
    live: Live,
    next_sequence: u32,
    /// So many of them, the first ones, are too large together to be saved as one.
    full: usize,
    /// What was saved and is part of another piece by now.
    void: Vec<u32>,
    assembly: Assembly,
}

#[derive(Debug)]
struct Piece {
    batch: RecordBatch,
    /// The sequence numbers that it is saved under; none if it is not.
    saved: Vec<u32>,
}

#[derive(Debug, Default)]
enum Live {
    #[default]
    Nothing,
    Rows(Vec<RecordBatch>),
    Groups(Box<GroupTable>),
}

impl Pane {
    /// Takes rows of the columns that panes keep.
    pub(super) fn add(&mut self, rows: RecordBatch, kept: &Kept) -> DfResult<()> {
        match kept {
            Kept::Rows { .. } => match &mut self.live {
                Live::Rows(batches) => batches.push(rows),
                live => *live = Live::Rows(vec![rows]),
            },
            Kept::Groups { grouping, .. } => {
                if let Live::Groups(table) = &mut self.live {
                    return table.add(grouping, &rows);
                }
                let mut table = GroupTable::new(grouping)?;
                table.add(grouping, &rows)?;
                self.live = Live::Groups(Box::new(table));
            }
        }
        Ok(())
    }

    /// Takes what was saved back.
    pub(super) fn restore(&mut self, sequence: u32, chunk: &[u8], kept: &Kept) -> DfResult<()> {
        self.next_sequence = sequence.saturating_add(1);
        if let Some((batch, chunks)) = self.assembly.add(chunk, kept.schema()).map_err(DataFusionError::from)? {
            let first = self.next_sequence.saturating_sub(chunks);
            self.pieces.push(Piece { batch, saved: (first..self.next_sequence).collect() });
        }
        Ok(())
    }

    /// The number of the row that came last, of those that were restored.
    pub(super) fn last_arrival(&self) -> Option<i64> {
        self.pieces.last().and_then(|piece| arrivals(&piece.batch)?.values().last().copied())
    }

    pub(super) fn is_whole(&self) -> bool {
        !self.assembly.is_open()
    }

    pub(super) fn bytes(&self) -> usize {
        let live = match &self.live {
            Live::Nothing => 0,
            Live::Rows(batches) => batches.iter().map(bytes_of).sum(),
            Live::Groups(table) => table.bytes(),
        };
        self.pieces.iter().map(|piece| bytes_of(&piece.batch)).sum::<usize>() + live
    }

    /// Makes a piece of what came last.
    fn settle(&mut self, kept: &Kept) -> DfResult<()> {
        let batch = match (std::mem::take(&mut self.live), kept) {
            (Live::Nothing, _) => return Ok(()),
            (Live::Rows(batches), _) => concat_batches(kept.schema(), &batches)?,
            (Live::Groups(table), Kept::Groups { grouping, .. }) => table.into_states(grouping)?,
            (Live::Groups(_), Kept::Rows { .. }) => return Ok(()),
        };
        self.pieces.push(Piece { batch, saved: Vec::new() });
        Ok(())
    }

    /// Puts pieces together where that makes them fewer for little. `spare` is what may be written anew for it.
    fn compact(&mut self, kept: &Kept, spare: &mut usize) -> DfResult<()> {
        let is_small = |piece: &&Piece| bytes_of(&piece.batch) <= SMALL_PIECE_BYTES;
        let from = match kept {
            Kept::Rows { .. } => {
                let small = self.pieces.iter().rev().take_while(is_small).count();
                if small < MANY_PIECES {
                    return Ok(());
                }
                self.pieces.len() - small
            }
            Kept::Groups { .. } => {
                let left = self.pieces.get(self.full..).unwrap_or_default();
                let rows: usize = left.iter().map(|piece| piece.batch.num_rows()).sum();
                let first = left.first().map_or(0, |piece| piece.batch.num_rows());
                if left.len() < 2 || rows <= first.saturating_mul(2) && left.len() < MANY_PIECES {
                    return Ok(());
                }
                self.full
            }
        };
        let old = self.pieces.get(from..).unwrap_or_default();
        let batches = old.iter().map(|piece| &piece.batch);
        let batch = match kept {
            Kept::Rows { schema, .. } => concat_batches(schema, batches)?,
            Kept::Groups { grouping, .. } => {
                let mut table = GroupTable::new(grouping)?;
                for batch in batches {
                    table.merge(grouping, batch)?;
                }
                table.into_states(grouping)?
            }
        };
        let bytes = bytes_of(&batch);
        if bytes > *spare {
            if bytes > SAVED_ANEW_BYTES {
                self.full = self.pieces.len();
            }
            return Ok(());
        }
        *spare -= bytes;
        self.void.extend(old.iter().flat_map(|piece| &piece.saved));
        self.pieces.truncate(from);
        self.pieces.push(Piece { batch, saved: Vec::new() });
        Ok(())
    }

    /// What has to be saved, by sequence numbers; `None` for what is void. `spare` is what may be saved anew of what is saved already, to
    /// have it in fewer pieces.
    pub(super) fn save(&mut self, kept: &Kept, spare: &mut usize) -> DfResult<Vec<(u32, Option<Bytes>)>> {
        self.settle(kept)?;
        self.compact(kept, spare)?;
        let mut saved: Vec<(u32, Option<Bytes>)> = self.void.drain(..).map(|sequence| (sequence, None)).collect();
        for piece in &mut self.pieces {
            if !piece.saved.is_empty() {
                continue;
            }
            for chunk in encode(&piece.batch).map_err(DataFusionError::from)? {
                saved.push((self.next_sequence, Some(Bytes::from(chunk))));
                piece.saved.push(self.next_sequence);
                self.next_sequence = self.next_sequence.saturating_add(1);
            }
        }
        Ok(saved)
    }

    /// All that it has.
    pub(super) fn batches(&mut self, kept: &Kept) -> DfResult<impl Iterator<Item = &RecordBatch>> {
        self.settle(kept)?;
        Ok(self.pieces.iter().map(|piece| &piece.batch))
    }
}

fn arrivals(batch: &RecordBatch) -> Option<&Int64Array> {
    batch.columns().last().and_then(|column| column.as_primitive_opt())
}

/// Rows of several panes in the order in which they came.
pub(super) fn by_arrival(rows: &[RecordBatch], kept: &Kept) -> DfResult<RecordBatch> {
    let all = concat_batches(kept.schema(), rows)?;
    match arrivals(&all) {
        Some(numbers) => Ok(take_record_batch(&all, &sort_to_indices(numbers, None, None)?)?),
        None => internal_err!("rows of panes have no numbers"),
    }
}

/// What a batch takes by itself: batches that were read back share what they were read from.
pub(super) fn bytes_of(batch: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size())
    };
    batch.columns().iter().map(column).sum()
}

/// Groups of several panes, each once: their keys and values.
pub(super) fn merged(panes: &mut [&mut Pane], grouping: &Grouping, kept: &Kept) -> DfResult<(Vec<ArrayRef>, usize)> {
    let mut table = GroupTable::new(grouping)?;
    for pane in panes {
        for batch in pane.batches(kept)? {
            table.merge(grouping, batch)?;
        }
    }
    table.into_values()
}
