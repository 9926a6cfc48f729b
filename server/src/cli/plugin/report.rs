//! What `millstream plugin test` says of a consumer.

use std::fmt::Write as _;

use super::consumer::Fed;
use super::guest::ConsumerGuest;
use crate::cli::exit::Failure;
use crate::cli::output::{output, say, unwritable};
use crate::format::{Format, RowSink};

/// Prints the first rows of each output, the figures, and the rows at fault; an error if there are such.
pub(super) fn consumer(guest: &ConsumerGuest, fed: &Fed<'_>, show: usize) -> Result<(), Failure> {
    for (declared, gathered) in guest.consumer.outputs().iter().zip(&fed.outputs) {
        if !gathered.kept.is_empty() {
            say(&format!("output {}\n", declared.name))?;
            let mut sink = RowSink::new(output(), Format::Table, &declared.schema).map_err(unwritable)?;
            gathered.kept.iter().try_for_each(|batch| sink.write(batch)).map_err(unwritable)?;
            sink.finish().map_err(unwritable)?;
            say("\n")?;
        }
    }
    say(&figures(guest, fed, show))?;
    match fed.failed.len() {
        0 => Ok(()),
        found if found > show => {
            Err(Failure::failed(format!("the first {} rows were looked at: more than {show} fail", fed.rows)))
        }
        found => Err(Failure::failed(format!("{found} of {} rows failed", fed.rows))),
    }
}

fn figures(guest: &ConsumerGuest, fed: &Fed<'_>, show: usize) -> String {
    let (given_up, failed) = (fed.given_up.len(), fed.failed.len());
    let done = fed.rows.saturating_sub(given_up + failed);
    let mut text = format!("done       {done} of {} rows; {given_up} given up, {failed} failed\n", fed.rows);
    for (declared, gathered) in guest.consumer.outputs().iter().zip(&fed.outputs) {
        let _ = writeln!(text, "output     {}: {} rows", declared.name, gathered.rows);
    }
    let (entries, bytes) = fed.state();
    let _ = writeln!(text, "state      {entries} entries of {bytes} bytes, in {} partitions", fed.partitions());
    let mean = fed.time / fed.calls.max(1);
    let _ = writeln!(text, "calls      {}, {mean:.0?} each, the longest {:.0?}", fed.calls, fed.longest);
    if fed.rows_again > 0 {
        let _ = writeln!(text, "retried    {} rows, counted for each further call that got them", fed.rows_again);
    }
    let _ = writeln!(text, "speed      {:.0} rows/s", fed.rows as f64 / fed.time.as_secs_f64().max(1e-9));
    let _ = writeln!(text, "loading    {:.0?}, compilation included", guest.loading);
    for (row, why) in fed.given_up.iter().take(show) {
        let _ = writeln!(text, "given up   row {row}: {why}");
    }
    for (row, fault) in fed.failed.iter().take(show) {
        let _ = writeln!(text, "failed     row {row}: {} ({:?})", fault.why, fault.kind);
    }
    text
}
