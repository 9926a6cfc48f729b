//! What has no answer yet, in order.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use millstream_protocol::{self as protocol, Durability};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::ack::{Ack, Appended};
use crate::batch::{batch_message, parts};
use crate::error::{Error, Result};

/// A caller's batch, ready to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    parts: Vec<Part>,
    waiting: Waiting,
}

/// What goes in one message, with one sequence.
#[derive(Debug)]
struct Part {
    schema: SchemaRef,
    rows: u64,
    partition: Option<u32>,
    /// Without its stamp, which may become another one.
    message: FlightData,
    /// Streams that it was sent on under the stamp that it has now.
    sends: u32,
    last_of_batch: bool,
}

/// Who waits for a batch, and what the parts answered so far have given.
#[derive(Debug)]
struct Waiting {
    rows: u64,
    rows_appended: u64,
    ack: Option<Ack>,
    reply: oneshot::Sender<Result<Ack>>,
    _permit: OwnedSemaphorePermit,
}

impl Outgoing {
    pub(super) fn new(
        batch: &RecordBatch,
        partition: Option<u32>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Outgoing, oneshot::Receiver<Result<Ack>>)> {
        let part = |batch: RecordBatch| {
            let (schema, rows) = (batch.schema(), batch.num_rows() as u64);
            Ok(Part { schema, rows, partition, message: batch_message(&batch)?, sends: 0, last_of_batch: false })
        };
        let mut parts = parts(batch)?.into_iter().map(part).collect::<Result<Vec<_>>>()?;
        if let Some(last) = parts.last_mut() {
            last.last_of_batch = true;
        }
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { rows: batch.num_rows() as u64, rows_appended: 0, ack: None, reply, _permit: permit };
        Ok((Outgoing { parts, waiting }, answer))
    }

    pub(super) fn fail(self, error: Error) {
        self.waiting.fail(error);
    }
}

/// Batches without an answer, oldest first. Sequences rise by one from part to part. A refused part has not used its sequence
/// at the server, so it is taken out and all behind it move up by one.
#[derive(Debug)]
pub(super) struct Queue {
    id: Uuid,
    epoch: u32,
    /// Of the first part.
    first_sequence: u64,
    parts: VecDeque<Part>,
    waiting: VecDeque<Waiting>,
    /// A part was refused that an earlier stream had carried too: it may have been appended there, under the sequence that its
    /// successor has now.
    doubtful: bool,
    /// Since when the oldest part has waited with no other being answered.
    since: Instant,
}

impl Queue {
    pub(super) fn new(id: Uuid, epoch: u32, first_sequence: u64) -> Queue {
        Queue {
            id,
            epoch,
            first_sequence,
            parts: VecDeque::new(),
            waiting: VecDeque::new(),
            doubtful: false,
            since: Instant::now(),
        }
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) {
        if self.parts.is_empty() {
            self.since = Instant::now();
        }
        self.parts.extend(outgoing.parts);
        self.waiting.push_back(outgoing.waiting);
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Since when the oldest part has waited with no other being answered; `None` if there is no part.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        (!self.is_empty()).then_some(self.since)
    }

    /// Of the oldest part.
    pub(super) fn schema(&self) -> Option<SchemaRef> {
        self.parts.front().map(|part| part.schema.clone())
    }

    /// Whether there is a part at that place which a stream of this schema can carry.
    pub(super) fn may_send(&self, place: usize, schema: &SchemaRef) -> bool {
        self.parts.get(place).is_some_and(|part| part.schema == *schema)
    }

    /// The message of the part at a place, with its stamp.
    pub(super) fn send(&mut self, place: usize) -> Option<FlightData> {
        let part = self.parts.get_mut(place)?;
        part.sends += 1;
        let stamp = protocol::aligning(&part.message, |padding| protocol::Append {
            producer_id: self.id.as_bytes().to_vec().into(),
            epoch: self.epoch,
            sequence: self.first_sequence + place as u64,
            partition: part.partition,
            padding,
        });
        Some(part.message.clone().with_app_metadata(stamp))
    }

    /// Takes in the answer to the oldest part.
    pub(super) fn acknowledged(&mut self, ack: &protocol::Ack) -> Result<()> {
        let sequence = self.first_sequence;
        if ack.sequence != sequence || self.parts.is_empty() {
            return Err(Error::protocol(format!("an acknowledgement of sequence {} out of order", ack.sequence)));
        }
        let sends = self.parts.front().map_or(0, |part| part.sends);
        if self.doubtful && ack.duplicate && sends == 1 {
            return Err(Error::protocol(format!(
                "sequence {sequence} was taken by a batch that the server has refused since; what was appended is not known"
            )));
        }
        self.doubtful &= ack.duplicate;
        self.first_sequence += 1;
        self.since = Instant::now();
        let Some(part) = self.parts.pop_front() else { return Ok(()) };
        if let Some(waiting) = self.waiting.front_mut() {
            waiting.part_appended(&part, ack);
        }
        if part.last_of_batch
            && let Some(waiting) = self.waiting.pop_front()
        {
            waiting.succeed();
        }
        Ok(())
    }

    /// The oldest part was refused: its batch fails, with what of it has not been appended.
    pub(super) fn refuse(&mut self, error: &Error) {
        self.since = Instant::now();
        let mut refused = self.parts.pop_front();
        self.doubtful |= refused.as_ref().is_some_and(|part| part.sends > 1);
        while refused.is_some_and(|part| !part.last_of_batch) {
            refused = self.parts.pop_front();
        }
        self.parts.iter_mut().for_each(|part| part.sends = 0);
        if let Some(waiting) = self.waiting.pop_front() {
            waiting.fail(error.clone());
        }
    }

