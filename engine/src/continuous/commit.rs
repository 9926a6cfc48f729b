//! One step on record: rows that closed, rows that were late, state, and how far the topic is, as one submission.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;

use super::needs::Needs;
use super::running::{Ahead, Running};
use crate::contract::{Closed, StateKey};
use crate::log::sliced_bytes;
use crate::model::{
    Append, Durability, Error, Offset, OperatorError, PartitionChoice, PartitionId, Result, TableId, TableInfo,
};
use crate::platform::Stopwatch;
use crate::state::{
    ContinuousHeader, ContinuousRecord, ContinuousStands, ContinuousStep, SavedKey, SchemaVersion, Submission,
};

/// Outputs have one partition: their rows are in the order in which windows close.
const PARTITION: PartitionId = 0;
/// Of a commit, what rows that close may take.
const OUTPUT_SHARE: usize = 4;

/// What closes in one step.
#[derive(Debug, Default)]
struct Closing {
    rows: Vec<RecordBatch>,
    dropped: Vec<(u16, i64)>,
    /// As the last part had it; `None` without any.
    cursor: Option<Option<Bytes>>,
    bytes: usize,
    /// Nothing else closes.
    done: bool,
}

impl Running {
    /// Closes what can be closed, and has it on record with all that came before: one step or, where that is too much for one,
    /// several. `silent`: nothing came behind what was read, and event time went on with the clock.
    pub(super) fn commit(&mut self, needs: &Needs, silent: bool) -> Result<()> {
        let mut silent = silent.then(|| self.ends());
        loop {
            let closing = self.close(needs.ledger.options.max_commit_bytes / OUTPUT_SHARE)?;
            let done = closing.done;
            // Once the first step of several is on record, its watermark is.
            self.submit(needs, closing, silent.take())?;
            if done && self.closes() {
                return Err(Error::Internal("windows are said to close, and do not".to_owned()));
            }
            if done {
                return Ok(());
            }
        }
    }

    fn close(&mut self, max_bytes: usize) -> Result<Closing> {
        let mut closing = Closing::default();
        loop {
            let left = max_bytes.saturating_sub(closing.bytes).max(1);
            let closed = match self.watermark_us() {
                Some(watermark_us) => self.run.close(watermark_us, left),
                None => Ok(None),
            };
            let Some(Closed { rows, dropped, cursor }) = closed.map_err(|error| failed(&error))? else {
                closing.done = true;
                return Ok(closing);
            };
            closing.bytes = closing.bytes.saturating_add(sliced_bytes(&rows));
            closing.rows.push(rows);
            closing.dropped.extend(dropped);
            closing.cursor = Some(cursor);
            if closing.bytes >= max_bytes {
                return Ok(closing);
            }
        }
    }

    fn submit(&mut self, needs: &Needs, closing: Closing, silent: Option<Vec<(TableId, Vec<Offset>)>>) -> Result<()> {
        let saved = self.run.save().map_err(|error| failed(&error))?;
        let ahead = std::mem::take(&mut self.ahead);
        let rows_out: usize = closing.rows.iter().map(RecordBatch::num_rows).sum();
        let header = Arc::new(self.header(&ahead, rows_out, closing.cursor, closing.done));
        let piece = |(key, piece): (StateKey, Option<Bytes>)| {
            let StateKey { operator, window_us, sequence } = key;
            (SavedKey { operator, window_us, sequence }, piece.map(|piece| Arc::from(piece.as_ref())))
        };
        let step = ContinuousStep {
            topic: self.info.id,
            output: self.output.id,
            header: header.clone(),
            dropped: closing.dropped,
            saved: saved.into_iter().map(piece).collect(),
        };
        let stands =
            ContinuousStands { topic: self.info.id, version: self.info.version, steps: self.committed.steps, silent };
        let mut submission = Submission {
            durability: Durability::Sync,
            preconditions: vec![stands.into()],
            ..Submission::of([ContinuousRecord::Stepped(Box::new(step))])
        };
        let mut spare = needs.ledger.options.max_commit_bytes;
        append(needs, &self.output, closing.rows, &mut submission, &mut spare)?;
        if let Some(late) = &self.late {
            append(needs, late, ahead.late, &mut submission, &mut spare)?;
        }
        needs.ledger.log.submit(submission)?.wait()?;
        self.ahead.reached_us = ahead.reached_us;
        self.committed = header;
        Ok(())
    }

    fn header(
        &self,
        ahead: &Ahead,
        rows_out: usize,
        cursor: Option<Option<Bytes>>,
        complete: bool,
    ) -> ContinuousHeader {
        let before = &self.committed;
        let open = self.run.open();
        ContinuousHeader {
            steps: before.steps.saturating_add(1),
            instant_us: ahead.reached_us,
            watermark_us: self.watermark_us(),
            complete,
            cursor: match cursor {
                Some(cursor) => cursor.map(|cursor| Arc::from(cursor.as_ref())),
                None => before.cursor.clone(),
            },
            sources: self.times.tables.iter().map(|table| table.partitions.clone()).collect(),
            rows_in: before.rows_in.saturating_add(ahead.rows),
            rows_out: before.rows_out.saturating_add(rows_out as u64),
            late_rows: before.late_rows.saturating_add(ahead.late_rows),
            ahead_rows: before.ahead_rows.saturating_add(ahead.ahead_rows),
            open_windows: open.windows,
            open_bytes: open.bytes,
            next_close_us: self.run.next_close_us(),
        }
    }
}

impl Ahead {
    /// Something is there that is not on record.
    pub(super) fn begin(&mut self) {
        self.since.get_or_insert_with(Stopwatch::start);
    }
}

fn append(
    needs: &Needs,
    table: &TableInfo,
    batches: Vec<RecordBatch>,
    submission: &mut Submission,
    spare: &mut usize,
) -> Result<()> {
    let mut any = false;
    for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
        let append = Append { table: table.id, partition: PartitionChoice::Named(PARTITION), batch };
        let parts = needs.appender.prepare(table, &append, spare);
        submission.rows.extend(parts.map_err(|error| match error {
            Error::InvalidInput(why) => Error::InvalidInput(format!("rows for table {:?}: {why}", table.name)),
            other => other,
        })?);
        any = true;
    }
    if any {
        let version = table.schema_version();
        submission.preconditions.push(SchemaVersion { table: table.id, version }.into());
    }
    Ok(())
}

/// What the plan can't compute.
pub(super) fn failed(error: &OperatorError) -> Error {
    Error::FailedPrecondition(error.to_string())
}
