//! Parquet files, in every codec that other tools write: snappy, gzip, zstd, lz4, lz4_raw, brotli.

mod int96;

use std::fs::File;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;

use crate::error::caught;
use crate::{BATCH_ROWS, Error, Result};

const MALFORMED: &str = "the Parquet file is malformed";

/// A file, opened to read.
#[derive(Debug)]
pub struct ParquetFile {
    file: File,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    /// Reads what the file says of itself, and, of times in the old 96-bit form, the values: they say which unit takes them.
    pub fn open(file: File) -> Result<ParquetFile> {
        let metadata = caught(MALFORMED, || ParquetFile::metadata(&file))?;
        Ok(ParquetFile { file, metadata })
    }

    fn metadata(file: &File) -> Result<ArrowReaderMetadata> {
        let options = ArrowReaderOptions::new();
        let metadata = ArrowReaderMetadata::load(file, options.clone()).map_err(Error::invalid)?;
        check_places(metadata.metadata(), file.metadata()?.len())?;
        Ok(match int96::schema(file, &metadata)? {
            Some(schema) => {
                let options = options.with_schema(schema);
                ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(Error::invalid)?
            }
            None => metadata,
        })
    }

    /// The columns, as Arrow has them.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Reads the rows; `columns` by position, all if not given.
    pub fn batches(&self, columns: Option<Vec<usize>>) -> Result<ParquetBatches> {
        let file = self.file.try_clone()?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        builder = builder.with_batch_size(BATCH_ROWS);
        if let Some(columns) = columns {
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
            builder = builder.with_projection(mask);
        }
        let reader = caught(MALFORMED, || builder.build().map_err(Error::invalid))?;
        Ok(ParquetBatches(Some(reader)))
    }
}

/// Whether every column lies where a file of `len` bytes can have it: the reader takes that for granted.
fn check_places(metadata: &ParquetMetaData, len: u64) -> Result<()> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
            let end = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
            if end.and_then(|(start, size)| start.checked_add(size)).is_none_or(|end| end > len) {
                let path = column.column_path().string();
                return Err(Error::invalid(format!(
                    "{MALFORMED}: column {path:?} of row group {number} would lie outside of it"
                )));
            }
        }
    }
    Ok(())
}

/// The rows of a file. After an error there are no more.
pub struct ParquetBatches(Option<ParquetRecordBatchReader>);

impl Iterator for ParquetBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        let reader = self.0.as_mut()?;
        let next = caught(MALFORMED, || reader.next().transpose().map_err(Error::invalid)).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.0 = None;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
    use parquet::file::metadata::ParquetMetaDataWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn every_codec_is_read_and_many_small_row_groups() {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let words: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|id| format!("word {}", id % 7))));
        let batch = RecordBatch::try_from_iter([("id", ids), ("word", words)]).unwrap();
        for codec in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::BROTLI(BrotliLevel::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ] {
            let file = tempfile::tempfile().unwrap();
            let properties = WriterProperties::builder().set_compression(codec).set_max_row_group_row_count(Some(10));
            let mut writer =
                ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), Some(properties.build())).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            let read = ParquetFile::open(file).unwrap();
            let batches: Vec<_> = read.batches(None).unwrap().collect::<Result<_>>().unwrap();
            assert_eq!(arrow::compute::concat_batches(&batch.schema(), &batches).unwrap(), batch, "{codec}");
        }
    }

    /// Writes one column, and a footer that says otherwise where it lies.
    fn misplaced(start: i64, size: i64) -> File {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
        let mut writer = ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let metadata = writer.close().unwrap();
        let groups = metadata.row_groups().iter().map(|group| {
            let column = group.column(0).clone().into_builder();
            let column = column.set_data_page_offset(start).set_total_compressed_size(size).build().unwrap();
            group.clone().into_builder().set_column_metadata(vec![column]).build().unwrap()
        });
        let groups = groups.collect();
        let metadata = metadata.into_builder().set_row_groups(groups).build();
        file.seek(SeekFrom::End(0)).unwrap();
        ParquetMetaDataWriter::new(&mut file, &metadata).finish().unwrap();
        file
    }

    #[test]
    fn a_column_outside_of_the_file_is_an_error() {
        for (start, size) in [(-1, 100), (4, -1), (i64::MIN, 4), (4, i64::MAX), (1 << 40, 10), (i64::MAX, i64::MAX)] {
            let error = ParquetFile::open(misplaced(start, size)).unwrap_err().to_string();
            assert!(error.contains("column \"id\" of row group 0 would lie outside"), "{start} {size}: {error}");
        }
    }
}
