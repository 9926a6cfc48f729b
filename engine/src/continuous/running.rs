//! A topic at work: its run, and how far that is. Nothing of it lasts; what is committed is in the state.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::loaded::SourceColumns;
use super::needs::Needs;
use super::read::Standing;
use super::watermark::{NONE, TableTime, Times};
use crate::access::Action;
use crate::contract::{ContinuousPlan, ContinuousRun, InputColumn, StateKey};
use crate::cursor::offset_at;
use crate::model::{
    ContinuousId, ContinuousInfo, ContinuousStart, Error, Offset, PartitionId, Result, TableId, TableInfo,
};
use crate::platform::Stopwatch;
use crate::state::{ContinuousHeader, SourcePartition};

/// Input of one step, about, unless a commit can hold less.
const STEP_BYTES: usize = 2 << 20;

#[derive(Debug)]
pub(super) struct Running {
    pub info: Arc<ContinuousInfo>,
    pub sources: Vec<(Arc<TableInfo>, SourceColumns)>,
    pub output: Arc<TableInfo>,
    pub late: Option<Arc<TableInfo>>,
    pub run: Box<dyn ContinuousRun>,
    /// As of the last step that is on record.
    pub committed: Arc<ContinuousHeader>,
    /// How far the run is, whose positions are ahead of the record's.
    pub times: Times,
    /// What is not on record yet.
    pub ahead: Ahead,
}

/// What came since the last step that is on record.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pub rows: u64,
    pub bytes: usize,
    pub ahead_rows: u64,
    pub late_rows: u64,
    pub late: Vec<RecordBatch>,
    pub reached_us: i64,
    pub since: Option<Stopwatch>,
}

impl Running {
    /// Compiles the topic and takes back what is on record of it.
    pub(super) fn begin(needs: &Needs, info: &Arc<ContinuousInfo>) -> Result<Running> {
        let ledger = &needs.ledger;
        let tables: Vec<Arc<TableInfo>> = info.sources.iter().map(|id| ledger.table(*id)).collect::<Result<_>>()?;
        let plan = needs.compile(info, &tables)?;
        if plan.fingerprint() != info.fingerprint {
            return Err(Error::FailedPrecondition(format!(
                "its state was saved by a release that computes otherwise ({} then, {} now); RELOAD TOPIC {} REBUILD begins anew \
                 with what is retained",
                info.fingerprint,
                plan.fingerprint(),
                info.name
            )));
        }
        let (header, saved) = {
            let state = ledger.state.read();
            (state.continuous_header(info.id).cloned(), state.saved(info.id))
        };
        let mut run = plan.begin(header.as_ref().and_then(|header| header.cursor.as_deref()))?;
        saved.each(|key, piece| {
            run.restore(StateKey { operator: key.operator, window_us: key.window_us, sequence: key.sequence }, piece)
        })?;
        let times = times(needs, info, &tables, header.as_deref())?;
        let columns = tables.iter().zip(plan.sources()).map(|(table, source)| SourceColumns::new(table, source));
        let columns: Vec<SourceColumns> = columns.collect::<Result<_>>()?;
        let sources = fitting(info, plan.as_ref(), tables, columns)?;
        let committed = header.unwrap_or_default();
        Ok(Running {
            sources,
            output: ledger.table(info.output)?,
            late: info.late.map(|late| ledger.table(late)).transpose()?,
            run,
            ahead: Ahead { reached_us: committed.instant_us, ..Ahead::default() },
            committed,
            times,
            info: info.clone(),
        })
    }

    /// Refuses what the owner may not do any more.
    pub(super) fn check_access(&self, needs: &Needs) -> Result<()> {
        let access = &needs.ledger.access;
        for (table, _) in &self.sources {
            access.check_owner(&self.info.owner, Action::Read, &table.as_ref().into())?;
        }
        access.check_owner(&self.info.owner, Action::Produce, &self.output.as_ref().into())
    }

    /// How the sources stand, with what is on record of their event time.
    pub(super) fn look(&mut self, needs: &Needs) -> Result<Standing> {
        let state = needs.ledger.state.read();
        // Whoever was let in before may have waited for the lock.
        needs.ledger.check_whole()?;
        let mut bounds = Vec::with_capacity(self.sources.len());
        for ((table, _), time) in self.sources.iter().zip(&mut self.times.tables) {
            let partitions = state.catalog().partitions(table.id).ok_or_else(|| Error::gone("table"))?;
            bounds.push(partitions.iter().map(|partition| partition.start..partition.end).collect());
            time.recorded = state.recorded_watermarks(table.id);
        }
        Ok(Standing { bounds, append_us: state.append_us() })
    }

