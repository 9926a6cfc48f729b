//! One of ten equally wide columns out of cold segments, beside all ten.

use std::time::Instant;

use crate::report::{Figure, median};
use crate::store::Store;
use crate::{Result, Scale, data, process};

const ROUNDS: usize = 5;

/// Figure `cold_one_of_ten_columns`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let batches = data::wide(10, scale.pick(20, 250))?;
    let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    let store = Store::open(|options| options.tail_bytes = 1 << 20)?;
    store.load("wide", &batches)?;
    let table = store.engine.table(&millstream_engine::Principal::anonymous(), "public", "wide")?.id;
    store.engine.cut_segments(&millstream_engine::Principal::anonymous(), table)?;
    let all = (0..10).map(|i| format!("sum(c{i})")).collect::<Vec<_>>().join(", ");
    let (mut one_rates, mut all_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one_rates.push(rate(&store, "sum(c0)", rows)?);
        all_rates.push(rate(&store, &all, rows)?);
    }
    let note = format!(
        "{rows} rows of ten random float columns in zstd Parquet, page cache dropped before each read; limit: all ten"
    );
    Ok(vec![
        Figure::reported("cold_one_of_ten_columns", median(one_rates), "rows/s", note).at_least(median(all_rates), 6.0),
    ])
}

fn rate(store: &Store, sums: &str, rows: usize) -> Result<f64> {
    process::drop_cache(&store.path())?;
    let start = Instant::now();
    store.sql(&format!("SELECT {sums} FROM wide"))?;
    Ok(rows as f64 / start.elapsed().as_secs_f64())
}
