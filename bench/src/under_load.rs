//! What consumers notice of producers who fill the log's queue: heartbeats and offset commits of a group, over Flight, while
//! two hundred streams wait for room.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{SinkExt, StreamExt, TryStreamExt};
use millstream_protocol::{
    Commit, ConsumerReply, ConsumerRequest, Heartbeat, Hello, PartitionOffset, consumer_reply::Reply,
    consumer_request::Request,
};
use prost::Message;
use tonic::transport::{Channel, Endpoint};

use crate::process::Server;
use crate::report::{Figure, percentile};
use crate::{Error, Result, Scale, data, remote};

const PRODUCERS: usize = 200;
/// Producers of one connection.
const STREAMS: usize = 25;
/// Batches that a producer has unanswered.
const BATCHES: usize = 2;
/// Members that commit, each of a partition of its own, and commits that each has unanswered.
const COMMITTERS: usize = 8;
const COMMITS: usize = 64;
/// Between two heartbeats.
const PAUSE: Duration = Duration::from_millis(5);

/// Figures `heartbeat_p99_under_load` and `commits_under_load`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &["--segment-threads", "0"])?;
    let flights = data::flights()?;
    let batch = flights.first().ok_or("no rows")?;
    remote::block_on(async {
        let client = remote::connect(&server.url).await?;
        remote::create(&client, "flights", batch).await?;
        // One for each that commits and one for the one that is heard of.
        let partitions = COMMITTERS + 1;
        remote::sql(&client, &format!("CREATE TABLE offsets (n BIGINT NOT NULL) WITH (partitions = {partitions})"))
            .await
    })?;
    let time = Duration::from_secs(scale.pick(3, 10));
    let idle = measure(&server, time)?;
    let (stop, load) = (AtomicBool::new(false), &server);
    let (syncs, sync_seconds) = syncs(&server)?;
    let (busy, waiting) = std::thread::scope(|scope| -> Result<(Measured, f64)> {
        let produced = scope.spawn(|| remote::block_on(produce(load, batch, &stop)));
        let busy = full(load).and_then(|()| measure(load, time));
        let waiting = load.metric("millstream_queue_waiting");
        stop.store(true, Ordering::Relaxed);
        produced.join().map_err(|_| "a producer panicked")??;
        Ok((busy?, waiting?))
    })?;
    let (later, later_seconds) = self::syncs(&server)?;
    let sync_ms = (later_seconds - sync_seconds) / (later - syncs).max(1.0) * 1e3;
    let note = format!(
        "ms from a member's heartbeat to its answer, {} of them beside {PRODUCERS} producers, {waiting} of whom wait for room at \
         the end; {:.2} ms without them; to stay within 20 ms and one sync of the log, {sync_ms:.2} ms on average",
        busy.heartbeats, idle.heartbeat_ms
    );
    let commits = format!(
        "offset commits of {COMMITTERS} members with {COMMITS} under way each, beside the same producers; limit: without them"
    );
    Ok(vec![
        Figure::reported("heartbeat_p99_under_load", busy.heartbeat_ms, "ms", note).value_at_most(20.0 + sync_ms),
        Figure::reported("commits_under_load", busy.commits, "commits/s", commits).at_least(idle.commits, 0.5),
    ])
}

fn syncs(server: &Server) -> Result<(f64, f64)> {
    Ok((server.metric("millstream_log_syncs_total")?, server.metric("millstream_log_sync_seconds_total")?))
}

