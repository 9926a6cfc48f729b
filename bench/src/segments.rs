//! How fast one thread turns log frames into Parquet.

use std::time::Instant;

use arrow_array::RecordBatch;
use millstream_engine::Principal;

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
    let before = store.engine.stats();
    let start = Instant::now();
    store.engine.cut_segments(&who, table)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = store.engine.stats();
    let cut = before.segment_backlog_bytes - after.segment_backlog_bytes;
    let written = after.segment_bytes_written - before.segment_bytes_written;
    let note = format!(
        "log bytes of flights, one thread, fsync included; {:.3} bytes written for each",
        written as f64 / cut as f64
    );
    Ok(vec![Figure::reported("segment_cutting", cut as f64 / seconds, "B/s", note)])
}