    pub(super) fn fail_all(&mut self, error: &Error) {
        self.parts.clear();
        self.waiting.drain(..).for_each(|waiting| waiting.fail(error.clone()));
    }
}

impl Waiting {
    fn part_appended(&mut self, part: &Part, answer: &protocol::Ack) {
        self.rows_appended += part.rows;
        let fresh = Ack {
            sequence: answer.sequence,
            next_sequence: 0,
            appended: Vec::new(),
            duplicate: true,
            durability: Durability::Sync,
        };
        let ack = self.ack.get_or_insert(fresh);
        ack.next_sequence = answer.sequence + 1;
        ack.duplicate &= answer.duplicate;
        if answer.durability() == Durability::Os {
            ack.durability = Durability::Os;
        }
        ack.appended.extend(answer.appended.iter().map(|run| Appended {
            partition: run.partition,
            first_offset: run.first_offset,
            rows: run.rows,
        }));
    }

    // Here and below: a caller that dropped its PendingAck does not want to know.
    fn succeed(self) {
        let _ = self.reply.send(self.ack.ok_or(Error::Closed));
    }

    fn fail(self, error: Error) {
        let (rows, appended) = (self.rows, self.rows_appended);
        let _ = self.reply.send(Err(match error {
            Error::Server { kind, message } if appended > 0 => Error::Server {
                kind,
                message: format!("{message}; the batch's first {appended} of {rows} rows were appended before that"),
            },
            error => error,
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use tokio::sync::Semaphore;

    use prost::Message;

    use super::*;
    use millstream_protocol::ErrorKind;

    type Answer = oneshot::Receiver<Result<Ack>>;

    fn push(queue: &mut Queue, rows: i64) -> Answer {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("id", column)]).unwrap();
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (outgoing, answer) = Outgoing::new(&batch, None, permit).unwrap();
        queue.push(outgoing);
        answer
    }

    fn stamps(queue: &mut Queue) -> Vec<u64> {
        let sequence = |data: FlightData| protocol::Append::decode(data.app_metadata).unwrap().sequence;
        (0..queue.len()).filter_map(|place| queue.send(place).map(sequence)).collect()
    }

    fn ack(sequence: u64, duplicate: bool) -> protocol::Ack {
        let appended = vec![protocol::Appended { partition: 0, first_offset: sequence, rows: 1 }];
        protocol::Ack { sequence, appended, duplicate, ..protocol::Ack::default() }
    }

    fn refusal() -> Error {
        Error::Server { kind: ErrorKind::InvalidInput, message: "no".to_owned() }
    }

    #[test]
    fn those_behind_a_refused_batch_take_its_sequence() {
        let mut queue = Queue::new(Uuid::new_v4(), 0, 5);
        let (mut first, mut refused, mut last) = (push(&mut queue, 1), push(&mut queue, 1), push(&mut queue, 1));
        assert_eq!(stamps(&mut queue), [5, 6, 7]);
        queue.acknowledged(&ack(5, false)).unwrap();
        assert_eq!(first.try_recv().unwrap().unwrap().next_sequence, 6);
        queue.refuse(&refusal());
        assert!(refused.try_recv().unwrap().is_err());
        assert_eq!(stamps(&mut queue), [6]);
        queue.acknowledged(&ack(6, false)).unwrap();
        assert_eq!(last.try_recv().unwrap().unwrap().sequence, 6);
        assert!(queue.acknowledged(&ack(7, false)).is_err());
    }

    #[test]
    fn a_batch_of_parts_has_one_answer() {
        let mut queue = Queue::new(Uuid::new_v4(), 0, 0);
        let mut whole = push(&mut queue, 2 << 20);
        let parts = queue.len() as u64;
        assert!(parts > 2);
        assert_eq!(stamps(&mut queue), (0..parts).collect::<Vec<_>>());
        (0..parts - 1).for_each(|sequence| queue.acknowledged(&ack(sequence, false)).unwrap());
        assert!(whole.try_recv().is_err());
        queue.acknowledged(&ack(parts - 1, true)).unwrap();
        let answer = whole.try_recv().unwrap().unwrap();
        assert_eq!((answer.appended.len() as u64, answer.next_sequence, answer.duplicate), (parts, parts, false));

        let (mut whole, _next) = (push(&mut queue, 2 << 20), push(&mut queue, 1));
        queue.acknowledged(&ack(parts, false)).unwrap();
        queue.refuse(&refusal());
        let error = whole.try_recv().unwrap().unwrap_err().to_string();
        assert!(error.contains("of 2097152 rows were appended"), "{error}");
        assert_eq!(stamps(&mut queue), [parts + 1], "the rest of the refused batch is not sent");
    }

    #[test]
    fn an_answer_that_may_be_of_the_refused_batch_is_not_taken() {
        let mut queue = Queue::new(Uuid::new_v4(), 0, 0);
        let (_refused, _next) = (push(&mut queue, 1), push(&mut queue, 1));
        stamps(&mut queue);
        stamps(&mut queue); // a second stream, after a break
        queue.refuse(&refusal());
        stamps(&mut queue);
        assert!(queue.acknowledged(&ack(0, true)).is_err());
        assert!(queue.acknowledged(&ack(0, false)).is_ok());
    }
}
