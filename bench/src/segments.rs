//! How fast log frames are turned into Parquet, one segment after the other.

use std::time::Instant;

use arrow_array::RecordBatch;
use millstream_engine::Principal;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::report::Figure;
use crate::store::Store;
use crate::{Result, Scale, data};

/// Figure `segment_cutting`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let flights = data::flights()?;
    let batches: Vec<RecordBatch> = std::iter::repeat_n(flights, scale.pick(4, 16)).flatten().collect();
    let store = Store::open(|options| options.segment_threads = 0)?;
    store.load("flights", &batches)?;
    let who = Principal::anonymous();
    let table = store.engine.table(&who, "public", "flights")?.id;
    let before = store.engine.stats(&who)?;
    let start = Instant::now();
    store.engine.cut_segments(&who, table)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = store.engine.stats(&who)?;
    let cut = before.segment_backlog_bytes - after.segment_backlog_bytes;
    let written = after.segment_bytes_written - before.segment_bytes_written;
    let (plain_seconds, plain) = plain(&batches)?;
    let note = format!(
        "log bytes of flights, one segment after the other by all cores, fsync included; {:.3} bytes written for each; beside it: \
         parquet's own writer on the same rows by one thread, zstd 1 and otherwise as it comes, {:.3} bytes for each",
        written as f64 / cut as f64,
        plain as f64 / cut as f64
    );
    let figure = Figure::reported("segment_cutting", cut as f64 / seconds, "B/s", note);
    Ok(vec![figure.beside(cut as f64 / plain_seconds)])
}

/// Writes the rows as one Parquet file; how long that takes, and the file's bytes.
fn plain(batches: &[RecordBatch]) -> Result<(f64, u64)> {
    let schema = batches.first().ok_or("no rows")?.schema();
    let file = tempfile::NamedTempFile::new()?;
    let compression = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let properties = WriterProperties::builder().set_compression(compression).build();
    let start = Instant::now();
    let mut writer = ArrowWriter::try_new(file.reopen()?, schema, Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.close()?;
    file.as_file().sync_all()?;
    Ok((start.elapsed().as_secs_f64(), file.as_file().metadata()?.len()))
}
