//! One stretch of the log for a topic: what was appended to all of its sources from where it is up to an instant, in the order of
//! instants, with how far event time had come before each.
//!
//! A partition is loaded a chunk at a time, so that rows of its last instant may be missing; the stretch ends before that. Within an
//! instant rows follow each other by source, partition and offset, whatever chunks they came in.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use super::loaded::{LoadedPartition, SourceColumns};
use super::watermark::Times;
use crate::contract::Judged;
use crate::cursor::Tables;
use crate::model::{Error, Offset, Result, TableInfo};

/// Rows that a plan is given at a time, about.
const PUSHED_ROWS: usize = 32_768;
/// Of each partition at least this much is loaded.
const LEAST_BYTES: usize = 32 << 10;

/// Where the sources stood when a stretch was begun, all at the same time.
#[derive(Debug)]
pub(super) struct Standing {
    /// By source and partition: the first retained row's offset, and where it ends.
    pub bounds: Vec<Vec<Range<Offset>>>,
    /// All that was appended at or before this is within them.
    pub append_us: i64,
}

/// Rows for the plan.
#[derive(Debug)]
pub(super) struct Stretch {
    pub source: usize,
    pub rows: RecordBatch,
    pub judged: Vec<Judged>,
}

#[derive(Debug, Default)]
pub(super) struct Read {
    pub stretches: Vec<Stretch>,
    pub rows: u64,
    pub ahead: u64,
    /// All that was appended at or before this was read.
    pub reached_us: i64,
}

/// Reads about `budget` bytes and moves `times` on.
pub(super) fn read(
    tables: &Tables,
    sources: &[(Arc<TableInfo>, SourceColumns)],
    times: &mut Times,
    standing: &Standing,
    budget: usize,
) -> Result<Read> {
    let mut loaded = unread(times, standing)?;
    let each = (budget / loaded.len().max(1)).max(LEAST_BYTES);
    let source = |at: usize| sources.get(at).ok_or_else(|| Error::Internal(format!("there is no source {at}")));
    for partition in &mut loaded {
        let (table, columns) = source(partition.source)?;
        while !partition.is_whole() && partition.bytes < each {
            partition.load(tables, table, columns)?;
        }
    }
    let reached_us = loop {
        let complete_us = loaded.iter().map(LoadedPartition::complete_us).min().unwrap_or(i64::MAX);
        let first_us = loaded.iter().filter_map(LoadedPartition::span_us).map(|(first_us, _)| first_us).min();
        if first_us.is_none_or(|first_us| first_us <= complete_us) {
            break complete_us.min(standing.append_us);
        }
        // One instant has more rows than were loaded.
        let Some(short) = loaded.iter_mut().find(|partition| partition.complete_us() == complete_us) else {
            return Err(Error::Internal("no partition is short of rows".to_owned()));
        };
        let (table, columns) = source(short.source)?;
        short.load(tables, table, columns)?;
    };
    let mut merge =
        Merge { loaded: &loaded, read: Read { reached_us, ..Read::default() }, gathered: Gathered::default() };
    merge.run(times, reached_us)?;
    Ok(merge.read)
}

/// The partitions that have rows which were not read.
fn unread(times: &mut Times, standing: &Standing) -> Result<Vec<LoadedPartition>> {
    let mut loaded = Vec::new();
    for (source, (table, bounds)) in times.tables.iter_mut().zip(&standing.bounds).enumerate() {
        if table.partitions.len() < bounds.len() {
            table.partitions.resize_with(bounds.len(), Default::default);
        }
        for (number, (partition, bounds)) in (0..).zip(table.partitions.iter().zip(bounds)) {
            if partition.next < bounds.start {
                let (offset, start, end) = (partition.next, bounds.start, bounds.end);
                return Err(Error::OffsetOutOfRange { partition: number, offset, start, end });
            }
            if partition.next < bounds.end {
                loaded.push(LoadedPartition::new(source, number, partition.next, bounds.end));
            }
        }
    }
    Ok(loaded)
}

/// Rows of one instant that lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    append_us: i64,
    /// In `loaded`, which is in the order of sources and partitions.
    place: usize,
    chunk: usize,
    from: usize,
    rows: usize,
}

struct Merge<'a> {
    loaded: &'a [LoadedPartition],
    read: Read,
    gathered: Gathered,
}

