//! A continuous topic at work.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result as DfResult, exec_datafusion_err};
use millstream_engine::{
    BatchOperator, Closed, ContinuousRun, Error as EngineError, Judged, OpenWindows, OperatorError, Pushed, RowMap,
    StateKey,
};

use super::close::closed_batch;
use super::late::LateRows;
use super::panes::{Pane, SAVED_ANEW_BYTES, by_arrival, bytes_of, merged};
use super::plan::Core;
use super::split::Kept;
use crate::convert::into_operator;
use crate::threads::planning;

/// `version u8 = 1 | through i64 | end i64 | rows u64`, little endian.
const CURSOR_BYTES: usize = 25;
const CURSOR_VERSION: u8 = 1;

/// Panes by where they begin, and by how many of their windows their rows came too late for.
type Panes = BTreeMap<(i64, u16), Pane>;

/// See the module.
#[derive(Debug)]
pub(super) struct WindowRun {
    core: Arc<Core>,
    panes: Panes,
    /// Windows that end at or before it are closed; ticks.
    through: i64,
    /// The window that is partly out, by its end, and how many of its rows are.
    begun: Option<(i64, usize)>,
    /// What windows that end soonest give, computed and not yet out.
    ready: Option<(i64, RecordBatch)>,
    /// How many rows have come: the next one's number. Of what was restored, what is kept no longer does not count.
    arrived: i64,
}

impl WindowRun {
    pub(super) fn begin(core: Arc<Core>, cursor: Option<&[u8]>) -> millstream_engine::Result<WindowRun> {
        let (mut through, mut begun) = (i64::MIN, None);
        if let Some(cursor) = cursor {
            let unknown = || EngineError::Internal("a continuous topic's cursor is not understood".to_owned());
            let Ok([CURSOR_VERSION, rest @ ..]) = <[u8; CURSOR_BYTES]>::try_from(cursor) else { return Err(unknown()) };
            let (numbers, _) = rest.as_chunks::<8>();
            let [closed, end, rows] = numbers else { return Err(unknown()) };
            through = i64::from_le_bytes(*closed);
            let rows = usize::try_from(u64::from_le_bytes(*rows)).map_err(|_| unknown())?;
            begun = (rows > 0).then_some((i64::from_le_bytes(*end), rows));
        }
        Ok(WindowRun { core, panes: Panes::new(), through, begun, ready: None, arrived: 0 })
    }

    fn cursor(&self) -> Bytes {
        let (end, rows) = self.begun.unwrap_or((0, 0));
        let mut cursor = Vec::with_capacity(CURSOR_BYTES);
        cursor.push(CURSOR_VERSION);
        cursor.extend(self.through.to_le_bytes());
        cursor.extend(end.to_le_bytes());
        cursor.extend(u64::try_from(rows).unwrap_or(u64::MAX).to_le_bytes());
        Bytes::from(cursor)
    }

    fn take(&mut self, rows: &RecordBatch, judged: &[Judged]) -> DfResult<Pushed> {
        let core = Arc::clone(&self.core);
        let input = rows.project(&core.inputs)?;
        let evaluated = core.operator.evaluate(&input).map_err(crate::convert::into_datafusion)?;
        let times = cast(evaluated.batch.column(0), &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>();
        let kept: Vec<usize> = (1..evaluated.batch.num_columns()).collect();
        let kept = self.numbered(evaluated.batch.project(&kept)?)?;
        let (mut pushed, mut late) = (Pushed::default(), LateRows::default());
        let mut places: BTreeMap<(i64, u16), Vec<u32>> = BTreeMap::new();
        let mut runs = Runs::new(judged);
        for (row, time) in times.iter().enumerate() {
            let Some(time) = time else { continue };
            let row = u32::try_from(row).map_err(|_| exec_datafusion_err!("a batch has more than 4 billion rows"))?;
            let origin = match &evaluated.rows {
                RowMap::Every => row,
                RowMap::Indices(rows) => rows.get(row as usize).copied().unwrap_or(row),
            };
            let watermark = runs.at(origin as usize);
            let out_of_range = || exec_datafusion_err!("an event time ({time}, in its column's unit) is out of range");
            let pane = core.spec.pane_of(time).ok_or_else(out_of_range)?;
            let (mut missed, mut is_open) = (0_u16, false);
            for end in core.spec.ends(time).ok_or_else(out_of_range)? {
                let start = core.spec.start(end).ok_or_else(out_of_range)?;
                let is_before = core.begins_us.is_some_and(|first| core.us(start) < first);
                if !is_before && core.us(end) > watermark {
                    is_open = true;
                    break;
                }
                missed = missed.saturating_add(1);
                if !is_before {
                    pushed.late += 1;
                    if core.late.is_some() {
                        late.add(origin, core.us(start), core.us(end), watermark);
                    }
                }
            }
            if is_open {
                places.entry((pane, missed)).or_default().push(row);
            }
        }
        for (place, of_pane) in places {
            let rows = match of_pane.len() == kept.num_rows() {
                true => kept.clone(),
                false => taken(&kept, of_pane)?,
            };
            self.panes.entry(place).or_default().add(rows, &core.kept)?;
        }
        if let Some((columns, schema)) = &core.late {
            let columns: Vec<ArrayRef> =
                columns.iter().filter_map(|place| rows.columns().get(*place).cloned()).collect();
            pushed.late_rows = late.finish(&columns, schema)?;
        }
        Ok(pushed)
    }

    /// With the column by which rows are put in order again.
    fn numbered(&mut self, rows: RecordBatch) -> DfResult<RecordBatch> {
        let Kept::Rows { schema, by_arrival: true, .. } = &self.core.kept else { return Ok(rows) };
        let first = self.arrived;
        self.arrived = first.saturating_add(i64::try_from(rows.num_rows()).unwrap_or(i64::MAX));
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(Int64Array::from_iter_values(first..self.arrived)));
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }

