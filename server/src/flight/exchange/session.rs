//! The life of one stream: requests in; rows, as far as credit goes, and answers out.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_flight::FlightData;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use millstream_client::protocol::{self, Assignment, End, EndReason, Hello, PartitionState, Welcome, consumer_reply};
use millstream_engine::{Delivery, Offset, PartitionId, PartitionOffsets};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::batches::{BatchEncoder, Outgoing};
use super::{Incoming, ended, hello, message, next_request};
use crate::Door;
use crate::flight::blocking::blocking;
use crate::flight::encode::schema_bytes;
use crate::flight::error::{DoorError, Result};
use crate::flight::members::{LiveMember, Place};

/// Answers that wait to be sent before no further requests are read.
const MAX_ANSWERS: usize = 256;
/// Commits under way before no further requests are read.
const MAX_COMMITS: usize = 256;
/// Deliveries that one visit to the engine takes at most. Rowless ones are cheap, so their number needs its own bound.
const DELIVERIES_PER_FETCH: usize = 32;
/// Rows that one visit to the engine takes at most.
const MAX_FETCH_BYTES: usize = 8 << 20;

pub(super) struct Session {
    pub(super) door: Door,
    /// Taken when the session ends: leaving the group may block.
    place: Option<Place>,
    pub(super) live: Arc<LiveMember>,
    pub(super) topic: Arc<millstream_engine::TopicInfo>,
    changed: watch::Receiver<u64>,
    /// Away while a fetch is under way.
    encoder: Option<BatchEncoder>,
    pub(super) generation: u64,
    /// May fall below zero by one message.
    pub(super) credit: i64,
    /// A fetch may find something.
    pub(super) dirty: bool,
    pub(super) out: VecDeque<FlightData>,
    pub(super) commits: FuturesOrdered<BoxFuture<'static, consumer_reply::Reply>>,
}

/// What one visit to the engine gave.
struct Fetched {
    encoder: BatchEncoder,
    /// In order; an error ends the stream after them.
    steps: Vec<Step>,
    error: Option<DoorError>,
    /// Nothing more was ready.
    idle: bool,
}

enum Step {
    Rows(Vec<Outgoing>),
    /// The assignment is another one from here on. The partition of the delivery that showed it stands at that offset.
    Assigned(u64, Vec<PartitionOffsets>, Option<(PartitionId, Offset)>),
    /// The topic's schema is another one from here on.
    OtherSchema,
}

impl Session {
    pub(super) fn new(door: &Door, hello: Hello, place: Place) -> Result<Session> {
        let live = Arc::clone(&place.live);
        let topic = Arc::clone(&place.topic);
        let encoder = BatchEncoder::new(
            Arc::clone(&topic.output_schema),
            hello::message_bytes(&hello)?,
            hello::compression(&hello),
            hello.row_offsets,
        )?;
        let mut session = Session {
            door: door.clone(),
            changed: live.member.changed(),
            place: Some(place),
            encoder: Some(encoder),
            // Never a generation, so that the assignment is sent first of all.
            generation: u64::MAX,
            credit: i64::try_from(hello.credit_bytes).unwrap_or(i64::MAX),
            dirty: true,
            out: VecDeque::new(),
            commits: FuturesOrdered::new(),
            live,
            topic,
        };
        let millis = |duration: std::time::Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let config = &session.live.config;
        session.reply(consumer_reply::Reply::Welcome(Welcome {
            version: protocol::VERSION,
            member_id: session.live.member.id().to_owned(),
            generation: session.live.member.generation(),
            schema: schema_bytes(&session.topic.output_schema)?,
            session_timeout_ms: millis(config.session_timeout),
            max_poll_interval_ms: millis(config.max_poll_interval),
            heartbeat_interval_ms: millis(config.session_timeout / 4),
        }));
        Ok(session)
    }

