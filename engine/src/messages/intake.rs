//! Messages as producers send them: completed, checked against the table's kind, parted by when they are visible.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_select::filter::filter_record_batch;
use arrow_select::zip::zip;

use super::Messages;
use super::stored::encode_message;
use crate::model::{
    Append, Error, MAX_DELAY_US, MessageKind, PartitionChoice, PartitionId, Result, TableInfo, message_columns,
};
use crate::state::{DueEntry, DueRecord, DueWhat, RowsPart};

/// What a row of a message table takes in a commit beside its values, generously.
const ROW_OVERHEAD: usize = 16 << 10;

/// Messages of one append.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Visible with the submission.
    pub parts: Vec<RowsPart>,
    /// Visible later.
    pub delayed: Option<DueRecord>,
}

impl Messages {
    /// As [`crate::write::Appender::prepare`], of a message table. What is delayed counts as what the submission holds, too.
    pub(crate) fn prepare(
        &self,
        table: &TableInfo,
        kind: MessageKind,
        append: &Append,
        spare: &mut usize,
    ) -> Result<Prepared> {
        let now_us = self.ledger.log.time().now_us();
        let batch = self.complete(&self.appender.conform(table, append, spare)?, now_us)?;
        if batch.num_rows() == 0 {
            return Ok(Prepared { parts: Vec::new(), delayed: None });
        }
        check_kind(table, kind, &batch, append.partition)?;
        let (visible, later) = part(batch, now_us)?;
        let mut prepared = Prepared { parts: Vec::new(), delayed: None };
        if let Some(visible) = visible {
            let placed = self.appender.place(table, visible, append.partition)?;
            prepared.parts = self.appender.encode(table, placed, spare)?;
        }
        if let Some(later) = later {
            let mut set = Vec::with_capacity(later.num_rows());
            for (partition, rows) in self.appender.place(table, later, append.partition)? {
                let times = rows.column(message_columns::DELIVER_TS).as_primitive::<TimestampMicrosecondType>();
                for row in 0..rows.num_rows() {
                    let payload = self.encoded(&rows, row, partition, spare)?;
                    set.push((times.value(row), DueEntry { what: DueWhat::Message, payload }));
                }
            }
            prepared.delayed = Some(DueRecord { table: table.id, set, done: Vec::new() });
        }
        Ok(prepared)
    }

    /// Half messages as their entries hold them, in the order of the rows of each partition.
    pub(super) fn encoded_halves(
        &self,
        table: &TableInfo,
        append: &Append,
        now_us: i64,
        spare: &mut usize,
    ) -> Result<Vec<Arc<[u8]>>> {
        let batch = self.complete(&self.appender.conform(table, append, spare)?, now_us)?;
        if batch.column(message_columns::DELIVER_TS).null_count() < batch.num_rows() {
            let message = "a message of a transaction can't have deliver_ts: it is delivered when that is committed";
            return Err(Error::InvalidInput(message.to_owned()));
        }
        let mut payloads = Vec::with_capacity(batch.num_rows());
        for (partition, rows) in self.appender.place(table, batch, append.partition)? {
            for row in 0..rows.num_rows() {
                payloads.push(self.encoded(&rows, row, partition, spare)?);
            }
        }
        Ok(payloads)
    }

    fn encoded(&self, rows: &RecordBatch, row: usize, partition: PartitionId, spare: &mut usize) -> Result<Arc<[u8]>> {
        let payload: Arc<[u8]> = encode_message(rows, row, partition)?.into();
        self.check_deliverable(payload.len())?;
        self.appender.spend(payload.len(), spare)?;
        Ok(payload)
    }

    /// It must fit a commit as a row as well.
    fn check_deliverable(&self, size: usize) -> Result<()> {
        let limit = self.ledger.options.max_commit_bytes.saturating_sub(ROW_OVERHEAD);
        if size <= limit {
            return Ok(());
        }
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let (what, hint) = ("a delayed message", "send a smaller one");
        Err(Error::TooLarge { what, size: bytes(size), limit: bytes(limit), hint })
    }