    /// Where the sources end if nothing has come behind what was read.
    pub(super) fn ends(&self) -> Vec<(TableId, Vec<Offset>)> {
        let next = |time: &TableTime| time.partitions.iter().map(|partition| partition.next).collect();
        self.sources.iter().zip(&self.times.tables).map(|((table, _), time)| (table.id, next(time))).collect()
    }

    /// Whether the sources end where the run is.
    pub(super) fn is_at_end(&self, needs: &Needs) -> bool {
        let state = needs.ledger.state.read();
        self.ends().iter().all(|(table, ends)| {
            let partitions = state.catalog().partitions(*table).unwrap_or_default();
            partitions.iter().enumerate().all(|(at, partition)| partition.end == ends.get(at).copied().unwrap_or(0))
        })
    }

    pub(super) fn watermark_us(&self) -> Option<i64> {
        Some(self.times.watermark_us).filter(|us| *us != NONE)
    }

    /// Whether a window can be closed.
    pub(super) fn closes(&self) -> bool {
        let next = self.run.next_close_us();
        next.is_some_and(|next_us| next_us <= self.times.watermark_us && self.times.watermark_us != NONE)
            || (self.committed.steps > 0 && !self.committed.complete)
    }
}

/// A step's input, where a commit holds so much.
pub(super) fn step_bytes(max_commit_bytes: usize) -> usize {
    STEP_BYTES.min(max_commit_bytes / 4)
}

/// The sources, if the plan is about them.
fn fitting(
    info: &ContinuousInfo,
    plan: &dyn ContinuousPlan,
    tables: Vec<Arc<TableInfo>>,
    columns: Vec<SourceColumns>,
) -> Result<Vec<(Arc<TableInfo>, SourceColumns)>> {
    let named = plan.sources().iter().map(|source| source.table);
    if !named.eq(info.sources.iter().copied()) {
        return Err(Error::Internal(format!("continuous topic {:?} was compiled for other tables", info.name)));
    }
    let later =
        plan.sources().iter().zip(tables.iter().zip(&info.source_versions)).any(|(source, (table, version))| {
            let columns = table.schema_of(*version).map_or(0, |schema| schema.fields().len());
            source.inputs.iter().any(|input| matches!(input, InputColumn::Field(index) if *index >= columns))
        });
    match later {
        true => Err(Error::Internal(format!("continuous topic {:?} was compiled for later columns", info.name))),
        false => Ok(tables.into_iter().zip(columns).collect()),
    }
}

fn times(
    needs: &Needs,
    info: &ContinuousInfo,
    tables: &[Arc<TableInfo>],
    header: Option<&ContinuousHeader>,
) -> Result<Times> {
    let idle_us = info.settings.idle_ms.map(micros);
    let mut times = Vec::with_capacity(tables.len());
    for (at, table) in tables.iter().enumerate() {
        let known = header.and_then(|header| header.sources.get(at));
        let partitions = match known {
            Some(known) => known.clone(),
            None => starts(needs, info, table)?,
        };
        times.push(TableTime {
            delay_us: micros(table.options.watermark_delay_ms),
            max_lead_us: micros(table.options.max_lead_ms),
            idle_us,
            by_rows: output_of(needs, table.id).is_none(),
            recorded: Arc::from([]),
            partitions,
        });
    }
    let watermark_us = header.and_then(|header| header.watermark_us).unwrap_or(NONE);
    Ok(Times { tables: times, watermark_us })
}

/// The continuous topic whose output a table is.
fn output_of(needs: &Needs, table: TableId) -> Option<ContinuousId> {
    let state = needs.ledger.state.read();
    state.catalog().continuous_of_table(table).filter(|info| info.output == table).map(|info| info.id)
}

/// Where a topic without any step on record begins.
fn starts(needs: &Needs, info: &ContinuousInfo, table: &TableInfo) -> Result<Vec<SourcePartition>> {
    let from_us = match info.settings.start {
        ContinuousStart::At(us) => Some(us),
        ContinuousStart::Earliest | ContinuousStart::Latest => None,
    };
    let found: Vec<(PartitionId, Offset)> = {
        let state = needs.ledger.state.read();
        let partitions = state.catalog().partitions(table.id).ok_or_else(|| Error::gone("table"))?;
        (0..).zip(partitions.iter().map(|partition| partition.start)).collect()
    };
    let start = |(partition, start): (PartitionId, Offset)| {
        let next = from_us.map_or(Ok(start), |us| offset_at(&needs.tables, table.id, partition, us))?;
        Ok(SourcePartition { next, seen: None })
    };
    found.into_iter().map(start).collect()
}

fn micros(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000)
}
