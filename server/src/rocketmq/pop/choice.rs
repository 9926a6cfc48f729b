//! Which messages a pop takes, by its subscription, and how they are written.

use std::net::SocketAddr;

use arrow::array::RecordBatch;
use bytes::BytesMut;
use millstream_engine::{Assignment, Chosen, Error, Offset, PartitionId, PopChoice, Popped, TableInfo};

use super::handle::{Handle, MAX_BYTES};
use crate::rocketmq::answer::Refusal;
use crate::rocketmq::filter::Filter;
use crate::rocketmq::physical::physical_offsets;
use crate::rocketmq::stored::{MessageRows, Place};
use crate::rocketmq::tables::{Tables, topic_of};
use crate::rocketmq::take::Passing;
use crate::rocketmq::wire::properties::{FIRST_POP_TIME, POP_RECEIPT};

/// What a message has with it beside what a pull gives, in its properties and in the answer's header.
const ADDED_BYTES: usize = 2 * MAX_BYTES;

/// A subscription's choice.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub(super) filter: &'a Filter,
    pub(super) topic: &'a str,
    pub(super) store_host: SocketAddr,
    /// The first message on which the condition fails, which therefore does not pass, and why.
    pub(super) failed: Option<(PartitionId, Offset, String)>,
    /// Where a plugin has failed, so that nothing further was looked at, and why.
    pub(super) stopped: Option<(PartitionId, Offset, String)>,
}

impl PopChoice for Choice<'_> {
    fn choose(
        &mut self,
        partition: PartitionId,
        first: Offset,
        rows: &RecordBatch,
        most: usize,
    ) -> Result<Chosen, Error> {
        let messages = MessageRows::of(rows).map_err(internal)?;
        let mut passing = Passing::of(self.filter, rows, &messages, most);
        let mut chosen = Chosen::default();
        while chosen.rows.len() < most {
            match passing.next() {
                Ok(Some(piece)) => {
                    if let Some((row, why)) = piece.failed
                        && self.failed.is_none()
                    {
                        self.failed = Some((partition, first + row as u64, why));
                    }
                    chosen.rows.extend(piece.passing);
                    chosen.looked_at = piece.end;
                }
                Ok(None) => break,
                Err(stopped) => {
                    chosen.ends = true;
                    self.stopped = Some((partition, first + stopped.row as u64, stopped.why));
                    break;
                }
            }
        }
        Ok(chosen)
    }

    fn bytes(&self, rows: &RecordBatch, row: usize) -> Result<usize, Error> {
        let messages = MessageRows::of(rows).map_err(internal)?;
        let properties = messages.properties(row);
        let place = Place { topic: self.topic, queue: 0, offset: 0, physical: 0, store_host: self.store_host };
        Ok(messages.message(row, place, &properties).bytes() + ADDED_BYTES)
    }
}

fn internal(refusal: Refusal) -> Error {
    Error::Internal(refusal.remark)
}

/// Messages that were handed out, as stored messages: each has its receipt among its properties.
pub(super) fn write(
    (tables, table): (&Tables, &TableInfo),
    (topic, store_host): (&str, SocketAddr),
    popped: &Popped,
    body: &mut BytesMut,
) -> Result<(), Refusal> {
    let rows = MessageRows::of(&popped.rows)?;
    let queue = Assignment { topic: topic_of(table), partition: popped.partition };
    let physical = physical_offsets(tables, queue, &popped.offsets)?;
    let again = i32::try_from(popped.attempts.saturating_sub(1)).unwrap_or(i32::MAX);
    let first_ms = popped.begun_us.div_euclid(1_000).to_string();
    let invisible_ms = popped.visible_us.saturating_sub(popped.handed_us).div_euclid(1_000);
    for (row, (offset, physical)) in popped.offsets.iter().zip(physical).enumerate() {
        let handle = Handle { receipt: popped.receipt(*offset), invisible_ms };
        let mut properties = rows.properties(row);
        properties.put(POP_RECEIPT, &handle.write());
        properties.put(FIRST_POP_TIME, &first_ms);
        let place = Place { topic, queue: popped.partition, offset: *offset, physical, store_host };
        let mut message = rows.message(row, place, &properties);
        message.reconsume_times = message.reconsume_times.saturating_add(again);
        let before = body.len();
        if let Err(error) = message.write(body) {
            // It comes again, and at last becomes a dead letter.
            tracing::warn!(topic, queue = popped.partition, offset, %error, "a message can't be handed out");
            body.truncate(before);
        }
    }
    Ok(())
}
