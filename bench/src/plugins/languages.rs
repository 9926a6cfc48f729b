//! The same filter on the flights in four languages: the examples of `examples/plugins`.

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, RecordBatch};

use crate::report::Figure;
use crate::{Result, Scale, data};

const LANGUAGES: [(&str, &str, &str); 4] = [
    ("plugin_rust", "carrier_filter", "Rust"),
    ("plugin_c", "carrier_filter_c", "C"),
    ("plugin_javascript", "carrier_filter_javascript", "JavaScript"),
    ("plugin_python", "carrier_filter_python", "Python"),
];

/// Late departures of United in examples/data.
const KEPT: usize = 3_824;

/// Figures `plugin_rust`, `plugin_c`, `plugin_javascript`, `plugin_python`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let flights = data::flights()?;
    LANGUAGES.iter().map(|(figure, guest, language)| one(scale, &flights, figure, guest, language)).collect()
}

fn one(scale: Scale, flights: &[RecordBatch], figure: &'static str, guest: &str, language: &str) -> Result<Figure> {
    let dir = tempfile::tempdir()?;
    let module = super::module(guest)?;
    let host = super::host(dir.path())?;
    let start = Instant::now();
    let filter = super::load(&host, &module, "UA")?;
    let loading = start.elapsed();
    // The next one finds the compiled code: it only starts and opens an instance.
    let again = super::host(dir.path())?;
    let start = Instant::now();
    drop(super::load(&again, &module, "UA")?);
    let starting = start.elapsed();

    let batches: Vec<(Vec<ArrayRef>, usize)> = flights
        .iter()
        .map(|batch| {
            let column = |name: &str| batch.column_by_name(name).cloned().ok_or("a column of the flights is missing");
            Ok((vec![column("carrier")?, column("dep_delay")?], batch.num_rows()))
        })
        .collect::<Result<_>>()?;
    let mut kept = 0;
    for (columns, rows) in &batches {
        kept += filter.call(columns, *rows)?.as_boolean().true_count();
    }
    if kept != KEPT {
        return Err(format!("the filter in {language} keeps {kept} rows, not {KEPT}").into());
    }
    let time = scale.pick(Duration::from_millis(50), Duration::from_millis(700));
    let seconds = super::per_item(&batches, time, |(columns, rows)| Ok(filter.call(columns, *rows)?))?;
    let rows: usize = batches.iter().map(|(_, rows)| rows).sum();
    let note = format!(
        "`carrier = 'UA' AND dep_delay > 60` in {language}, one thread; {} bytes, compiled and opened in {:.2} s, from the \
         cache in {:.1} ms",
        module.len(),
        loading.as_secs_f64(),
        starting.as_secs_f64() * 1e3
    );
    Ok(Figure::reported(figure, rows as f64 / batches.len() as f64 / seconds, "rows/s", note))
}
