//! Writing one segment file. Rows stream through: at most one page's rows wait decoded, and one row group encoded.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use super::checksum::{CHECKSUMS_KEY, ChecksummedWriter};
use super::columns::{ColumnsWriter, Encoders};
use super::handle::Segments;
use super::layout::{self, DESCRIPTION_KEY, Description, PAGE_ROWS, ROW_GROUP_BYTES, ROW_GROUP_ROWS};
use super::lsns::{LSN_RUNS_KEY, LsnRuns};
use super::name::SegmentName;
use crate::chunks::append_ts_type;
use crate::model::{Error, Lsn, Offset, PartitionId, Result, TableInfo};
use crate::state::SegmentMeta;

/// Waiting rows are written when their share of the log passes this, though they don't fill a page.
const PENDING_BYTES: u64 = 4 << 20;

/// Rows for a segment, as they come from a frame or from another segment.
pub(super) struct RowsToWrite<'a> {
    /// Columns of the segment's schema version.
    pub batch: &'a RecordBatch,
    /// `_append_ts`, a value for each row.
    pub append_ts: ArrayRef,
    /// Their share of the log.
    pub log_bytes: u64,
}

/// Bounds of the rows written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub min_event_us: i64,
    pub max_event_us: i64,
    pub min_append_us: i64,
    pub max_append_us: i64,
    pub log_bytes: u64,
    pub next_lsn: Lsn,
}

impl Extent {
    pub(super) fn empty() -> Extent {
        Extent {
            min_event_us: i64::MAX,
            max_event_us: i64::MIN,
            min_append_us: i64::MAX,
            max_append_us: i64::MIN,
            log_bytes: 0,
            next_lsn: Lsn(0),
        }
    }

    pub(super) fn include(&mut self, other: &Extent) {
        self.min_event_us = self.min_event_us.min(other.min_event_us);
        self.max_event_us = self.max_event_us.max(other.max_event_us);
        self.min_append_us = self.min_append_us.min(other.min_append_us);
        self.max_append_us = self.max_append_us.max(other.max_append_us);
        self.log_bytes += other.log_bytes;
        self.next_lsn = self.next_lsn.max(other.next_lsn);
    }
}

enum Sink {
    Waiting(ChecksummedWriter),
    Writing(Box<ColumnsWriter>),
    /// Only between two states, and after a failure.
    Broken,
}

/// A segment being written.
pub(super) struct SegmentWriter<'a> {
    encoders: &'a Encoders,
    name: SegmentName,
    display: PathBuf,
    table: Arc<TableInfo>,
    partition: PartitionId,
    schema_version: u32,
    schema: SchemaRef,
    /// Begun with the first page, whose values choose the encodings.
    writer: Sink,
    first_offset: Offset,
    next_offset: Offset,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    pending_bytes: u64,
    group_rows: usize,
    group_bytes: u64,
    nan_columns: Vec<usize>,
    /// Of all rows, or of none: those of segments without stay without.
    lsns: LsnRuns,
}