    /// The end of the window that closes next.
    fn next_end(&self) -> Option<i64> {
        let mut next: Option<i64> = None;
        for (start, missed) in self.panes.keys() {
            if next.is_some_and(|next| *start >= next) {
                break;
            }
            let mut ends = self.core.spec.ends(*start)?.skip(usize::from(*missed));
            let end = ends.find(|end| *end > self.through);
            next = match (next, end) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        next
    }

    /// What the window gives that ends there.
    fn window(&mut self, end: i64) -> DfResult<RecordBatch> {
        let core = Arc::clone(&self.core);
        let start = core.spec.start(end).unwrap_or(i64::MIN);
        let bounds = [start, end, end.saturating_sub(1)];
        let within = self.panes.range_mut((start, 0)..(end, 0));
        let mut panes: Vec<&mut Pane> = within
            .filter(|((pane, missed), _)| {
                let ends = core.spec.ends(*pane);
                ends.is_some_and(|ends| ends.skip(usize::from(*missed)).any(|of_pane| of_pane == end))
            })
            .map(|(_, pane)| pane)
            .collect();
        let closed = core.kept.closed();
        let mut batches = Vec::new();
        match &core.kept {
            Kept::Rows { by_arrival: is_ordered, .. } => {
                let mut rows: Vec<RecordBatch> = Vec::new();
                for pane in &mut panes {
                    rows.extend(pane.batches(&core.kept)?.cloned());
                }
                if *is_ordered && panes.len() > 1 {
                    rows = vec![by_arrival(&rows, &core.kept)?];
                }
                for batch in rows {
                    batches.push(closed_batch(closed, batch.columns(), batch.num_rows(), bounds, &core.time)?);
                }
            }
            Kept::Groups { grouping, .. } => {
                let (columns, rows) = merged(&mut panes, grouping, &core.kept)?;
                batches.push(closed_batch(closed, &columns, rows, bounds, &core.time)?);
            }
        }
        planning(|| core.closing.run(batches))
    }

    /// Closes a window: forgets the panes that no later one needs.
    fn forget(&mut self, end: i64, dropped: &mut Vec<(u16, i64)>) {
        self.through = end;
        self.begun = None;
        let spec = self.core.spec;
        let gone: Vec<(i64, u16)> = self
            .panes
            .range(..(end, 0))
            .filter(|((start, _), _)| spec.ends(*start).and_then(Iterator::last).is_none_or(|last| last <= end))
            .map(|(place, _)| *place)
            .collect();
        for place in gone {
            self.panes.remove(&place);
            dropped.push((place.1, self.core.us(place.0)));
        }
    }

    fn close_parts(&mut self, watermark_us: i64, max_bytes: usize) -> DfResult<Option<Closed>> {
        let (mut parts, mut bytes, mut dropped, mut is_any) = (Vec::new(), 0_usize, Vec::new(), false);
        while bytes < max_bytes {
            let end = match &self.ready {
                Some((end, _)) => *end,
                None => match self.next_end() {
                    Some(end) if self.core.us(end) <= watermark_us => end,
                    _ => break,
                },
            };
            let rows = match self.ready.take() {
                Some((_, rows)) => rows,
                None => self.window(end)?,
            };
            let out = self.begun.filter(|(begun, _)| *begun == end).map_or(0, |(_, out)| out).min(rows.num_rows());
            let left = rows.num_rows() - out;
            let size = bytes_of(&rows);
            let fits = max_bytes.saturating_sub(bytes).saturating_mul(rows.num_rows().max(1)) / size.max(1);
            if left > fits && is_any {
                // The next part begins with it.
                self.ready = Some((end, rows));
                break;
            }
            is_any = true;
            let taken = left.min(fits.max(1));
            parts.push(rows.slice(out, taken));
            bytes = bytes.saturating_add(size.saturating_mul(taken) / rows.num_rows().max(1));
            if taken < left {
                self.begun = Some((end, out + taken));
                self.ready = Some((end, rows));
                break;
            }
            self.forget(end, &mut dropped);
        }
        if !is_any {
            return Ok(None);
        }
        let rows = concat_batches(&self.core.output, &parts)?;
        Ok(Some(Closed { rows, dropped, cursor: Some(self.cursor()) }))
    }
}

/// Watermarks by row, for rows in their order.
struct Runs<'a> {
    judged: &'a [Judged],
    /// Where the first of `judged` ends.
    end: usize,
}

