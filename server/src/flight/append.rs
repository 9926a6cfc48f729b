//! DoPut into a table: record batches in, an acknowledgement for each out, many under way at once.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_flight::{FlightData, PutResult};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use millstream_engine::{
    Append, Appended, Durability, ErrorKind, PartitionChoice, PendingReceipt, Principal, ProducerStamp, Receipt,
    TableInfo, Tickets,
};
use millstream_protocol as protocol;
use prost::Message;
use tonic::Status;

use super::blocking::blocking;
use super::decode::{Decoded, Decoder, Needs};
use super::error::{DoorError, Result};
use super::fed::Fed;
use super::forward::Messages;
use super::intake::{Intake, Taken};
use crate::door::Door;
use crate::net::sent::Sent;
use crate::net::vigil::Vigil;
use crate::quotas::until_appends;
use crate::work::Waits;

/// Batches under way before no further ones are read.
const MAX_IN_FLIGHT: usize = 4096;
/// Acknowledgements that wait for a client that does not read them. Clients that write everything before they read are
/// common, and would hang if the server stopped reading while they write.
const MAX_UNREAD_ACKS: usize = 65_536;
/// What one that waits takes, about.
const ACK_BYTES: usize = 128;
/// What one visit to the engine takes.
const CHUNK_MESSAGES: usize = 64;
const CHUNK_BYTES: usize = 4 << 20;

/// Appends what arrives in a task of its own; gives the acknowledgements.
pub(super) fn serve(
    door: Door,
    who: Principal,
    table: Arc<TableInfo>,
    incoming: Messages,
    sent: Arc<Sent>,
) -> BoxStream<'static, Result<PutResult, Status>> {
    let acks = Fed::by(MAX_UNREAD_ACKS, |sender| async move {
        let (stopped, engine) = (door.clone(), door.engine.clone());
        let (appends_to, as_whom) = (Arc::clone(&table), who.clone());
        let vigil = Vigil::begin(&door.net, move || engine.check_appends(&as_whom, &appends_to));
        let intake = Intake::new(&door.net);
        let appender = Appender { door, who, table, decoder: Decoder::default(), batches: 0 };
        let source = Source { appender, incoming, intake, next: None };
        let works = stream::unfold(Some(source), next_chunk).flat_map(stream::iter).boxed();
        let mut acks = works.map(acknowledge).buffered(MAX_IN_FLIGHT).take_until(Box::pin(async move {
            tokio::select! {
                () = stopped.stopped() => DoorError::new(ErrorKind::Retry, "the server is stopping; send again later"),
                refused = vigil.refused() => refused.into(),
            }
        }));
        while let Some((ack, failed)) = acks.next().await {
            let load = sent.take(ACK_BYTES).await;
            let put = PutResult { app_metadata: ack.encode_to_vec().into() };
            if sender.send(Ok((put, load))).await.is_err() {
                return;
            }
            if let Some(error) = failed {
                let _ = sender.send(Err(error.into())).await;
                return;
            }
        }
        if let Some(error) = acks.take_result() {
            let _ = sender.send(Err(error.into())).await;
        }
    });
    // Encoded, they have room of their own.
    acks.map(|ack| ack.map(|(put, _load)| put)).boxed()
}

/// A batch that has its place in the log's queue.
struct Queued {
    sequence: u64,
    tickets: Result<Tickets>,
}

/// A batch on its way.
struct Work {
    sequence: u64,
    receipts: Result<Vec<PendingReceipt>>,
}

struct Appender {
    door: Door,
    who: Principal,
    table: Arc<TableInfo>,
    decoder: Decoder,
    batches: u64,
}

/// What is still to be appended.
struct Source {
    appender: Appender,
    incoming: Messages,
    intake: Intake,
    /// Came with the last chunk, and belongs to the next.
    next: Option<Result<FlightData>>,
}

/// Takes what has arrived, queues it at the engine, and waits without a thread until there is room for it: what has arrived
/// keeps its room as long. After an error nothing more is read.
async fn next_chunk(source: Option<Source>) -> Option<(Vec<Work>, Option<Source>)> {
    let Source { mut appender, mut incoming, mut intake, next } = source?;
    // The stream is not read on meanwhile, which holds its client back.
    if let Err(error) = until_appends(&appender.door, &appender.who, &appender.table.namespace).await {
        return Some((vec![Work { sequence: appender.batches, receipts: Err(error.into()) }], None));
    }
    let first = match next {
        Some(next) => next,
        None => intake.next(&mut incoming).await?,
    };
    let mut bytes = size(&first);
    let mut chunk = vec![room(&mut intake, &appender, first).await];
    let mut next = None;
    while chunk.len() < CHUNK_MESSAGES
        && bytes < CHUNK_BYTES
        && let Some(Some(message)) = incoming.next().now_or_never()
    {
        let message = message.map_err(DoorError::from);
        bytes += size(&message);
        // Who has room for some waits for no more of it.
        if is_folded(&appender, &message) {
            next = Some(message);
            break;
        }
        chunk.push(room(&mut intake, &appender, message).await);
    }
    let (sequence, door) = (appender.batches, appender.door.clone());
    let queued = blocking(&door, Waits::Computes, move || {
        let queued = appender.queue_all(&chunk);
        Ok((queued, appender, chunk))
    });
    match queued.await {
        Ok((queued, appender, chunk)) => {
            let work = admit_all(queued).await;
            drop(chunk);
            let failed = work.last().is_some_and(|work| work.receipts.is_err());
            Some((work, (!failed).then_some(Source { appender, incoming, intake, next })))
        }
        Err(error) => Some((vec![Work { sequence, receipts: Err(error) }], None)),
    }
}