impl<'a> SegmentWriter<'a> {
    pub(super) fn new(
        segments: &'a Segments,
        name: SegmentName,
        table: &Arc<TableInfo>,
        partition: PartitionId,
        schema_version: u32,
        first_offset: Offset,
    ) -> Result<SegmentWriter<'a>> {
        let schema = file_schema(table, schema_version)?;
        let display = segments.store.display(&name.path);
        let writer = Sink::Waiting(ChecksummedWriter::new(segments.store.create(&name.path)?));
        Ok(SegmentWriter {
            encoders: &segments.encoders,
            name,
            display,
            table: table.clone(),
            partition,
            schema_version,
            schema,
            writer,
            first_offset,
            next_offset: first_offset,
            pending: Vec::new(),
            pending_rows: 0,
            pending_bytes: 0,
            group_rows: 0,
            group_bytes: 0,
            nan_columns: Vec::new(),
            lsns: LsnRuns::default(),
        })
    }

    /// The LSNs of the rows that were pushed, or are pushed next.
    pub(super) fn note_lsns(&mut self, first: Lsn, rows: u64) -> Result<()> {
        if self.lsns.push(first, rows) { Ok(()) } else { Err(self.unordered()) }
    }

    /// As [`Self::note_lsns`], of a whole segment.
    pub(super) fn append_lsns(&mut self, lsns: &LsnRuns) -> Result<()> {
        if self.lsns.extend(lsns) { Ok(()) } else { Err(self.unordered()) }
    }

    fn unordered(&self) -> Error {
        Error::Internal(format!("the LSNs of rows for {} do not rise", self.name.path))
    }

    /// Rows that follow on those before.
    pub(super) fn push(&mut self, rows: RowsToWrite<'_>) -> Result<()> {
        let count = rows.batch.num_rows();
        self.note_nans(rows.batch);
        let base = i64::try_from(self.next_offset).unwrap_or(i64::MAX);
        let mut columns = rows.batch.columns().to_vec();
        columns.push(Arc::new(Int64Array::from_iter_values((base..).take(count))));
        columns.push(rows.append_ts);
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| {
            Error::Internal(format!("rows of partition {} don't fit their schema: {error}", self.partition))
        })?;
        self.next_offset += count as u64;
        self.pending_bytes += rows.log_bytes;
        self.take_up(batch)
    }

    /// Finishes the file; what it gives is durable, and may be recorded.
    pub(super) fn finish(mut self, extent: &Extent) -> Result<SegmentMeta> {
        self.write_pending()?;
        let rows = self.next_offset - self.first_offset;
        if self.lsns.rows() != rows && self.lsns.rows() != 0 {
            return Err(Error::Internal(format!("{rows} rows of {} have {} LSNs", self.name.path, self.lsns.rows())));
        }
        let description = self.description();
        let Sink::Writing(mut writer) = self.writer else {
            return Err(Error::Internal(format!("{} has no rows", self.name.path)));
        };
        let footer = |checksums| {
            let lsns = (self.lsns.rows() > 0).then(|| KeyValue::new(LSN_RUNS_KEY.to_owned(), self.lsns.text()));
            let mut pairs = vec![
                KeyValue::new(DESCRIPTION_KEY.to_owned(), description),
                KeyValue::new(CHECKSUMS_KEY.to_owned(), checksums),
            ];
            pairs.extend(lsns);
            pairs
        };
        let written = writer.end_group(self.encoders).and_then(|()| writer.finish(footer));
        let written = written.map_err(|error| failed(&self.display, &error))?;
        let (upload, bytes, body_bytes, tail_crc32c) = written.into_parts();
        upload.finish()?;
        Ok(SegmentMeta {
            id: self.name.id,
            first_offset: self.first_offset,
            next_offset: self.next_offset,
            schema_version: self.schema_version,
            bytes,
            log_bytes: extent.log_bytes,
            next_lsn: extent.next_lsn,
            path: self.name.path,
            min_event_us: extent.min_event_us,
            max_event_us: extent.max_event_us,
            min_append_us: extent.min_append_us,
            max_append_us: extent.max_append_us,
            body_bytes,
            tail_crc32c,
            first_lsn: self.lsns.first().unwrap_or_default(),
        })
    }

    /// Cuts the rows into pages of full length: runs that begin where pages begin are decoded without waste.
    fn take_up(&mut self, mut batch: RecordBatch) -> Result<()> {
        loop {
            let room = PAGE_ROWS - self.pending_rows;
            if batch.num_rows() < room {
                self.pending_rows += batch.num_rows();
                self.pending.push(batch);
                break;
            }
            self.pending.push(batch.slice(0, room));
            self.pending_rows += room;
            self.write_pending()?;
            batch = batch.slice(room, batch.num_rows() - room);
            if batch.num_rows() == 0 {
                break;
            }
        }
        if self.pending_bytes >= PENDING_BYTES { self.write_pending() } else { Ok(()) }
    }

    fn write_pending(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let rows = std::mem::take(&mut self.pending_rows);
        let page = match pending.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            many => concat_batches(&self.schema, many)
                .map_err(|error| Error::Internal(format!("can't join rows for {}: {error}", self.name.path)))?,
        };
        self.group_rows += rows;
        self.group_bytes += std::mem::take(&mut self.pending_bytes);
        let group_is_full = self.group_rows >= ROW_GROUP_ROWS || self.group_bytes >= ROW_GROUP_BYTES;
        if group_is_full {
            self.group_rows = 0;
            self.group_bytes = 0;
        }
        let encoders = self.encoders;
        let written = self.begin(&page).and_then(|writer| {
            writer.write(&page, encoders)?;
            if group_is_full { writer.end_group(encoders) } else { Ok(()) }
        });
        written.map_err(|error| failed(&self.display, &error))
    }

    fn begin(&mut self, first_page: &RecordBatch) -> Result<&mut ColumnsWriter, ParquetError> {
        if let Sink::Waiting(_) = self.writer
            && let Sink::Waiting(upload) = std::mem::replace(&mut self.writer, Sink::Broken)
        {
            let properties = layout::writer_properties(&self.table, first_page);
            self.writer = Sink::Writing(Box::new(ColumnsWriter::begin(upload, self.schema.clone(), properties)?));
        }
        match &mut self.writer {
            Sink::Writing(writer) => Ok(writer),
            Sink::Waiting(_) | Sink::Broken => Err(ParquetError::General("an earlier write failed".to_owned())),
        }
    }

    fn note_nans(&mut self, batch: &RecordBatch) {
        for (index, column) in batch.columns().iter().enumerate() {
            let found = match column.data_type() {
                DataType::Float32 => column.as_primitive::<Float32Type>().values().iter().any(|value| value.is_nan()),
                DataType::Float64 => column.as_primitive::<Float64Type>().values().iter().any(|value| value.is_nan()),
                _ => false,
            };
            if found && !self.nan_columns.contains(&index) {
                self.nan_columns.push(index);
            }
        }
    }

    fn description(&self) -> String {
        let description = Description {
            format: 2,
            namespace: self.table.namespace.clone(),
            table: self.table.name.clone(),
            table_id: self.table.id.0,
            partition: self.partition,
            schema_version: self.schema_version,
            first_offset: self.first_offset,
            next_offset: self.next_offset,
            nan_columns: self.nan_columns.clone(),
        };
        // A struct of numbers and strings always has a JSON form.
        serde_json::to_string(&description).unwrap_or_default()
    }
}

/// The table's columns of one schema version, then `_offset` and `_append_ts`.
fn file_schema(table: &TableInfo, version: u32) -> Result<SchemaRef> {
    let schema = table.schema_of(version)?;
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("_offset", DataType::Int64, false)));
    fields.push(Arc::new(Field::new("_append_ts", append_ts_type(), false)));
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

fn failed(path: &std::path::Path, error: &ParquetError) -> Error {
    Error::Io { path: path.to_owned(), message: format!("can't write the segment: {error}") }
}
