//! Messages by their keys, wherever they lie: the log knows which of its rows have a key, segments say where none has.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::SchemaRef;

use super::tables::Tables;
use super::{Chunk, ChunkRows, Projection, pruned_chunk_at};
use crate::contract::{BatchOperator, ChunkStatistics, Evaluated, InputColumn, RowMap};
use crate::log::{Ledger, RowKeys};
use crate::model::{
    Error, FoundMessage, MessageKey, Offset, OperatorError, PartitionId, Result, TableId, TableInfo, each_message_key,
    message_schema,
};
use crate::segments::Pruning;

/// Gathers the keys of messages that have been appended, so that who looks one up has little to wait for.
pub(crate) fn index_messages(ledger: &Ledger) -> Result<()> {
    let (keys, applied) = {
        let state = ledger.state.read();
        (MessageTables::of(state.catalog().tables()), state.applied())
    };
    if keys.0.is_empty() { Ok(()) } else { ledger.log.index_keys(&keys, applied) }
}

/// Messages of a table that have a key and were appended within a time (µs), newest first, at most `most` of them: those that the log
/// still has before those that lie in segments only.
pub(crate) fn find_messages(
    tables: &Tables,
    table: &TableInfo,
    key: MessageKey<'_>,
    appended_us: &Range<i64>,
    most: usize,
) -> Result<Vec<FoundMessage>> {
    let look = Look { tables, table, key, appended_us, most };
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    look.in_log(&mut |message| {
        if seen.insert((message.partition, message.offset)) {
            found.push(message);
        }
        found.len() < most
    })?;
    if found.len() < most {
        look.in_segments(&mut |message| {
            if seen.insert((message.partition, message.offset)) {
                found.push(message);
            }
            found.len() < most
        })?;
    }
    found.sort_by_key(|message| std::cmp::Reverse((message.append_us, message.offset)));
    Ok(found)
}

struct Look<'a> {
    tables: &'a Tables,
    table: &'a TableInfo,
    key: MessageKey<'a>,
    appended_us: &'a Range<i64>,
    most: usize,
}