impl<'a> Runs<'a> {
    fn new(judged: &'a [Judged]) -> Runs<'a> {
        Runs { judged, end: judged.first().map_or(0, |run| run.rows) }
    }

    fn at(&mut self, row: usize) -> i64 {
        while row >= self.end
            && let [_, rest @ ..] = self.judged
            && let Some(next) = rest.first()
        {
            self.judged = rest;
            self.end += next.rows;
        }
        self.judged.first().map_or(i64::MIN, |run| run.watermark_us)
    }
}

/// Some rows of a batch that may be without columns.
fn taken(batch: &RecordBatch, rows: Vec<u32>) -> DfResult<RecordBatch> {
    if batch.num_columns() == 0 {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        return Ok(RecordBatch::try_new_with_options(batch.schema(), Vec::new(), &options)?);
    }
    Ok(take_record_batch(batch, &UInt32Array::from(rows))?)
}

fn corrupt(error: &DataFusionError) -> EngineError {
    EngineError::Internal(format!("saved state of a continuous topic can't be read: {error}"))
}

impl ContinuousRun for WindowRun {
    fn restore(&mut self, key: StateKey, piece: &[u8]) -> millstream_engine::Result<()> {
        let place = (self.core.ticks(key.window_us), key.operator);
        let pane = self.panes.entry(place).or_default();
        pane.restore(key.sequence, piece, &self.core.kept).map_err(|error| corrupt(&error))?;
        if let Kept::Rows { by_arrival: true, .. } = &self.core.kept
            && let Some(last) = pane.last_arrival()
        {
            self.arrived = self.arrived.max(last.saturating_add(1));
        }
        Ok(())
    }

    fn push(&mut self, _: usize, rows: &RecordBatch, judged: &[Judged]) -> Result<Pushed, OperatorError> {
        if self.panes.values().any(|pane| !pane.is_whole()) {
            return Err(into_operator(exec_datafusion_err!("a saved piece of a window lacks its end")));
        }
        self.take(rows, judged).map_err(into_operator)
    }

    fn next_close_us(&self) -> Option<i64> {
        let ready = self.ready.as_ref().map(|(end, _)| *end);
        ready.or_else(|| self.next_end()).map(|end| self.core.us(end))
    }

    fn close(&mut self, watermark_us: i64, max_bytes: usize) -> Result<Option<Closed>, OperatorError> {
        self.close_parts(watermark_us, max_bytes).map_err(into_operator)
    }

    fn save(&mut self) -> Result<Vec<(StateKey, Option<Bytes>)>, OperatorError> {
        let mut saved = Vec::new();
        let core = Arc::clone(&self.core);
        let mut spare = SAVED_ANEW_BYTES;
        for ((start, operator), pane) in &mut self.panes {
            let key = |sequence| StateKey { operator: *operator, window_us: core.us(*start), sequence };
            let pieces = pane.save(&core.kept, &mut spare).map_err(into_operator)?;
            saved.extend(pieces.into_iter().map(|(sequence, piece)| (key(sequence), piece)));
        }
        Ok(saved)
    }

    fn open(&self) -> OpenWindows {
        let mut ends: Vec<i64> = self
            .panes
            .keys()
            .filter_map(|(start, missed)| Some(self.core.spec.ends(*start)?.skip(usize::from(*missed))))
            .flatten()
            .filter(|end| *end > self.through)
            .collect();
        ends.sort_unstable();
        ends.dedup();
        let bytes: usize = self.panes.values().map(Pane::bytes).sum();
        OpenWindows { windows: ends.len() as u64, bytes: bytes as u64 }
    }
}