    /// Serves the stream to its end. An error is the end's reason.
    pub(super) async fn run(
        mut self,
        mut incoming: Incoming,
        sender: &mpsc::Sender<Result<FlightData, Status>>,
    ) -> Result<End> {
        let mut told_to_end = self.place.as_ref().map(|place| place.ended.clone()).ok_or_else(gone)?;
        let door = self.door.clone();
        let mut stopped = std::pin::pin!(door.stopped());
        let mut fetch: Option<BoxFuture<'static, Result<Fetched>>> = None;
        loop {
            if fetch.is_none() {
                // Requests that are here already go first: under load the next fetch would always be ready too.
                while self.takes_requests()
                    && let Some(request) = next_request(&mut incoming).now_or_never()
                {
                    if let Some(end) = self.on_request(request?).await? {
                        return Ok(self.flush(end, sender).await);
                    }
                }
                if self.wants_rows() {
                    fetch = self.fetch();
                }
            }
            let fetching = fetch.is_some();
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(ended(EndReason::Shutdown)),
                reason = told(&mut told_to_end) => return Ok(ended(reason)),
                permit = sender.reserve(), if !self.out.is_empty() => match (permit, self.out.pop_front()) {
                    (Ok(permit), Some(data)) => permit.send(Ok(data)),
                    // Nobody reads any more.
                    _ => return Ok(ended(EndReason::Left)),
                },
                fetched = under_way(&mut fetch), if fetching => {
                    fetch = None;
                    if let Some(end) = self.on_fetched(fetched?)? {
                        return Ok(self.flush(end, sender).await);
                    }
                }
                Some(reply) = self.commits.next(), if !self.commits.is_empty() => self.reply(reply),
                request = next_request(&mut incoming), if !fetching && self.takes_requests() => {
                    if let Some(end) = self.on_request(request?).await? {
                        return Ok(self.flush(end, sender).await);
                    }
                }
                change = self.changed.changed(), if !self.dirty => {
                    // An error means that the engine is closed; the next fetch says so.
                    let _ = change;
                    self.dirty = true;
                }
            }
        }
    }

    fn takes_requests(&self) -> bool {
        self.out.len() < MAX_ANSWERS && self.commits.len() < MAX_COMMITS
    }

    /// Rows are fetched when there is credit and what was fetched before has gone. A change of the assignment is looked
    /// for whatever the credit.
    fn wants_rows(&self) -> bool {
        let reassigned = self.live.member.generation() != self.generation;
        self.dirty && self.out.is_empty() && (self.credit > 0 || reassigned)
    }

    /// Visits the engine on a thread that may block.
    fn fetch(&mut self) -> Option<BoxFuture<'static, Result<Fetched>>> {
        let encoder = self.encoder.take()?;
        self.changed.borrow_and_update();
        let (live, topic) = (Arc::clone(&self.live), Arc::clone(&self.topic));
        let budget = usize::try_from(self.credit).unwrap_or(0).min(MAX_FETCH_BYTES);
        let known = self.generation;
        let queries = self.door.queries.clone();
        Some(Box::pin(
            async move { blocking(&queries, move || Ok(visit(&live, topic.id, known, budget, encoder))).await },
        ))
    }

    fn on_fetched(&mut self, fetched: Fetched) -> Result<Option<End>> {
        self.encoder = Some(fetched.encoder);
        self.dirty = !fetched.idle;
        for step in fetched.steps {
            match step {
                Step::Rows(messages) => {
                    for Outgoing { data, bytes } in messages {
                        self.credit = self.credit.saturating_sub_unsigned(bytes);
                        self.out.push_back(data);
                    }
                }
                Step::Assigned(generation, offsets, moved) => {
                    self.generation = generation;
                    let mut partitions = self.states(offsets);
                    if let Some((partition, offset)) = moved {
                        partitions.iter_mut().filter(|state| state.partition == partition).for_each(|state| {
                            state.position = Some(offset);
                        });
                    }
                    self.reply(consumer_reply::Reply::Assignment(Assignment { generation, partitions }));
                }
                Step::OtherSchema => return Ok(Some(ended(EndReason::SchemaChanged))),
            }
        }
        fetched
            .error
            .map_or(Ok(None), |error| Ok(Some(End { reason: EndReason::Error.into(), error: Some(error.to_wire()) })))
    }

    /// The states of this stream's topic.
    pub(super) fn states(&self, offsets: Vec<PartitionOffsets>) -> Vec<PartitionState> {
        let ours = offsets.into_iter().filter(|offsets| offsets.topic == self.topic.name);
        ours.map(|offsets| PartitionState {
            partition: offsets.partition,
            start: offsets.start,
            end: offsets.end,
            committed: offsets.committed,
            position: offsets.position,
        })
        .collect()
    }

    pub(super) fn reply(&mut self, reply: consumer_reply::Reply) {
        self.out.push_back(message(reply));
    }

    /// Sends what is still to be sent, the answers to commits included, before the end.
    async fn flush(mut self, end: End, sender: &mpsc::Sender<Result<FlightData, Status>>) -> End {
        while let Some(reply) = self.commits.next().await {
            self.reply(reply);
        }
        for data in std::mem::take(&mut self.out) {
            if sender.send(Ok(data)).await.is_err() {
                break;
            }
        }
        end
    }
}