/// Batches of one stream that wait for room: those that the client will hear nothing of are taken back from the last one on.
struct Waiting(VecDeque<Queued>);

impl Drop for Waiting {
    fn drop(&mut self) {
        while self.0.pop_back().is_some() {}
    }
}

/// Waits until there is room for all of them.
async fn admit_all(queued: VecDeque<Queued>) -> Vec<Work> {
    let mut waiting = Waiting(queued);
    let mut works = Vec::with_capacity(waiting.0.len());
    while let Some(first) = waiting.0.front_mut() {
        let mut receipts: Result<Vec<PendingReceipt>> = Ok(Vec::new());
        while let Ok(tickets) = &mut first.tickets
            && let Some(admitted) = tickets.next().await
        {
            receipts = receipts.and_then(|mut receipts| {
                receipts.push(admitted?);
                Ok(receipts)
            });
        }
        let Some(Queued { sequence, tickets }) = waiting.0.pop_front() else { break };
        works.push(Work { sequence, receipts: tickets.and(receipts) });
    }
    works
}

fn size(message: &Result<FlightData>) -> usize {
    message.as_ref().map_or(0, |data| data.data_body.len())
}

/// Whether a message needs room beyond its own.
fn is_folded(appender: &Appender, message: &Result<FlightData>) -> bool {
    message.as_ref().is_ok_and(|data| appender.decoder.needs(data) != Needs::default())
}

async fn room(intake: &mut Intake, appender: &Appender, message: Result<FlightData>) -> Result<Taken> {
    intake.room(&appender.decoder, message?).await
}

impl Appender {
    /// Ends at the first error, which is the last of what it gives.
    fn queue_all(&mut self, messages: &[Result<Taken>]) -> VecDeque<Queued> {
        let mut all = VecDeque::with_capacity(messages.len());
        for message in messages {
            let sequence = self.batches;
            let taken = message.as_ref().map_err(DoorError::clone);
            let queued = match taken.and_then(|taken| self.queue(&taken.data)) {
                Ok(None) => continue,
                Ok(Some(queued)) => queued,
                Err(error) => Queued { sequence, tickets: Err(error) },
            };
            let failed = queued.tickets.is_err();
            all.push_back(queued);
            if failed {
                break;
            }
        }
        all
    }

    fn queue(&mut self, data: &FlightData) -> Result<Option<Queued>> {
        let batch = match self.decoder.decode(data)? {
            Decoded::Batch(batch) => batch,
            Decoded::Schema(schema) => {
                self.door.engine.check_columns(&self.who, self.table.id, &schema)?;
                return Ok(None);
            }
            Decoded::Nothing => return Ok(None),
        };
        let asked = protocol::Append::decode(data.app_metadata.clone())
            .map_err(|error| DoorError::invalid(format!("the batch's metadata is not an Append message: {error}")))?;
        let stamp = stamp(&asked)?;
        let sequence = stamp.map_or(self.batches, |stamp| stamp.sequence);
        self.batches += 1;
        let partition = asked.partition.map_or(PartitionChoice::ByKey, PartitionChoice::Named);
        // A commit has its limit. Where the client asks for idempotence it is the client that cuts.
        let whole = stamp.is_some() || batch.num_rows() == 0;
        let batches = if whole { vec![batch] } else { self.door.engine.split_for_append(&batch) };
        let tickets = batches.into_iter().map(|batch| {
            let append = Append { table: self.table.id, partition, batch };
            self.door.engine.enqueue_paced(&self.who, append, stamp).map_err(DoorError::from)
        });
        Ok(Some(Queued { sequence, tickets: tickets.collect() }))
    }
}

fn stamp(asked: &protocol::Append) -> Result<Option<ProducerStamp>> {
    if asked.producer_id.is_empty() {
        return Ok(None);
    }
    let id = <[u8; 16]>::try_from(asked.producer_id.as_ref()).map_err(|_| {
        DoorError::invalid(format!("producer_id has {} bytes; it must have 16, or none", asked.producer_id.len()))
    })?;
    Ok(Some(ProducerStamp { id: u128::from_be_bytes(id), epoch: asked.epoch, sequence: asked.sequence }))
}

/// Waits for a batch's receipts.
fn acknowledge(work: Work) -> BoxFuture<'static, (protocol::Ack, Option<DoorError>)> {
    async move {
        let mut ack = protocol::Ack { sequence: work.sequence, ..protocol::Ack::default() };
        let failed = collect(work.receipts, &mut ack).await.err();
        ack.error = failed.as_ref().map(DoorError::to_wire);
        (ack, failed)
    }
    .boxed()
}

async fn collect(receipts: Result<Vec<PendingReceipt>>, ack: &mut protocol::Ack) -> Result<()> {
    for receipt in receipts? {
        let Receipt { appended, duplicate, durability, .. } = receipt.await?;
        for run in &appended {
            add_run(&mut ack.appended, run);
        }
        ack.duplicate |= duplicate;
        ack.durability = match durability {
            Durability::Sync => protocol::Durability::Sync,
            Durability::Os => protocol::Durability::Os,
        }
        .into();
    }
    Ok(())
}

/// Adds a run of rows; one that goes on where the last one ends makes it longer.
fn add_run(runs: &mut Vec<protocol::Appended>, run: &Appended) {
    let Appended { partition, first_offset, rows, .. } = *run;
    match runs.last_mut() {
        Some(last) if last.partition == partition && last.first_offset + last.rows == first_offset => last.rows += rows,
        _ => runs.push(protocol::Appended { partition, first_offset, rows }),
    }
}
