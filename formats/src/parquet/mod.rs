//! Parquet files, in every codec that other tools write: snappy, gzip, zstd, lz4, lz4_raw, brotli.

mod int96;

use std::fs::File;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use crate::{BATCH_ROWS, Error, Result};

/// A file, opened to read.
#[derive(Debug)]
pub struct ParquetFile {
    file: File,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    /// Reads what the file says of itself, and, of times in the old 96-bit form, the values: they say which unit takes them.
    pub fn open(file: File) -> Result<ParquetFile> {
        let options = ArrowReaderOptions::new();
        let metadata = ArrowReaderMetadata::load(&file, options.clone()).map_err(Error::invalid)?;
        let metadata = match int96::schema(&file, &metadata)? {
            Some(schema) => {
                let options = options.with_schema(schema);
                ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(Error::invalid)?
            }
            None => metadata,
        };
        Ok(ParquetFile { file, metadata })
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
        Ok(ParquetBatches(builder.build().map_err(Error::invalid)?))
    }
}

/// The rows of a file.
pub struct ParquetBatches(ParquetRecordBatchReader);

impl Iterator for ParquetBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        Some(self.0.next()?.map_err(Error::invalid))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
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
}