    /// Fills in what the producer leaves to the server.
    fn complete(&self, batch: &RecordBatch, now_us: i64) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns = batch.columns().to_vec();
        let mut fill = |index: usize, values: &dyn Fn() -> ArrayRef| -> Result<()> {
            let Some(column) = columns.get_mut(index).filter(|column| column.null_count() > 0) else { return Ok(()) };
            let given = BooleanArray::from_iter((0..rows).map(|row| Some(column.is_valid(row))));
            let filled = zip(&given, column, &values());
            *column = filled.map_err(|error| Error::Internal(format!("messages could not be completed: {error}")))?;
            Ok(())
        };
        fill(message_columns::MESSAGE_ID, &|| {
            let first = self.ids.fetch_add(u64::try_from(rows).unwrap_or(0), Ordering::Relaxed);
            let ids = (first..).take(rows).map(|id| format!("{:016x}{id:016x}", self.id_prefix));
            Arc::new(StringArray::from_iter_values(ids))
        })?;
        fill(message_columns::BORN_TS, &|| {
            Arc::new(TimestampMicrosecondArray::from_value(now_us, rows).with_timezone("UTC"))
        })?;
        fill(message_columns::FLAGS, &|| Arc::new(Int32Array::from_value(0, rows)))?;
        fill(message_columns::ATTEMPTS, &|| Arc::new(Int32Array::from_value(0, rows)))?;
        RecordBatch::try_new(batch.schema(), columns)
            .map_err(|error| Error::Internal(format!("messages could not be completed: {error}")))
    }
}

/// Kinds are kept apart: who reads an ordered table may rely on order, and who sends a delayed message to one that takes none
/// would wait for something that never happens.
fn check_kind(table: &TableInfo, kind: MessageKind, batch: &RecordBatch, choice: PartitionChoice) -> Result<()> {
    let groups = batch.column(message_columns::MESSAGE_GROUP);
    let times = batch.column(message_columns::DELIVER_TS);
    let first = |wrong: &dyn Fn(usize) -> bool| (0..batch.num_rows()).find(|row| wrong(*row));
    let found = match kind {
        MessageKind::Any => None,
        MessageKind::Normal => first(&|row| groups.is_valid(row) || times.is_valid(row)),
        MessageKind::Ordered => first(&|row| {
            let ordered = groups.is_valid(row) || matches!(choice, PartitionChoice::Named(_));
            !ordered || times.is_valid(row)
        }),
        MessageKind::Delayed => first(&|row| times.is_null(row) || groups.is_valid(row)),
        MessageKind::Transactional => first(&|_| true),
    };
    let Some(row) = found else { return Ok(()) };
    let takes = match kind {
        MessageKind::Any | MessageKind::Normal => "messages without message_group and without deliver_ts",
        MessageKind::Ordered => {
            "messages with a message_group or for a partition that is named, and without deliver_ts"
        }
        MessageKind::Delayed => "messages with deliver_ts and without message_group",
        MessageKind::Transactional => "half messages of transactions",
    };
    let name = &table.name;
    Err(Error::InvalidInput(format!(
        "table {name:?} is of kind '{}' and takes {takes}; row {row} is another (kind 'any' takes all)",
        kind.name()
    )))
}

/// What is visible at once, and what later.
fn part(batch: RecordBatch, now_us: i64) -> Result<(Option<RecordBatch>, Option<RecordBatch>)> {
    let times = batch.column(message_columns::DELIVER_TS).as_primitive::<TimestampMicrosecondType>();
    let is_later = |row: usize| times.is_valid(row) && times.value(row) > now_us;
    let far = |row: &usize| times.is_valid(*row) && times.value(*row).saturating_sub(now_us) > MAX_DELAY_US;
    if let Some(row) = (0..batch.num_rows()).find(far) {
        return Err(Error::InvalidInput(format!(
            "deliver_ts of row {row} is more than 40 days away, which is the most"
        )));
    }
    let later = BooleanArray::from_iter((0..batch.num_rows()).map(|row| Some(is_later(row))));
    match later.true_count() {
        0 => Ok((Some(batch), None)),
        all if all == batch.num_rows() => Ok((None, Some(batch))),
        _ => {
            let visible = BooleanArray::new(!later.values(), None);
            Ok((Some(filtered(&batch, &visible)?), Some(filtered(&batch, &later)?)))
        }
    }
}

fn filtered(batch: &RecordBatch, rows: &BooleanArray) -> Result<RecordBatch> {
    filter_record_batch(batch, rows).map_err(|error| Error::Internal(format!("messages could not be parted: {error}")))
}
