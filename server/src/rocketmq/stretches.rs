//! What lies in a queue, as rows of messages, a stretch at a time.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use millstream_engine::{Error, InputColumn, Offset, PlainColumns, RowOffsets, ScannedBatch, message_schema};

use super::answer::Refusal;
use super::converted::{Converted, converted};
use super::rows;
use super::scan::MessageScan;
use super::wire::codes;

/// Rows with the columns that [`super::stored::MessageRows`] reads.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) batch: RecordBatch,
    /// Of each row. They rise.
    offsets: RowOffsets,
    /// Behind all that was looked at.
    pub(super) next: Offset,
}

impl Stretch {
    /// Of a row; behind the last one, where the next stretch begins.
    pub(super) fn offset(&self, row: usize) -> Offset {
        self.offsets.get(row).unwrap_or(self.next)
    }
}

/// What there is to read next.
#[derive(Debug)]
pub(super) enum Step {
    Rows(Stretch),
    /// Plugins of the topic are over their share of the machine, for so long.
    Throttled(Duration),
    End,
}

/// A way through a queue, from an offset on.
pub(super) struct Stretches<'a> {
    scan: &'a MessageScan<'a>,
    from: Offset,
    at: Offset,
    until: Offset,
    of: Kind,
}

enum Kind {
    /// A message table's rows, with these columns.
    Messages(PlainColumns),
    /// Rows that become messages: about so many and so many bytes at a time.
    Others { rows: usize, bytes: usize },
}

impl<'a> Stretches<'a> {
    /// Through `range`. `rows` and `bytes` are what is wanted: of what has to be evaluated not much more is read at once.
    pub(super) fn of(
        scan: &'a MessageScan<'a>,
        range: Range<Offset>,
        (rows, bytes): (usize, usize),
    ) -> Result<Stretches<'a>, Refusal> {
        let of = match scan.of.is_message_table() {
            true => {
                let mut inputs: Vec<InputColumn> =
                    (0..message_schema().fields().len()).map(InputColumn::Field).collect();
                inputs.push(InputColumn::AppendTs);
                Kind::Messages(scan.columns(inputs)?)
            }
            false => Kind::Others { rows: rows.max(1), bytes },
        };
        Ok(Stretches { scan, from: range.start, at: range.start, until: range.end, of })
    }

    /// Where rows can't be evaluated behind others it ends: the fault is the next reader's, who begins there.
    pub(super) fn next(&mut self) -> Result<Step, Refusal> {
        let begun = self.at;
        if begun >= self.until {
            return Ok(Step::End);
        }
        let (rows, bytes) = match &mut self.of {
            Kind::Messages(columns) => {
                let Some(read) = self.scan.stretch(begun..self.until, columns)? else { return Ok(Step::End) };
                let ScannedBatch { range, batch, .. } = read;
                self.at = range.end;
                return Ok(Step::Rows(Stretch { batch, offsets: RowOffsets::Dense(range.clone()), next: range.end }));
            }
            Kind::Others { rows, bytes } => {
                let asked = *rows;
                // Where they are not enough most of them do not pass.
                *rows = rows.saturating_mul(2);
                (asked, *bytes)
            }
        };
        let MessageScan { tables, of, queue } = self.scan;
        let delivery = match tables.engine.read_topic(&tables.who, of.queue(*queue), begun, rows, bytes) {
            Ok(delivery) => delivery,
            Err(_) if begun > self.from => return Ok(Step::End),
            Err(Error::Throttled { left, .. }) => return Ok(Step::Throttled(left)),
            Err(error) => return Err(failed(error)),
        };
        if delivery.next_offset == begun {
            return Ok(Step::End);
        }
        self.at = delivery.next_offset;
        let made = converted(&delivery.batch, &delivery.offsets, of.source.options.messages.is_some());
        self.scan.messages(made, delivery.next_offset).map(Step::Rows)
    }
}

