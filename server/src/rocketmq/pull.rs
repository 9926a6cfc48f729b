//! 11 and 361: messages of a queue from an offset on, waited for where there are none.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_engine::{ErrorKind, MessageStep};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::{Answer, Given, Refusal};
use super::client::Client;
use super::fields::Fields;
use super::filter::{Filter, FilterKind};
use super::names::ScopedName;
use super::readable::Readable;
use super::scan::{Found, MessageScan, Wanted};
use super::wire::codes;
use super::wire::command::Command;
use crate::net::framed::Arrived;
use crate::quotas::LONGEST_PAUSE;
use crate::work::{READ_BYTES, Waits};

/// Of a pull's system flag: it may wait; the subscription stands in it.
const MAY_WAIT: i32 = 0x2;
const HAS_SUBSCRIPTION: i32 = 0x4;
/// What one answer holds, but for a message that is longer by itself.
const MAX_BYTES: usize = 256 << 10;
const MAX_MESSAGES: usize = 1_024;
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// What an answer takes beside its messages.
const HEADER_BYTES: usize = 1 << 10;

/// A subscription that is longer keeps the room that its request has come with.
const SMALL_EXPRESSION: usize = 512;

/// What a pull asks for.
#[derive(Debug)]
struct PullRequest {
    group: ScopedName,
    topic: ScopedName,
    /// As the client names it.
    wire_topic: String,
    queue: u32,
    offset: i64,
    messages: usize,
    bytes: usize,
    /// How long to wait for messages.
    wait: Option<Duration>,
    subscription: Asked,
    /// Made of the subscription by the first look.
    filter: OnceLock<Filter>,
}

/// Where the subscription stands.
#[derive(Debug)]
enum Asked {
    /// In the request.
    Here { kind: FilterKind, expression: String },
    /// In the heartbeats of the group's consumers, of this version or a newer one.
    InHeartbeats { kind: FilterKind, version: i64 },
}

/// What a look at the queue has shown.
enum Seen {
    /// An answer without messages.
    Answer(Answer),
    /// Nothing there is new, or nothing of it passes: the next offset to look at, and the queue's bounds.
    Nothing(u64, (u64, u64)),
    Messages(Found, (u64, u64)),
    /// A plugin of the filter or of the topic is over its share of the machine, or the client has been sent too much, for so long.
    Throttled(Duration),
}

