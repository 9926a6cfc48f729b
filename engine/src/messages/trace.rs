//! What becomes of messages, as rows of the table `message_trace` of their namespace: who was handed them when, and what he did
//! with them. Nobody waits for it: what is noted is written a second later, and is lost if the process ends before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow_array::builder::{Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parking_lot::{Condvar, Mutex};

use crate::model::{Error, Offset, PartitionId, Result, TableId, TableOptions, TableSpec};

/// What the table is called.
pub(crate) const TRACE_TABLE: &str = "message_trace";
/// How long what is noted waits for more.
const EVERY: Duration = Duration::from_secs(1);
/// Notes that wait. Where more come in a second the rest is lost, and counted.
const MAX_WAITING: usize = 32_768;

/// What a consumer did with messages, or what was done with them for him.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageStep {
    /// They were handed to him.
    Delivered,
    Acknowledged,
    /// He has set when they are visible again.
    MadeVisible,
    /// He has given them back, to have them again later.
    SentBack,
    /// He has given them up.
    GivenUp,
}

impl MessageStep {
    fn name(self) -> &'static str {
        match self {
            MessageStep::Delivered => "delivered",
            MessageStep::Acknowledged => "acknowledged",
            MessageStep::MadeVisible => "made_visible",
            MessageStep::SentBack => "sent_back",
            MessageStep::GivenUp => "given_up",
        }
    }
}

/// A step of messages that lie one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageNote {
    pub table: TableId,
    pub partition: PartitionId,
    pub first: Offset,
    pub messages: u64,
    pub step: MessageStep,
    pub group: Arc<str>,
    /// Empty where it is not known.
    pub client_id: Arc<str>,
    pub client_address: Arc<str>,
    /// How often they were handed out, this time included, where it is known.
    pub attempt: Option<u32>,
}

/// Notes on their way to their tables.
#[derive(Debug, Default)]
pub(crate) struct MessageTrace {
    orders: Arc<TraceOrders>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What waits for the thread.
#[derive(Debug, Default)]
pub(crate) struct TraceOrders {
    waiting: Mutex<Waiting>,
    given: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// With the time of each, µs.
    notes: Vec<(i64, MessageNote)>,
    stopped: bool,
}

impl MessageTrace {
    pub(crate) fn orders(&self) -> &Arc<TraceOrders> {
        &self.orders
    }

    pub(crate) fn keep(&self, thread: JoinHandle<()>) {
        *self.thread.lock() = Some(thread);
    }

    /// Never waits.
    pub(crate) fn note(&self, at_us: i64, notes: impl IntoIterator<Item = MessageNote>) {
        let mut waiting = self.orders.waiting.lock();
        for note in notes {
            if waiting.stopped || waiting.notes.len() >= MAX_WAITING {
                self.orders.lost.fetch_add(1, Ordering::Relaxed);
            } else {
                waiting.notes.push((at_us, note));
            }
        }
    }

    /// Notes that were lost since opening.
    pub(crate) fn lost(&self) -> u64 {
        self.orders.lost.load(Ordering::Relaxed)
    }

    /// Ends the thread, which writes what waits first: it is to be waited for.
    pub(crate) fn stop(&self) -> Option<JoinHandle<()>> {
        self.orders.waiting.lock().stopped = true;
        self.orders.given.notify_all();
        self.thread.lock().take()
    }
}

impl TraceOrders {
    /// What has come in a second, and whether it is all that will come.
    pub(crate) fn next(&self) -> (Vec<(i64, MessageNote)>, bool) {
        let mut waiting = self.waiting.lock();
        if !waiting.stopped {
            self.given.wait_for(&mut waiting, EVERY);
        }
        (std::mem::take(&mut waiting.notes), waiting.stopped)
    }

    /// So many could not be written.
    pub(crate) fn lose(&self, notes: usize) {
        self.lost.fetch_add(u64::try_from(notes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The table of a namespace.
pub(crate) fn trace_table(namespace: &str) -> TableSpec {
    let options = TableOptions { time_column: Some("at".to_owned()), ..TableOptions::default() };
    TableSpec { namespace: namespace.to_owned(), name: TRACE_TABLE.to_owned(), schema: trace_schema(), options }
}

fn trace_schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        text("step"),
        text("table_name"),
        Field::new("partition", DataType::Int32, false),
        Field::new("first_offset", DataType::Int64, false),
        Field::new("messages", DataType::Int64, false),
        text("group_id"),
        text("client_id"),
        text("client_address"),
        Field::new("attempt", DataType::Int64, true),
    ]))
}

/// Rows of [`trace_table`]. `names` has the tables; what is none any more is left out.
pub(crate) fn trace_rows(notes: &[(i64, MessageNote)], names: &BTreeMap<TableId, String>) -> Result<RecordBatch> {
    let kept: Vec<_> = notes.iter().filter_map(|(at, note)| Some((at, note, names.get(&note.table)?))).collect();
    let text = |of: &dyn Fn(&MessageNote) -> Arc<str>| -> ArrayRef {
        let mut column = StringBuilder::new();
        kept.iter().for_each(|(_, note, _)| column.append_value(of(note)));
        Arc::new(column.finish())
    };
    let number = |of: &dyn Fn(&MessageNote) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            kept.iter().map(|(_, note, _)| i64::try_from(of(note)).unwrap_or(i64::MAX)),
        ))
    };
    let mut attempts = Int64Builder::new();
    kept.iter().for_each(|(_, note, _)| attempts.append_option(note.attempt.map(i64::from)));
    let partitions = kept.iter().map(|(_, note, _)| i32::try_from(note.partition).unwrap_or(i32::MAX));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(kept.iter().map(|(at, ..)| **at)).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(kept.iter().map(|(_, note, _)| note.step.name()))),
        Arc::new(StringArray::from_iter_values(kept.iter().map(|(.., name)| name))),
        Arc::new(Int32Array::from_iter_values(partitions)),
        number(&|note| note.first),
        number(&|note| note.messages),
        text(&|note| Arc::clone(&note.group)),
        text(&|note| Arc::clone(&note.client_id)),
        text(&|note| Arc::clone(&note.client_address)),
        Arc::new(attempts.finish()),
    ];
    RecordBatch::try_new(trace_schema(), columns)
        .map_err(|error| Error::Internal(format!("notes of messages make no batch: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(table: u64, first: Offset) -> MessageNote {
        MessageNote {
            table: TableId(table),
            partition: 1,
            first,
            messages: 2,
            step: MessageStep::Delivered,
            group: "g".into(),
            client_id: "c".into(),
            client_address: "".into(),
            attempt: Some(3),
        }
    }

    #[test]
    fn what_is_too_much_is_lost_and_counted() {
        let trace = MessageTrace::default();
        trace.note(7, (0..40_000).map(|offset| note(1, offset)));
        assert_eq!(trace.lost(), 40_000 - 32_768);
        assert!(trace.stop().is_none());
        let (notes, is_last) = trace.orders().next();
        assert_eq!((notes.len(), is_last), (32_768, true));
        trace.note(7, [note(1, 1)]);
        assert_eq!((trace.lost(), trace.orders().next().0.len()), (40_000 - 32_768 + 1, 0));
    }

    #[test]
    fn notes_of_tables_that_are_gone_are_left_out() {
        let names = BTreeMap::from([(TableId(1), "orders".to_owned())]);
        let rows = trace_rows(&[(5, note(1, 10)), (6, note(2, 11)), (7, note(1, 12))], &names).unwrap();
        assert_eq!((rows.num_rows(), rows.schema()), (2, trace_table("n").schema));
    }
}