/// Where a topic stops at a row, its consumers stop too: it is no fault of what they ask for.
fn failed(error: Error) -> Refusal {
    match error {
        error @ Error::Evaluation { .. } => Refusal::new(codes::SYSTEM_ERROR, error.to_string()),
        error => error.into(),
    }
}

impl MessageScan<'_> {
    /// The message at an offset, if one is there.
    pub(super) fn at(&self, offset: Offset) -> Result<Option<Stretch>, Refusal> {
        match Stretches::of(self, offset..offset.saturating_add(1), (1, 1))?.next()? {
            Step::Rows(stretch) if stretch.batch.num_rows() > 0 && stretch.offset(0) == offset => Ok(Some(stretch)),
            Step::Throttled(_) => {
                Err(Refusal::new(codes::SYSTEM_BUSY, "plugins of the topic are over their share of the machine"))
            }
            Step::Rows(_) | Step::End => Ok(None),
        }
    }

    /// When the message at an offset was stored, ms.
    pub(super) fn stored_ms(&self, offset: Offset) -> Result<Option<i64>, Refusal> {
        let columns = self.columns(vec![InputColumn::AppendTs])?;
        let Some(read) = self.stretch(offset..offset.saturating_add(1), &columns)? else { return Ok(None) };
        let times = read.batch.columns().first().and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        Ok(times.filter(|times| !times.is_empty()).map(|times| times.value(0).div_euclid(1_000)))
    }

    /// Messages as rows, each with the time at which the row was appended that it comes from.
    fn messages(&self, made: Converted, next: Offset) -> Result<Stretch, Refusal> {
        let times = self.append_times(&made.offsets)?;
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
        let with_times = || {
            let messages = rows::batch(&made.messages)?;
            let appended = Arc::new(Field::new("_append_ts", times.data_type().clone(), false));
            let fields = messages.schema_ref().fields().iter().cloned().chain([appended]);
            let columns = messages.columns().iter().cloned().chain([Arc::clone(&times)]);
            RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns.collect())
        };
        let wrong = |error: ArrowError| {
            let name = &self.of.topic.name;
            Refusal::new(codes::SYSTEM_ERROR, format!("rows of {name:?} can't be made messages: {error}"))
        };
        let batch = with_times().map_err(wrong)?;
        Ok(Stretch { batch, offsets: RowOffsets::Listed(made.offsets.into()), next })
    }

    /// When the rows at these offsets, which rise, were appended, µs.
    fn append_times(&self, offsets: &[Offset]) -> Result<Vec<i64>, Refusal> {
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(Vec::new()) };
        let mut found = Vec::with_capacity(offsets.len());
        let columns = self.columns(vec![InputColumn::AppendTs])?;
        let mut wanted = offsets.iter().copied().peekable();
        while let Some(next) = wanted.peek().copied() {
            let Some(read) = self.stretch(next..last.saturating_add(1), &columns)? else { break };
            let ScannedBatch { range, batch, .. } = read;
            let times = batch.columns().first().and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
            let Some(times) = times else { break };
            while let Some(offset) = wanted.next_if(|offset| *offset < range.end) {
                let row = usize::try_from(offset.saturating_sub(range.start)).unwrap_or(usize::MAX);
                found.extend((row < times.len()).then(|| times.value(row)));
            }
        }
        if found.len() == offsets.len() {
            return Ok(found);
        }
        let queue = self.queue;
        Err(Refusal::new(codes::SYSTEM_ERROR, format!("rows of queue {queue} from offset {first} on have no times")))
    }

    /// Columns of the rows that a queue's messages come from.
    fn columns(&self, inputs: Vec<InputColumn>) -> Result<PlainColumns, Refusal> {
        Ok(PlainColumns::of(&self.of.source, inputs)?)
    }

    fn stretch(&self, range: Range<Offset>, columns: &PlainColumns) -> Result<Option<ScannedBatch>, Refusal> {
        let MessageScan { tables, of, queue } = self;
        Ok(tables.engine.read_stretch(&tables.who, of.queue(*queue), &range, columns)?)
    }
}