pub(super) async fn answer(client: Arc<Client>, command: Command, arrived: Arrived) -> Result<Given, Refusal> {
    let request = Arc::new(PullRequest::read(&command)?);
    let _held = (request.expression_bytes() > SMALL_EXPRESSION).then_some(arrived);
    drop(command);
    let of = Arc::new(client.tables.existing_readable(&request.topic)?);
    of.check_queue(request.queue)?;
    client.tables.engine.admit_requests(&client.tables.who, &request.topic.namespace, 1)?;
    // Watched from before the first look, so that nothing comes in between.
    let mut changes = client.tables.engine.watch_topic(&client.tables.who, of.topic.id)?;
    let deadline = Instant::now() + request.wait.unwrap_or_default();
    let give_up = Instant::now() + LONGEST_WAIT / 2;
    let (mut from, mut bytes, mut room) = (None, request.bytes, None);
    loop {
        if room.is_none() {
            room = client.outgoing.try_room(READ_BYTES + bytes + HEADER_BYTES);
        }
        let (seer, asked, looked) = (Arc::clone(&client), Arc::clone(&request), Arc::clone(&of));
        let may_read = room.is_some();
        let look = move || see(&seer, &asked, &looked, from, may_read.then_some(bytes));
        let waits = if may_read { Waits::ForRows } else { Waits::ForState };
        match client.door.work.run(waits, look).await?? {
            Seen::Answer(answer) => return Ok(answer.into()),
            // Its turn is waited for without a thread, and without room.
            Seen::Throttled(pause) => {
                room = None;
                if Instant::now() + pause > give_up {
                    return Err(Refusal::new(
                        codes::SYSTEM_BUSY,
                        "a plugin of the filter or of the topic is over its share of the machine, or the client or its namespace is \
                         over its bytes_out_per_second or rows_out_per_second",
                    ));
                }
                tokio::select! {
                    () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
                    () = client.stop.stopped() => return Err(Refusal::new(codes::SERVICE_NOT_AVAILABLE, "the server stops")),
                }
            }
            Seen::Messages(found, bounds) => match (found.too_long, room.take()) {
                (Some(size), held) => {
                    // Room for all of it, asked for while none is held.
                    drop(held);
                    bytes = size;
                    room = Some(client.outgoing.room(READ_BYTES + bytes + HEADER_BYTES).await);
                }
                (None, held) if found.messages > 0 => {
                    let held = held.map(|mut held| held.split(found.body.len() + HEADER_BYTES));
                    let whole = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
                    let (rows, bytes) = (whole(found.messages), whole(found.body.len()));
                    client.tables.engine.delivered(&client.tables.who, &request.topic.namespace, rows, bytes);
                    let (who, queue) = (|| client.as_consumer(&request.group), request.queue);
                    let runs = || found.runs.iter().map(|run| (queue, run.clone(), None));
                    client.tables.note(MessageStep::Delivered, of.source.id, who, runs);
                    let answer = with_bounds(codes::SUCCESS, found.next, bounds, "FOUND", found.body.freeze());
                    return Ok(Given { room: held, ..answer.into() });
                }
                // There is something to read, and no room for it yet.
                (None, _) => room = Some(client.outgoing.room(READ_BYTES + bytes + HEADER_BYTES).await),
            },
            Seen::Nothing(next, bounds) => {
                room = None;
                let asked = u64::try_from(request.offset).unwrap_or(0);
                // What does not pass is passed over at once, so that the client's offset goes on.
                let waits = next == bounds.1 && request.wait.is_some();
                if !waits || !comes(&client, &request, &of, &mut changes, next, deadline).await {
                    let (code, remark) = match next > asked {
                        true => (codes::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE"),
                        false => (codes::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE"),
                    };
                    return Ok(with_bounds(code, next, bounds, remark, bytes::Bytes::new()).into());
                }
                from = Some(next);
            }
        }
    }
}

/// Waits until the queue has more than what lies before `next`; false if that is not in time.
async fn comes(
    client: &Client,
    request: &PullRequest,
    of: &Readable,
    changes: &mut watch::Receiver<u64>,
    next: u64,
    deadline: Instant,
) -> bool {
    let tables = &client.tables;
    loop {
        let changed = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(deadline) => false,
            () = client.stop.stopped() => false,
        };
        if !changed {
            return false;
        }
        // Of all queues of the table one has more; or the topic is gone, or the login, or a right: the next look tells.
        let ScopedName { namespace, name } = &request.group;
        if tables.engine.check_consumer_of(&tables.who, namespace, name, of.topic.id).is_err() {
            return true;
        }
        match of.bounds_of(tables, request.queue) {
            Ok(Some((_, end))) if end == next => {}
            _ => return true,
        }
    }
}

impl PullRequest {
    fn read(command: &Command) -> Result<PullRequest, Refusal> {
        let fields = Fields::of(command);
        let wire_topic = fields.text("topic")?.to_owned();
        let flag: i32 = fields.or("sysFlag", 0)?;
        let (group, topic) =
            (ScopedName::read(fields.text("consumerGroup")?, fields), ScopedName::read(&wire_topic, fields));
        let suspend = Duration::from_millis(fields.or("suspendTimeoutMillis", 0)?).min(LONGEST_WAIT);
        let kind = FilterKind::read(fields.get("expressionType"))?;
        let subscription = match flag & HAS_SUBSCRIPTION != 0 {
            true => Asked::Here { kind, expression: fields.get("subscription").unwrap_or_default().to_owned() },
            false => Asked::InHeartbeats { kind, version: fields.or("subVersion", 0_i64)? },
        };
        Ok(PullRequest {
            group,
            topic,
            wire_topic,
            queue: fields.queue()?,
            offset: fields.number("queueOffset")?,
            messages: fields.or("maxMsgNums", 32_usize)?.clamp(1, MAX_MESSAGES),
            bytes: fields.or("maxMsgBytes", MAX_BYTES)?.clamp(1, MAX_BYTES),
            wait: (flag & MAY_WAIT != 0 && !suspend.is_zero()).then_some(suspend),
            subscription,
            filter: OnceLock::new(),
        })
    }

    fn expression_bytes(&self) -> usize {
        match &self.subscription {
            Asked::Here { expression, .. } => expression.len(),
            Asked::InHeartbeats { .. } => 0,
        }
    }

    fn filter(&self, client: &Client) -> Result<&Filter, Refusal> {
        if self.filter.get().is_none() {
            let made = match &self.subscription {
                Asked::Here { kind, expression } => {
                    Filter::read((&client.door, &client.tables.who), &self.topic.namespace, *kind, expression)?
                }
                Asked::InHeartbeats { kind, version } => self.subscribed(client, *kind, *version)?,
            };
            // Looks come one after the other.
            drop(self.filter.set(made));
        }
        self.filter.get().ok_or_else(|| Refusal::new(codes::SYSTEM_ERROR, "the filter is gone"))
    }

    /// What the group's consumers have said in their heartbeats. A client whose heartbeat is still to come (the server may have
    /// been started anew) is given all messages if it looks at tags itself, and asks again if it does not.
    fn subscribed(&self, client: &Client, kind: FilterKind, version: i64) -> Result<Filter, Refusal> {
        let tables = &client.tables;
        let (group, topic) = (&self.group, &self.topic);
        let found =
            tables.engine.message_subscription(&tables.who, &group.namespace, &group.name, &topic.name, client.number);
        let subscription = match found {
            Ok(Some(subscription)) => subscription,
            Err(error) if error.kind() == ErrorKind::NotFound && kind == FilterKind::Tags => return Ok(Filter::All),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {
                let (group, topic) = (group.wire(), topic.wire());
                return Err(Refusal::new(
                    codes::SUBSCRIPTION_NOT_EXIST,
                    format!("consumers of group {group:?} have not subscribed to topic {topic:?}, by their heartbeats"),
                ));
            }
        };
        if version > subscription.version {
            return Err(Refusal::new(codes::SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest"));
        }
        let wrong = |refusal: Refusal| match refusal.code {
            codes::SUBSCRIPTION_PARSE_FAILED => Refusal { code: codes::FILTER_DATA_NOT_EXIST, ..refusal },
            _ => refusal,
        };
        let kind = FilterKind::read(Some(&subscription.kind)).map_err(wrong)?;
        Filter::read((&client.door, &client.tables.who), &topic.namespace, kind, &subscription.expression)
            .map_err(wrong)
    }

    /// Tells of a message that does not pass because the filter fails on it.
    fn tell_failure(&self, client: &Client, of: &Readable, offset: u64, why: &str) -> Result<(), Refusal> {
        let place = (of.queue(self.queue), offset);
        let ScopedName { namespace, name } = &self.group;
        Ok(client.tables.engine.message_filter_failed(&client.tables.who, namespace, name, place, why)?)
    }
}

/// Looks at the queue, and reads from it where there is room for `bytes` of messages.
fn see(
    client: &Client,
    request: &PullRequest,
    of: &Readable,
    from: Option<u64>,
    bytes: Option<usize>,
) -> Result<Seen, Refusal> {
    let tables = &client.tables;
    let filter = request.filter(client)?;
    let bounds = of
        .bounds_of(tables, request.queue)?
        .ok_or_else(|| Refusal::new(codes::SYSTEM_ERROR, format!("there is no queue {}", request.queue)))?;
    let moved = |to: u64, remark: &str| {
        let answer = with_bounds(codes::PULL_OFFSET_MOVED, to, bounds, remark, bytes::Bytes::new());
        Ok(Seen::Answer(answer))
    };
    let ScopedName { namespace, name } = &request.group;
    if let Some(set) = tables.engine.take_offset_reset(&tables.who, namespace, name, of.topic.id, request.queue)? {
        return moved(set, "OFFSET_RESET");
    }
    let (start, end) = bounds;
    let from = match from.map_or_else(|| u64::try_from(request.offset), Ok) {
        Ok(from) if from > end => return moved(end, "OFFSET_OVERFLOW_BADLY"),
        Ok(from) if from >= start => from,
        _ => return moved(start, "OFFSET_TOO_SMALL"),
    };
    if from == end {
        return Ok(Seen::Nothing(from, bounds));
    }
    let Some(bytes) = bytes else { return Ok(Seen::Messages(Found { next: from, ..Found::default() }, bounds)) };
    let paused = || tables.engine.delivery_pause(&tables.who, &request.topic.namespace);
    if let Some(pause) = filter.throttled().or_else(paused) {
        return Ok(Seen::Throttled(pause));
    }
    let wanted =
        Wanted { filter, messages: request.messages, bytes, topic: &request.wire_topic, store_host: client.store_host };
    let scan = MessageScan { tables, of, queue: request.queue };
    let found = scan.read(from, wanted)?;
    if let Some((offset, why)) = &found.failed {
        request.tell_failure(client, of, *offset, why)?;
    }
    if let (Some((offset, why)), 0, None) = (&found.stopped, found.messages, found.too_long) {
        request.tell_failure(client, of, *offset, why)?;
        let remark =
            format!("the filter of the subscription fails at offset {offset} of queue {}: {why}", request.queue);
        return Err(Refusal::new(codes::SYSTEM_ERROR, remark));
    }
    match (found.messages == 0 && found.too_long.is_none(), found.throttled) {
        (true, Some(pause)) => Ok(Seen::Throttled(pause)),
        (true, None) => Ok(Seen::Nothing(found.next, bounds)),
        (false, _) => Ok(Seen::Messages(found, bounds)),
    }
}

fn with_bounds(code: i32, next: u64, (min, max): (u64, u64), remark: &str, body: bytes::Bytes) -> Answer {
    let fields = vec![
        ("nextBeginOffset", next.to_string()),
        ("minOffset", min.to_string()),
        ("maxOffset", max.to_string()),
        ("suggestWhichBrokerId", "0".to_owned()),
        ("topicSysFlag", "0".to_owned()),
        ("groupSysFlag", "0".to_owned()),
    ];
    Answer { code, remark: Some(remark.to_owned()), fields, body }
}