/// Waits until producers wait for room.
fn full(server: &Server) -> Result<()> {
    let begun = Instant::now();
    while server.metric("millstream_queue_waiting")? == 0.0 {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err("the producers do not fill the queue".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

struct Measured {
    heartbeats: usize,
    /// 99 of 100 take no longer.
    heartbeat_ms: f64,
    /// Per second.
    commits: f64,
}

/// Heartbeats on a thread of their own, so that they wait for nothing in this process.
fn measure(server: &Server, time: Duration) -> Result<Measured> {
    std::thread::scope(|scope| {
        let commits = scope.spawn(|| remote::block_on(commit(server, time)));
        let beats = scope.spawn(|| -> Result<Vec<f64>> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(heartbeats(server, time))
        });
        let mut beats = beats.join().map_err(|_| "the heartbeats panicked")??;
        let commits = commits.join().map_err(|_| "the commits panicked")??;
        let heartbeat_ms = percentile(&mut beats, 0.99) * 1e3;
        Ok(Measured { heartbeats: beats.len(), heartbeat_ms, commits })
    })
}

async fn heartbeats(server: &Server, time: Duration) -> Result<Vec<f64>> {
    let mut member = Member::join(server).await?;
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let sent = Instant::now();
        member.send(Request::Heartbeat(Heartbeat { request_id: 1, polled: true })).await?;
        while !matches!(member.next().await?, Reply::HeartbeatAck(_)) {}
        took.push(sent.elapsed().as_secs_f64());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(took)
}

async fn commit(server: &Server, time: Duration) -> Result<f64> {
    let mut members = Vec::new();
    for _ in 0..COMMITTERS {
        members.push(Member::join(server).await?);
    }
    let begun = Instant::now();
    let counts = futures::future::try_join_all(members.into_iter().map(|member| commit_for(member, time))).await?;
    Ok(counts.iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64())
}

/// Commits as fast as it is answered; what is refused because others have joined or left does not count.
async fn commit_for(mut member: Member, time: Duration) -> Result<u64> {
    let (begun, mut under_way, mut done) = (Instant::now(), 0, 0);
    let mut partition = None;
    loop {
        while let Some(partition) = partition.filter(|_| under_way < COMMITS && begun.elapsed() < time) {
            let entries = vec![PartitionOffset { partition, next_offset: 0 }];
            member.send(Request::Commit(Commit { request_id: 1, entries, generation: 0 })).await?;
            under_way += 1;
        }
        if under_way == 0 && begun.elapsed() >= time {
            return Ok(done);
        }
        let reply = match tokio::time::timeout(Duration::from_millis(100), member.next()).await {
            Ok(reply) => reply?,
            Err(_) => continue,
        };
        match reply {
            Reply::Assignment(assignment) => partition = assignment.partitions.first().map(|state| state.partition),
            Reply::CommitAck(ack) => {
                under_way -= 1;
                done += u64::from(ack.error.is_none());
            }
            _ => {}
        }
    }
}

/// A member of the one group, as messages.
struct Member {
    requests: mpsc::Sender<FlightData>,
    replies: BoxStream<'static, Result<FlightData>>,
}

impl Member {
    async fn join(server: &Server) -> Result<Member> {
        let (requests, sent) = mpsc::channel(COMMITS);
        let mut client = FlightServiceClient::new(connect(server).await?);
        let mut member = Member { requests, replies: futures::stream::empty().boxed() };
        let hello = Hello {
            version: millstream_protocol::VERSION,
            group_id: "under_load".to_owned(),
            topic: "offsets".to_owned(),
            session_timeout_ms: 60_000,
            credit_bytes: 1 << 20,
            ..Hello::default()
        };
        member.send(Request::Hello(hello)).await?;
        member.replies = client.do_exchange(sent).await?.into_inner().map_err(Error::from).boxed();
        Ok(member)
    }

    async fn send(&mut self, request: Request) -> Result<()> {
        let request = ConsumerRequest { request: Some(request) };
        let sent = self.requests.send(FlightData::new().with_app_metadata(request.encode_to_vec())).await;
        // Nothing is taken any more once the server has ended the stream, and why it did is the last of its replies.
        while sent.is_err() {
            self.next().await?;
        }
        Ok(sent?)
    }

    async fn next(&mut self) -> Result<Reply> {
        loop {
            let data = self.replies.next().await.ok_or("the stream has ended")??;
            if data.app_metadata.is_empty() {
                continue;
            }
            match ConsumerReply::decode(data.app_metadata)?.reply {
                Some(Reply::End(end)) => return Err(format!("the member was sent away: {end:?}").into()),
                Some(reply) => return Ok(reply),
                None => {}
            }
        }
    }
}

async fn connect(server: &Server) -> Result<Channel> {
    Ok(Endpoint::from_shared(server.url.replace("grpc://", "http://"))?.connect().await?)
}

/// Streams that each have some batches unanswered, until told to stop.
async fn produce(server: &Server, batch: &RecordBatch, stop: &AtomicBool) -> Result<()> {
    let (schema, rows) = messages(batch)?;
    let mut streams = Vec::new();
    for _ in 0..PRODUCERS / STREAMS {
        let client = FlightServiceClient::new(connect(server).await?);
        let client = client.max_encoding_message_size(usize::MAX);
        for _ in 0..STREAMS {
            let (mut client, schema, rows) = (client.clone(), schema.clone(), rows.clone());
            streams.push(async move {
                let (mut requests, sent) = mpsc::channel(BATCHES + 1);
                requests.send(schema).await?;
                let mut unanswered = 0;
                let mut acks = client.do_put(sent).await?.into_inner();
                while !stop.load(Ordering::Relaxed) {
                    // What the server does not take any more is not sent; why it ended the stream is read below.
                    while unanswered < BATCHES && requests.send(rows.clone()).await.is_ok() {
                        unanswered += 1;
                    }
                    acks.next().await.ok_or("the stream has ended")??;
                    unanswered -= 1;
                }
                drop(requests);
                while acks.next().await.transpose()?.is_some() {}
                Ok::<_, Error>(())
            });
        }
    }
    futures::future::try_join_all(streams).await.map(drop)
}

fn messages(batch: &RecordBatch) -> Result<(FlightData, FlightData)> {
    let options = IpcWriteOptions::default();
    let path = FlightDescriptor::new_path(vec!["public".to_owned(), "flights".to_owned()]);
    let schema = FlightData::from(SchemaAsIpc::new(&batch.schema(), &options)).with_descriptor(path);
    let mut dictionaries = DictionaryTracker::new(false);
    let generator = IpcDataGenerator::default();
    let (_, rows) = generator.encode(batch, &mut dictionaries, &options, &mut IpcWriteContext::default())?;
    Ok((schema, FlightData::from(rows)))
}
