//! Decoding runs of rows. A reader is opened on a stretch of a row group and gives one run after the other.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_select::concat::concat_batches;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::open::Footer;
use super::pool::{Pool, Room};
use crate::model::{Error, Result};

/// What a waiting reader would give next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub segment: u64,
    pub group: usize,
    /// Columns of the file, in its order.
    pub columns: Arc<[usize]>,
    /// Within the row group.
    pub row: u64,
    /// How many it gives at a time.
    pub run_rows: u64,
}

/// A reader within a stretch of one row group.
pub(super) struct RunReader {
    position: Position,
    end: u64,
    reader: ParquetRecordBatchReader,
    /// Of what it has fetched; goes last.
    _room: Room,
}

impl RunReader {
    /// Fetches the columns' pages that hold rows from `position.row` to `end` of the row group, once there is room for them.
    pub(super) fn open(pool: &Pool, footer: &Footer, position: Position, end: u64) -> Result<RunReader> {
        let metadata = &footer.metadata;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), position.columns.iter().copied());
        let ranges = page_ranges(footer, position.group, &mask, position.row..end)?;
        let room = pool.room(footer.body_bytes(&ranges));
        let fetched = Fetched(Arc::new(footer.read_body(ranges)?));
        let (skip, take) = (as_rows(position.row), as_rows(end - position.row));
        let selection = RowSelection::from(vec![RowSelector::skip(skip), RowSelector::select(take)]);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(fetched, metadata.clone())
            .with_row_groups(vec![position.group])
            .with_projection(mask)
            .with_batch_size(as_rows(position.run_rows))
            .with_row_selection(selection)
            .build()
            .map_err(|error| footer.undecodable(&error))?;
        Ok(RunReader { position, end, reader, _room: room })
    }

    /// Has the disk fetch a whole row group's pages of these columns while others are decoded; gives their bytes.
    pub(super) fn read_ahead(footer: &Footer, group: usize, columns: &[usize]) -> u64 {
        let mask = ProjectionMask::roots(footer.metadata.parquet_schema(), columns.iter().copied());
        // What is wrong with the file is told when it is read.
        let ranges = page_ranges(footer, group, &mask, 0..u64::MAX).unwrap_or_default();
        let bytes = ranges.iter().map(|range| range.end - range.start).sum();
        footer.will_read(ranges);
        bytes
    }

    /// The columns of the file that it gives.
    pub(super) fn columns(&self) -> Arc<[usize]> {
        self.position.columns.clone()
    }

    /// The next run: its rows, and a column for each of [`Self::columns`].
    pub(super) fn next_run(&mut self, footer: &Footer) -> Result<(u64, Vec<ArrayRef>)> {
        let rows = self.position.run_rows.min(self.end - self.position.row);
        let mut batches: Vec<RecordBatch> = Vec::with_capacity(1);
        let mut missing = as_rows(rows);
        while missing > 0 {
            let batch = match self.reader.next() {
                Some(batch) => batch.map_err(|error| footer.undecodable(&error))?,
                None => return Err(footer.undecodable(&"a row group holds fewer rows than its footer states")),
            };
            missing = missing
                .checked_sub(batch.num_rows())
                .ok_or_else(|| Error::Internal("a segment reader gave more rows than a run has".to_owned()))?;
            batches.push(batch);
        }
        self.position.row += rows;
        match batches.as_slice() {
            [batch] => Ok((rows, batch.columns().to_vec())),
            [] => Ok((rows, Vec::new())),
            [first, ..] => {
                let whole = concat_batches(&first.schema(), &batches).map_err(|error| footer.undecodable(&error))?;
                Ok((rows, whole.columns().to_vec()))
            }
        }
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    pub(super) fn is_done(&self) -> bool {
        self.position.row >= self.end
    }
}

/// Byte ranges of the dictionary pages, and of the data pages that hold one of the rows.
fn page_ranges(footer: &Footer, group: usize, mask: &ProjectionMask, rows: Range<u64>) -> Result<Vec<Range<u64>>> {
    let metadata = footer.metadata.metadata();
    let chunks = metadata.row_groups().get(group).map(|group| group.columns()).unwrap_or_default();
    let index = metadata.offset_index().and_then(|index| index.get(group)).map(Vec::as_slice).unwrap_or_default();
    let mut ranges = Vec::new();
    for (leaf, (chunk, offsets)) in chunks.iter().zip(index).enumerate() {
        if !mask.leaf_included(leaf) {
            continue;
        }
        let pages = offsets.page_locations();
        let (chunk_start, _) = chunk.byte_range();
        let mut after_dictionary = None;
        for (number, page) in pages.iter().enumerate() {
            let next_row = pages.get(number + 1).map_or(u64::MAX, |next| as_u64(next.first_row_index));
            let start = as_u64(page.offset);
            after_dictionary.get_or_insert(start);
            if as_u64(page.first_row_index) < rows.end && next_row > rows.start {
                ranges.push(start..start + u64::try_from(page.compressed_page_size).unwrap_or(0));
            }
        }
        match after_dictionary {
            Some(first) if first > chunk_start => ranges.push(chunk_start..first),
            Some(_) => {}
            None => return Err(footer.undecodable(&"a column has no page index")),
        }
    }
    Ok(ranges)
}

fn as_u64(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn as_rows(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// The fetched parts of a file, by position.
#[derive(Clone)]
struct Fetched(Arc<Vec<(u64, Bytes)>>);

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.0.last().map_or(0, |(start, bytes)| start + bytes.len() as u64)
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let (at, bytes) = self.part(start)?;
        Ok(bytes.slice(at..).reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let (at, bytes) = self.part(start)?;
        match at.checked_add(length) {
            Some(end) if end <= bytes.len() => Ok(bytes.slice(at..end)),
            _ => Err(ParquetError::EOF(format!("bytes {start}+{length} were not fetched"))),
        }
    }
}

impl Fetched {
    /// The part that holds a position, and where in it.
    fn part(&self, position: u64) -> parquet::errors::Result<(usize, &Bytes)> {
        let after = self.0.partition_point(|(start, _)| *start <= position);
        let part = after.checked_sub(1).and_then(|index| self.0.get(index));
        let found = part.and_then(|(start, bytes)| {
            let at = usize::try_from(position - start).ok()?;
            (at <= bytes.len()).then_some((at, bytes))
        });
        found.ok_or_else(|| ParquetError::EOF(format!("byte {position} was not fetched")))
    }
}
