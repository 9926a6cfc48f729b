//! The life of one stream: requests in; rows, as far as credit goes, and answers out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use millstream_engine::{ErrorKind, PartitionOffsets, Principal, TopicId};
use millstream_protocol::{Assignment, End, EndReason, Failed, Hello, PartitionState, Welcome, consumer_reply};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use super::batches::{BatchEncoder, Outgoing};
use super::fetch::{Reading, Step, Visited, visit};
use super::hello;
use super::messages::{Leaving, ended, message, next_request};
use crate::door::Door;
use crate::flight::blocking::blocking;
use crate::flight::encode::{message_bytes, schema_bytes};
use crate::flight::error::{DoorError, Result};
use crate::flight::forward::Messages;
use crate::flight::members::{LiveMember, Place};
use crate::flight::stream::STALLED;
use crate::net::sent::{Load, Sent};
use crate::quotas::LONGEST_PAUSE;
use crate::work::{READ_BYTES, Waits};

/// Answers that wait to be sent before no further requests are read.
const MAX_ANSWERS: usize = 256;
/// Commits under way before no further requests are read.
const MAX_COMMITS: usize = 256;
/// Rows that one visit to the engine takes at most.
const MAX_FETCH_BYTES: usize = 8 << 20;

/// A visit to the engine under way: what it finds, and the room of what it gives.
type Fetching = BoxFuture<'static, Result<(Visited, Option<Load>)>>;

pub(super) struct Session {
    pub(super) door: Door,
    ended: watch::Receiver<Option<EndReason>>,
    pub(super) live: Arc<LiveMember>,
    pub(super) topic: TopicId,
    /// Away while a fetch, or a request that concerns what is fetched, is under way.
    pub(super) reading: Option<Reading>,
    pub(super) generation: u64,
    /// May fall below zero by one message.
    pub(super) credit: i64,
    /// A fetch may find something.
    pub(super) dirty: bool,
    /// Rows that the last fetch has left are due then, whatever changes.
    due: Option<Instant>,
    who: Principal,
    /// Too much was delivered: no rows are fetched before it is asked again, then.
    paused: Option<Instant>,
    pub(super) out: VecDeque<Leaving>,
    sent: Arc<Sent>,
    pub(super) commits: FuturesOrdered<BoxFuture<'static, consumer_reply::Reply>>,
}

impl Session {
    pub(super) fn new(door: &Door, who: Principal, hello: Hello, place: Place, sent: Arc<Sent>) -> Result<Session> {
        let Place { live, subscription, ended } = place;
        let topic = Arc::clone(subscription.topic());
        let encoder = BatchEncoder::new(
            Arc::clone(&topic.output_schema),
            hello::message_bytes(&hello)?,
            hello::compression(&hello),
            hello.row_offsets,
        )?;
        let mut session = Session {
            door: door.clone(),
            ended,
            reading: Some(Reading { subscription, encoder }),
            // Never a generation, so that the assignment is sent first of all.
            generation: u64::MAX,
            credit: i64::try_from(hello.credit_bytes).unwrap_or(i64::MAX),
            dirty: true,
            due: None,
            who,
            paused: None,
            out: VecDeque::new(),
            sent,
            commits: FuturesOrdered::new(),
            live,
            topic: topic.id,
        };
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let config = &session.live.config;
        session.reply(consumer_reply::Reply::Welcome(Welcome {
            version: millstream_protocol::VERSION,
            member_id: session.live.member.id().to_owned(),
            generation: session.live.member.generation(),
            schema: schema_bytes(&topic.output_schema)?,
            session_timeout_ms: millis(config.session_timeout),
            max_poll_interval_ms: millis(config.max_poll_interval),
            // Heartbeats carry word of polls too.
            heartbeat_interval_ms: millis(config.session_timeout.min(config.max_poll_interval) / 4),
        }));
        Ok(session)
    }

