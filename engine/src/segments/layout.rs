//! How rows lie in a segment file: pages, row groups, runs, and what the footer says beyond Parquet's own.

use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use super::sample;
use crate::model::TableInfo;

/// Rows of a full page, and of the longest run.
pub(super) const PAGE_ROWS: usize = 16_384;

/// Rows of a full row group.
pub(super) const ROW_GROUP_ROWS: usize = 8 * PAGE_ROWS;

/// Log bytes of the rows at which a row group is closed before it is full.
pub(super) const ROW_GROUP_BYTES: u64 = 16 << 20;

/// Bytes that a decoded run of a row group should not pass, and a piece of one.
const RUN_BYTES: u64 = 4 << 20;
const PIECE_BYTES: u64 = 1 << 20;

/// Dictionaries larger than this are given up, so that columns of many values don't pay for one.
const DICTIONARY_BYTES: usize = 64 << 10;

/// The same for texts, which gain more.
const TEXT_DICTIONARY_BYTES: usize = 256 << 10;

/// The footer's key of [`Description`], as JSON.
pub(super) const DESCRIPTION_KEY: &str = "millstream.segment";

/// What the file says of itself. Fields may be added with a default, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    /// Version of the layout: 2, or 1 without LSNs.
    pub format: u32,
    pub namespace: String,
    pub table: String,
    pub table_id: u64,
    pub partition: u32,
    pub schema_version: u32,
    pub first_offset: u64,
    pub next_offset: u64,
    /// Top-level columns, by position, that hold a NaN. Parquet's bounds leave NaN out, so they say nothing of these.
    pub nan_columns: Vec<usize>,
}

/// A row group's place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowGroupSpan {
    pub first_row: u64,
    pub rows: u64,
    /// Its rows are read in runs of this many, counted from its first.
    pub run_rows: u64,
    /// Or in pieces of this many, of which runs are made, by those who want a few rows at a time.
    pub piece_rows: u64,
}

impl RowGroupSpan {
    pub(super) fn runs(&self) -> u64 {
        self.rows.div_ceil(self.run_rows)
    }
}

/// Spans in file order; a function of the file alone, so that all readers see the same runs.
pub(super) fn row_groups(metadata: &ParquetMetaData) -> Vec<RowGroupSpan> {
    let mut first_row = 0;
    let spans = metadata.row_groups().iter().map(|group| {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let bytes: u64 = group.columns().iter().map(decoded_bytes).fold(0, u64::saturating_add);
        let within = |most: u64| {
            let mut run_rows = PAGE_ROWS as u64;
            while run_rows > 1 && bytes.saturating_mul(run_rows) > most.saturating_mul(rows.max(1)) {
                run_rows /= 2;
            }
            run_rows
        };
        let span = RowGroupSpan { first_row, rows, run_rows: within(RUN_BYTES), piece_rows: within(PIECE_BYTES) };
        first_row += rows;
        span
    });
    spans.collect()
}

/// About what a column's values of a row group take in memory: dictionaries make the file's own figure smaller.
fn decoded_bytes(column: &ColumnChunkMetaData) -> u64 {
    let width = match column.column_type() {
        Type::BOOLEAN => 0,
        Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY => 16,
    };
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let values = number(column.num_values()).saturating_mul(width);
    let texts = column.unencoded_byte_array_data_bytes().map_or(0, number);
    values.saturating_add(texts).max(number(column.uncompressed_size()))
}

/// The value of a footer key.
pub(super) fn footer_value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

/// Encodings per column: dictionaries where the values of the first page repeat, deltas for what grows, zstd over all.
pub(super) fn writer_properties(table: &TableInfo, first_page: &RecordBatch) -> WriterProperties {
    let zstd = ZstdLevel::try_new(1).unwrap_or_default();
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("millstream ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(zstd))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES);
    let schema = first_page.schema();
    let stored = first_page.num_columns() - 2;
    for (position, (field, values)) in schema.fields().iter().zip(first_page.columns()).enumerate() {
        let column = ColumnPath::from(field.name().as_str());
        let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::Binary);
        let limit = if is_text { TEXT_DICTIONARY_BYTES } else { DICTIONARY_BYTES };
        properties = properties.set_column_dictionary_page_size_limit(column.clone(), limit);
        let grows = position >= stored || table.options.time_column.as_deref() == Some(field.name());
        if grows && matches!(field.data_type(), DataType::Int64 | DataType::Timestamp(..)) {
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column.clone(), Encoding::DELTA_BINARY_PACKED);
        } else if !sample::repeats(values, limit) {
            properties = properties.set_column_dictionary_enabled(column.clone(), false);
        }
        if position < stored
            && (table.options.partition_key.contains(field.name()) || table.options.is_looked_up(field.name()))
        {
            let leaf = match field.data_type() {
                DataType::List(item) => ColumnPath::new(vec![field.name().clone(), "list".into(), item.name().clone()]),
                _ => column,
            };
            properties = properties
                .set_column_bloom_filter_fpp(leaf.clone(), 0.01)
                .set_column_bloom_filter_max_ndv(leaf, ROW_GROUP_ROWS as u64);
        }
    }
    properties.build()
}