/// Slices for the next stretch.
#[derive(Debug, Default)]
struct Gathered {
    source: usize,
    /// Place, chunk, first row and count.
    slices: Vec<(usize, usize, usize, usize)>,
    judged: Vec<Judged>,
    rows: usize,
}

impl Merge<'_> {
    fn run(&mut self, times: &mut Times, reached_us: i64) -> Result<()> {
        let mut runs = Vec::new();
        for (place, partition) in self.loaded.iter().enumerate() {
            for (chunk, rows) in partition.chunks.iter().enumerate() {
                each_run(&rows.append_us, reached_us, |append_us, from, rows| {
                    runs.push(Run { append_us, place, chunk, from, rows });
                });
            }
        }
        runs.sort_unstable();
        let mut instant = None;
        let mut watermark_us = times.watermark_us;
        let mut first = 0;
        for (at, run) in runs.iter().enumerate() {
            if instant != Some(run.append_us) {
                self.note(times, runs.get(first..at).unwrap_or_default());
                (instant, first) = (Some(run.append_us), at);
                watermark_us = times.reach(run.append_us);
            }
            self.gather(run, watermark_us)?;
        }
        self.note(times, runs.get(first..).unwrap_or_default());
        self.flush()?;
        times.rest(reached_us);
        Ok(())
    }

    /// Rows of one instant are behind: those after it are judged by them.
    fn note(&mut self, times: &mut Times, runs: &[Run]) {
        for run in runs {
            let Some(partition) = self.loaded.get(run.place) else { continue };
            let Some(table) = times.tables.get_mut(partition.source) else { continue };
            let number = usize::try_from(partition.partition).unwrap_or(usize::MAX);
            let events =
                partition.chunks.get(run.chunk).and_then(|rows| rows.event_us.get(run.from..run.from + run.rows));
            let mut highest = None::<i64>;
            for event_us in events.unwrap_or_default() {
                if *event_us > run.append_us.saturating_add(table.max_lead_us) {
                    self.read.ahead += 1;
                } else {
                    highest = Some(highest.map_or(*event_us, |highest| highest.max(*event_us)));
                }
            }
            if let Some(highest) = highest {
                table.note(number, highest, run.append_us);
            }
            if let Some(partition) = table.partitions.get_mut(number) {
                partition.next += run.rows as u64;
            }
            self.read.rows += run.rows as u64;
        }
    }

    fn gather(&mut self, run: &Run, watermark_us: i64) -> Result<()> {
        let source = self.loaded.get(run.place).map_or(0, |partition| partition.source);
        if source != self.gathered.source || self.gathered.rows >= PUSHED_ROWS {
            self.flush()?;
            self.gathered.source = source;
        }
        let Gathered { slices, judged, rows, .. } = &mut self.gathered;
        match slices.last_mut() {
            Some((place, chunk, from, count))
                if (*place, *chunk, *from + *count) == (run.place, run.chunk, run.from) =>
            {
                *count += run.rows;
            }
            _ => slices.push((run.place, run.chunk, run.from, run.rows)),
        }
        match judged.last_mut() {
            Some(last) if last.watermark_us == watermark_us => last.rows += run.rows,
            _ => judged.push(Judged { rows: run.rows, watermark_us }),
        }
        *rows += run.rows;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let Gathered { source, slices, judged, .. } = std::mem::take(&mut self.gathered);
        let slice = |(place, chunk, from, rows): &(usize, usize, usize, usize)| {
            let chunk = self.loaded.get(*place).and_then(|partition| partition.chunks.get(*chunk));
            chunk.map(|chunk| chunk.batch.slice(*from, *rows))
        };
        let slices: Vec<RecordBatch> = slices.iter().filter_map(slice).collect();
        let rows = match slices.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            [first, ..] => concat_batches(first.schema_ref(), &slices)
                .map_err(|error| Error::Internal(format!("rows of a source don't join: {error}")))?,
        };
        self.read.stretches.push(Stretch { source, rows, judged });
        Ok(())
    }
}

/// Stretches of equal append times up to one: append times never go back within a partition.
fn each_run(append_us: &[i64], until_us: i64, mut each: impl FnMut(i64, usize, usize)) {
    let mut from = 0;
    for same in append_us.chunk_by(|one, next| one == next) {
        match same.first() {
            Some(at_us) if *at_us <= until_us => each(*at_us, from, same.len()),
            _ => return,
        }
        from += same.len();
    }
}