/// Completes when the stream is told to end.
async fn told(end: &mut watch::Receiver<Option<EndReason>>) -> EndReason {
    let reason = end.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
    reason.unwrap_or(EndReason::Replaced)
}

async fn under_way<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Takes deliveries until the budget is used or nothing is ready.
fn visit(
    live: &LiveMember,
    topic: millstream_engine::TopicId,
    mut known: u64,
    budget: usize,
    encoder: BatchEncoder,
) -> Fetched {
    let mut fetched = Fetched { encoder, steps: Vec::new(), error: None, idle: false };
    if let Err(error) = take(live, topic, &mut known, budget, &mut fetched) {
        fetched.error = Some(error);
    }
    fetched
}

fn take(
    live: &LiveMember,
    topic: millstream_engine::TopicId,
    known: &mut u64,
    budget: usize,
    fetched: &mut Fetched,
) -> Result<()> {
    let mut left = budget;
    for _ in 0..DELIVERIES_PER_FETCH {
        let delivery = if left > 0 { live.member.fetch(topic, left)? } else { None };
        // The generation is looked at after the fetch: rows of a partition must not come before its assignment.
        let generation = live.member.generation();
        if generation != *known {
            let moved = delivery.as_ref().map(|delivery| (delivery.partition, delivery.first_offset));
            fetched.steps.push(Step::Assigned(generation, live.member.offsets()?, moved));
            *known = generation;
        }
        let Some(delivery) = delivery else {
            fetched.idle = left > 0;
            return Ok(());
        };
        if !fetched.encoder.fits(&delivery) {
            put_back(live, topic, &delivery)?;
            fetched.steps.push(Step::OtherSchema);
            return Ok(());
        }
        let messages = fetched.encoder.encode(&delivery, generation)?;
        let bytes: u64 = messages.iter().map(|message| message.bytes).sum();
        left = left.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
        fetched.steps.push(Step::Rows(messages));
    }
    Ok(())
}

/// Moves the position back, for the stream that will take this one's place.
fn put_back(live: &LiveMember, topic: millstream_engine::TopicId, delivery: &Delivery) -> Result<()> {
    let at = millstream_engine::Assignment { topic, partition: delivery.partition };
    live.member.seek(at, millstream_engine::SeekTo::Offset(delivery.first_offset))?;
    Ok(())
}

pub(super) fn gone() -> DoorError {
    DoorError::internal("the stream has no member")
}

impl Drop for Session {
    fn drop(&mut self) {
        let place = self.place.take();
        let live = Arc::clone(&self.live);
        // The last holder leaves the group, which waits for locks and perhaps for the log.
        drop(self.door.queries.spawn_blocking(move || drop((place, live))));
    }
}
