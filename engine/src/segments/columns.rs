//! The columns of a segment file, encoded side by side: comparing and compressing values is most of what cutting costs, and
//! one partition's rows are cut one segment after the other.

use std::num::NonZero;
use std::sync::OnceLock;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::checksum::ChecksummedWriter;
use crate::platform::start_aside;

/// A choice, and no measurement: a page's widest column is encoded by one of them, and rows come in meanwhile.
const MOST_THREADS: usize = 4;

/// The threads that encode, shared by all segments that are being written; started with the first of them.
#[derive(Debug, Default)]
pub(super) struct Encoders {
    threads: OnceLock<Option<ThreadPool>>,
}

impl Encoders {
    /// Runs what has parts for several threads; by this one alone where no others can be had. A panic of a part is the
    /// caller's.
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.threads.get_or_init(start) {
            Some(threads) => threads.install(work),
            None => work(),
        }
    }
}

fn start() -> Option<ThreadPool> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let started = ThreadPoolBuilder::new()
        .num_threads(cores.min(MOST_THREADS))
        .spawn_handler(|thread| {
            let name = format!("encode-{}", thread.index() + 1);
            start_aside(&name, || thread.run()).map(drop).map_err(std::io::Error::other)
        })
        .build();
    started.inspect_err(|error| tracing::warn!("segments are encoded by one thread each: {error}")).ok()
}

/// A Parquet file being written. At most one row group's encoded pages wait in memory.
pub(super) struct ColumnsWriter {
    file: SerializedFileWriter<ChecksummedWriter>,
    groups: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// How many of the file's columns each field is stored as.
    leaves: Vec<usize>,
    /// The columns of the row group that is being written; none between two.
    group: Vec<ArrowColumnWriter>,
}

impl ColumnsWriter {
    pub(super) fn begin(
        upload: ChecksummedWriter,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<ColumnsWriter, ParquetError> {
        let (file, groups) =
            ArrowWriter::try_new(upload, schema.clone(), Some(properties))?.into_serialized_writer()?;
        let stored = file.schema_descr();
        let mut leaves = vec![0; schema.fields().len()];
        for leaf in 0..stored.num_columns() {
            if let Some(count) = leaves.get_mut(stored.get_column_root_idx(leaf)) {
                *count += 1;
            }
        }
        Ok(ColumnsWriter { file, groups, schema, leaves, group: Vec::new() })
    }

    /// Adds rows to the row group.
    pub(super) fn write(&mut self, rows: &RecordBatch, encoders: &Encoders) -> Result<(), ParquetError> {
        if self.group.is_empty() {
            self.group = self.groups.create_column_writers(self.file.flushed_row_groups().len())?;
        }
        let mut rest = self.group.as_mut_slice();
        let mut fields = Vec::with_capacity(self.leaves.len());
        for ((field, values), leaves) in self.schema.fields().iter().zip(rows.columns()).zip(&self.leaves) {
            let (columns, others) = rest.split_at_mut_checked(*leaves).ok_or_else(disagree)?;
            fields.push((field, values, columns));
            rest = others;
        }
        let encode = || {
            fields.into_par_iter().with_max_len(1).try_for_each(|(field, values, columns)| {
                let leaves = compute_leaves(field, values)?;
                if leaves.len() != columns.len() {
                    return Err(disagree());
                }
                columns.iter_mut().zip(&leaves).try_for_each(|(column, leaf)| column.write(leaf))
            })
        };
        encoders.run(encode)
    }

    /// Ends the row group, if one has begun: its pages go into the file.
    pub(super) fn end_group(&mut self, encoders: &Encoders) -> Result<(), ParquetError> {
        let group = std::mem::take(&mut self.group);
        if group.is_empty() {
            return Ok(());
        }
        let close = || group.into_par_iter().with_max_len(1).map(ArrowColumnWriter::close).collect();
        let chunks: Vec<ArrowColumnChunk> = encoders.run::<Result<_, ParquetError>>(close)?;
        let mut stored = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut stored)?;
        }
        stored.close().map(drop)
    }

    /// Ends the file's body, of which `footer` is told the checksums and says what the footer holds.
    pub(super) fn finish(
        mut self,
        footer: impl FnOnce(String) -> Vec<KeyValue>,
    ) -> Result<ChecksummedWriter, ParquetError> {
        self.file.flush()?;
        let checksums = self.file.inner_mut().seal_body();
        for pair in footer(checksums) {
            self.file.append_key_value_metadata(pair);
        }
        self.file.into_inner()
    }
}

fn disagree() -> ParquetError {
    ParquetError::General("the file has other columns than its schema says".to_owned())
}