    /// Serves the stream to its end. An error is the end's reason.
    pub(super) async fn run(
        &mut self,
        incoming: &mut Messages,
        sender: &mpsc::Sender<Result<Leaving, Status>>,
    ) -> Result<End> {
        let mut told_to_end = self.ended.clone();
        let door = self.door.clone();
        let mut stopped = std::pin::pin!(door.stopped());
        let mut fetch: Option<Fetching> = None;
        // Room for what the next fetch gives.
        let mut asked: Option<BoxFuture<'static, Option<Load>>> = None;
        let sent = Arc::clone(&self.sent);
        let mut stalled = std::pin::pin!(sent.stalled());
        // A request that came during a fetch and waits for its end.
        let mut held = None;
        loop {
            if fetch.is_none() {
                if let Some(request) = held.take()
                    && let Some(end) = self.on_request(request).await?
                {
                    return Ok(self.flush(end, sender).await);
                }
                // Requests that are here already go first: under load the next fetch would always be ready too.
                while self.takes_requests()
                    && let Some(request) = next_request(incoming).now_or_never()
                {
                    if let Some(end) = self.on_request(request?).await? {
                        return Ok(self.flush(end, sender).await);
                    }
                }
                if self.paused.is_none() && self.credit > 0 && self.dirty {
                    self.look_at_limits();
                }
                if !self.wants_rows() {
                    asked = None;
                } else if let Some(load) = asked.get_or_insert_with(|| self.room()).now_or_never() {
                    asked = None;
                    fetch = self.fetch(load);
                }
            }
            let fetching = fetch.is_some();
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(ended(EndReason::Shutdown)),
                reason = told(&mut told_to_end) => return Ok(ended(reason)),
                permit = sender.reserve(), if !self.out.is_empty() => match (permit, self.out.pop_front()) {
                    (Ok(permit), Some(leaving)) => permit.send(Ok(leaving)),
                    // Nobody reads any more.
                    _ => return Ok(ended(EndReason::Left)),
                },
                fetched = under_way(&mut fetch), if fetching => {
                    fetch = None;
                    let (fetched, load) = fetched?;
                    if let Some(end) = self.on_fetched(fetched, load)? {
                        return Ok(self.flush(end, sender).await);
                    }
                }
                load = under_way(&mut asked), if asked.is_some() => {
                    asked = None;
                    fetch = self.fetch(load);
                }
                () = &mut stalled => return Err(DoorError::new(ErrorKind::Retry, STALLED)),
                Some(reply) = self.commits.next(), if !self.commits.is_empty() => self.reply(reply),
                request = next_request(incoming), if held.is_none() && self.takes_requests() => {
                    let request = request?;
                    if fetching && !Session::goes_beside_a_fetch(request.as_ref()) {
                        held = Some(request);
                    } else if let Some(end) = self.on_request(request).await? {
                        return Ok(self.flush(end, sender).await);
                    }
                }
                () = tokio::time::sleep_until(self.due.unwrap_or_else(Instant::now)), if !self.dirty && self.due.is_some() => {
                    self.dirty = true;
                }
                () = tokio::time::sleep_until(self.paused.unwrap_or_else(Instant::now)), if self.paused.is_some() => {
                    self.look_at_limits();
                }
                () = changed(&mut self.reading), if !self.dirty => self.dirty = true,
            }
        }
    }

    fn takes_requests(&self) -> bool {
        self.out.len() < MAX_ANSWERS && self.commits.len() < MAX_COMMITS
    }

    /// Rows are fetched when there is credit and what was fetched before has gone. A change of the assignment is looked
    /// for whatever the credit.
    fn wants_rows(&self) -> bool {
        let reassigned = self.reading.as_ref().is_some_and(|reading| reading.subscription.is_reassigned());
        self.dirty && self.out.is_empty() && (self.rows_wanted() > 0 || reassigned)
    }

    /// Bytes of rows that may be fetched.
    fn rows_wanted(&self) -> usize {
        if self.paused.is_some() { 0 } else { usize::try_from(self.credit).unwrap_or(0) }
    }

    /// While too much was delivered the stream goes on without rows: heartbeats, commits and assignments do.
    fn look_at_limits(&mut self) {
        let pause = self.door.engine.delivery_pause(&self.who, &self.live.config.namespace);
        self.paused = pause.map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
    }

    fn delivered(&self, rows: usize, bytes: u64) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.door.engine.delivered(&self.who, &self.live.config.namespace, rows, bytes);
    }

    /// Waits for room for the rows of a fetch: as many as there is credit for, or fewer where others wait too.
    fn room(&self) -> BoxFuture<'static, Option<Load>> {
        let (sent, credit) = (Arc::clone(&self.sent), self.rows_wanted());
        Box::pin(async move {
            match credit {
                0 => None,
                credit => Some(sent.take_some(READ_BYTES, credit.clamp(READ_BYTES, MAX_FETCH_BYTES)).await),
            }
        })
    }

    /// Visits the engine on a thread that may block.
    fn fetch(&mut self, load: Option<Load>) -> Option<Fetching> {
        let reading = self.reading.take()?;
        let budget = self.rows_wanted().min(load.as_ref().map_or(0, Load::bytes));
        let door = self.door.clone();
        Some(Box::pin(async move { blocking(&door, Waits::ForRows, move || Ok((visit(reading, budget), load))).await }))
    }

    fn on_fetched(&mut self, fetched: Visited, mut load: Option<Load>) -> Result<Option<End>> {
        self.reading = Some(fetched.reading);
        self.dirty = !fetched.idle;
        self.due = fetched.due_in.filter(|_| fetched.idle).map(|wait| Instant::now() + wait);
        for step in fetched.steps {
            match step {
                Step::Rows(messages, rows) => {
                    self.delivered(rows, messages.iter().map(|message| message.bytes).sum());
                    for Outgoing { data, bytes } in messages {
                        self.credit = self.credit.saturating_sub_unsigned(bytes);
                        let load = load.as_mut().map(|load| load.split(message_bytes(&data)));
                        self.out.push_back(Leaving { data, load });
                    }
                }
                Step::Assigned(generation, offsets) => {
                    self.generation = generation;
                    let partitions = states(offsets);
                    self.reply(consumer_reply::Reply::Assignment(Assignment { generation, partitions }));
                }
                Step::Failed { partition, offset, error } => {
                    self.reply(consumer_reply::Reply::Failed(Failed {
                        partition,
                        offset,
                        error: Some(error.to_wire()),
                    }));
                }
                Step::OtherSchema => return Ok(Some(ended(EndReason::SchemaChanged))),
            }
        }
        fetched
            .error
            .map_or(Ok(None), |error| Ok(Some(End { reason: EndReason::Error.into(), error: Some(error.to_wire()) })))
    }

    pub(super) fn reply(&mut self, reply: consumer_reply::Reply) {
        self.out.push_back(Leaving { data: message(reply), load: None });
    }

    /// Sends what is still to be sent, the answers to commits included, before the end.
    async fn flush(&mut self, end: End, sender: &mpsc::Sender<Result<Leaving, Status>>) -> End {
        while let Some(reply) = self.commits.next().await {
            self.reply(reply);
        }
        for leaving in std::mem::take(&mut self.out) {
            if sender.send(Ok(leaving)).await.is_err() {
                break;
            }
        }
        end
    }

    /// Completes when the client's next stream for the topic has taken this one's place.
    pub(super) async fn replaced(&mut self) {
        told(&mut self.ended).await;
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

/// While the subscription is away nothing of it is waited for.
async fn changed(reading: &mut Option<Reading>) {
    match reading {
        Some(reading) => reading.subscription.changed().await,
        None => std::future::pending().await,
    }
}

/// Partitions as the protocol states them.
pub(super) fn states(offsets: Vec<PartitionOffsets>) -> Vec<PartitionState> {
    let state = |offsets: PartitionOffsets| PartitionState {
        partition: offsets.partition,
        start: offsets.start,
        end: offsets.end,
        committed: offsets.committed,
        position: offsets.position,
        since_generation: offsets.since_generation.unwrap_or(0),
    };
    offsets.into_iter().map(state).collect()
}

impl Drop for Session {
    fn drop(&mut self) {
        let (reading, live) = (self.reading.take(), Arc::clone(&self.live));
        // The last holder leaves the group, which takes its lock.
        self.door.work.spawn(move || drop((reading, live)));
    }
}
