//! Delivery at the recorded pace: a row is due as long after the first one as it was appended after it.

use std::collections::HashMap;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};

use crate::chunks::{ChunkRows, Projection};
use crate::contract::InputColumn;
use crate::cursor::{self, Tables};
use crate::model::{Error, Offset, PartitionId, Result, TableId, TopicInfo};

/// One member's replay.
#[derive(Debug)]
pub(super) struct Replay {
    on: bool,
    /// The first row's append time in µs, and when it was handed out.
    origin: Option<(i64, Duration)>,
    /// Append times of the chunk that each partition is at.
    chunks: HashMap<(TableId, PartitionId), Times>,
    /// When the next row of a partition that was looked at and not due is due.
    next: Option<Duration>,
}

#[derive(Debug)]
struct Times {
    base: Offset,
    next: Offset,
    /// µs, never decreasing.
    append_us: ArrayRef,
}

impl Replay {
    pub(super) fn new(on: bool) -> Replay {
        Replay { on, origin: None, chunks: HashMap::new(), next: None }
    }

    /// After a seek the pace begins anew with the next row.
    pub(super) fn restart(&mut self) {
        *self = Replay::new(self.on);
    }

    pub(super) fn due_in(&self, now: Duration) -> Option<Duration> {
        self.next.map(|due| due.saturating_sub(now))
    }

    /// The offset up to which rows from `position` on are due, and if none are, how long it takes until one is.
    pub(super) fn until(
        &mut self,
        tables: &Tables,
        topic: &TopicInfo,
        partition: PartitionId,
        position: Offset,
    ) -> Result<(Offset, Option<Duration>)> {
        if !self.on {
            return Ok((Offset::MAX, None));
        }
        let now = tables.ledger.options.clock.awake();
        let key = (topic.table, partition);
        if !self.chunks.get(&key).is_some_and(|times| (times.base..times.next).contains(&position)) {
            match times_at(tables, topic.table, partition, position)? {
                Some(times) => self.chunks.insert(key, times),
                None => return Ok((position, None)),
            };
        }
        let Some(times) = self.chunks.get(&key) else { return Ok((position, None)) };
        let values = times.append_us.as_primitive::<TimestampMicrosecondType>().values();
        let at = usize::try_from(position - times.base).unwrap_or(usize::MAX);
        let Some(first) = values.get(at).copied() else { return Ok((position, None)) };
        let (origin_us, began) = *self.origin.get_or_insert((first, now));
        let elapsed = i64::try_from(now.saturating_sub(began).as_micros()).unwrap_or(i64::MAX);
        // A step of the clock in the recorded times is no pause.
        let wait_for = |time: i64| tables.ledger.log.time().between_us(origin_us, time).saturating_sub(elapsed);
        let ready = values.partition_point(|time| wait_for(*time) <= 0);
        if ready > at {
            self.next = None;
            return Ok((times.base + Offset::try_from(ready).unwrap_or(Offset::MAX), None));
        }
        let wait = Duration::from_micros(u64::try_from(wait_for(first)).unwrap_or(0));
        self.next = Some(self.next.filter(|next| *next > now).map_or(now + wait, |next| next.min(now + wait)));
        Ok((position, Some(wait)))
    }
}

fn times_at(tables: &Tables, table: TableId, partition: PartitionId, position: Offset) -> Result<Option<Times>> {
    let info = tables.ledger.table(table)?;
    let projection = Projection::new(&info, &[InputColumn::AppendTs])?;
    let Some(chunk) = cursor::chunk_at(tables, &projection, table, partition, position, None)? else {
        return Ok(None);
    };
    let batch: RecordBatch = match chunk.rows {
        ChunkRows::Batch(batch) => batch,
        ChunkRows::Pruned => return Err(Error::Internal("a chunk was pruned without a pruner".to_owned())),
    };
    let column =
        batch.columns().first().filter(|column| column.as_primitive_opt::<TimestampMicrosecondType>().is_some());
    let append_us = column.cloned().ok_or_else(|| Error::Internal("append times are not timestamps".to_owned()))?;
    Ok(Some(Times { base: chunk.base_offset, next: chunk.next_offset, append_us }))
}