impl Look<'_> {
    fn in_log(&self, each: &mut dyn FnMut(FoundMessage) -> bool) -> Result<()> {
        let ledger = &self.tables.ledger;
        let (keys, applied, bounds) = {
            let state = ledger.state.read();
            let partitions = state.catalog().partitions(self.table.id).unwrap_or_default();
            let bounds: Vec<_> = partitions.iter().map(|found| found.start..found.end).collect();
            (MessageTables::of(state.catalog().tables()), state.applied(), bounds)
        };
        if self.most == 0 {
            return Ok(());
        }
        let is_there = |partition: PartitionId, offset: &Offset| {
            let bounds = usize::try_from(partition).ok().and_then(|partition| bounds.get(partition));
            bounds.is_some_and(|bounds| bounds.contains(offset))
        };
        ledger.log.with_key(&keys, applied, self.key.hash(self.table.id), &mut |partition, offset| {
            if !is_there(partition, &offset) {
                return Ok(true);
            }
            // Of another table, or trimmed meanwhile: then a segment has it.
            let Some(frame) = ledger.log.frame_at(self.table.id, partition, offset)? else { return Ok(true) };
            if !self.appended_us.contains(&frame.append_us) {
                return Ok(true);
            }
            let row = usize::try_from(offset.saturating_sub(frame.base_offset)).unwrap_or(usize::MAX);
            let batch = frame.batch(self.table.schema_of(frame.schema_version)?)?;
            let column = batch.columns().get(self.key.column()).filter(|column| row < column.len());
            let has_it = column.is_some_and(|column| !self.key.rows_of(&column.slice(row, 1)).is_empty());
            Ok(!has_it || each(FoundMessage { partition, offset, append_us: frame.append_us }))
        })
    }

    fn in_segments(&self, each: &mut dyn FnMut(FoundMessage) -> bool) -> Result<()> {
        let ledger = &self.tables.ledger;
        let mut ranges = Vec::new();
        {
            let log_begins = ledger.log.files().first().map_or(u64::MAX, |(first, _)| first.0);
            let state = ledger.state.read();
            for (partition, found) in (0..).zip(state.catalog().partitions(self.table.id).unwrap_or_default()) {
                for meta in found.segments_from(found.start) {
                    let in_time =
                        meta.max_append_us >= self.appended_us.start && meta.min_append_us < self.appended_us.end;
                    // What the log has of it, it has found.
                    let beyond_log = !meta.has_lsns() || meta.first_lsn.0 < log_begins;
                    if in_time && beyond_log {
                        let offsets = meta.first_offset.max(found.start)..meta.next_offset;
                        ranges.push((meta.max_append_us, partition, offsets));
                    }
                }
            }
        }
        ranges.sort_by_key(|(newest, _, _)| std::cmp::Reverse(*newest));
        let inputs = [InputColumn::Field(self.key.column()), InputColumn::AppendTs];
        let projection = Projection::new(self.table, &inputs)?;
        let has_text = HasText { text: self.key.text().to_owned(), inputs, schema: projection.schema().clone() };
        let pruning = Pruning { operator: Some(&has_text), ..Pruning::default() };
        for (_, partition, offsets) in ranges {
            if !self.in_range(&projection, &pruning, partition, offsets, each)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Newest first; false once that is enough.
    fn in_range(
        &self,
        projection: &Projection,
        pruning: &Pruning<'_>,
        partition: PartitionId,
        offsets: Range<Offset>,
        each: &mut dyn FnMut(FoundMessage) -> bool,
    ) -> Result<bool> {
        let (mut at, mut found) = (offsets.start, Vec::new());
        while at < offsets.end {
            let chunk = match pruned_chunk_at(self.tables, projection, self.table.id, partition, at, pruning) {
                // Retention has moved it meanwhile.
                Err(Error::OffsetOutOfRange { start, .. }) if start > at => {
                    at = start;
                    continue;
                }
                chunk => chunk?,
            };
            let Some(chunk) = chunk.map(|chunk| chunk.within(&offsets)) else { break };
            let Chunk { base_offset, next_offset, rows, .. } = chunk;
            if let ChunkRows::Batch(batch) = rows
                && let [column, times] = batch.columns()
                && let Some(times) = times.as_primitive_opt::<TimestampMicrosecondType>()
            {
                for row in self.key.rows_of(column) {
                    let append_us = times.value(row);
                    if self.appended_us.contains(&append_us) {
                        found.push(FoundMessage { partition, offset: base_offset + row as u64, append_us });
                    }
                }
            }
            at = next_offset.max(at + 1);
        }
        Ok(found.into_iter().rev().all(each))
    }
}

/// The message tables of now.
struct MessageTables(HashSet<TableId>);

impl MessageTables {
    fn of<'a>(tables: impl Iterator<Item = &'a Arc<TableInfo>>) -> MessageTables {
        MessageTables(tables.filter(|table| table.options.messages.is_some()).map(|table| table.id).collect())
    }
}

impl RowKeys for MessageTables {
    fn schema(&self, table: TableId) -> Option<SchemaRef> {
        self.0.contains(&table).then(message_schema)
    }

    fn each(&self, table: TableId, rows: &RecordBatch, each: &mut dyn FnMut(usize, u32)) {
        each_message_key(table, rows, each);
    }
}

/// Leaves out what no row with a text can be in. The rows themselves are looked at outside.
#[derive(Debug)]
struct HasText {
    text: String,
    inputs: [InputColumn; 2],
    schema: SchemaRef,
}

impl BatchOperator for HasText {
    fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        let lacks = |chunk: &ChunkStatistics| {
            let values = chunk.columns.first().and_then(|column| column.as_ref()?.values.as_ref());
            values.is_some_and(|values| !values.may_have(self.text.as_bytes()))
        };
        chunks.iter().map(lacks).collect()
    }

    fn evaluate(&self, input: &RecordBatch) -> std::result::Result<Evaluated, OperatorError> {
        Ok(Evaluated { batch: input.clone(), rows: RowMap::Every })
    }
}
