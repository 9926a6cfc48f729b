//! Messages of a queue from an offset on, waited for where there are none.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::caller::Caller;
use super::offsets::Queue;
use super::proto::pull_message_response::Content;
use super::proto::{Code, Message, PullMessageRequest, PullMessageResponse, Resource};
use super::resources;
use super::settings;
use super::status::{self, Done, Failed};
use super::times;
use super::written::{self, Place};
use crate::net::sent::Load;
use crate::quotas::LONGEST_PAUSE;
use millstream_engine::MessageStep;

use crate::rocketmq::filter::{Filter, FilterKind};
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::pop::LONGEST_WAIT;
use crate::rocketmq::scan::MessageScan;
use crate::rocketmq::tables::Tables;
use crate::rocketmq::trace::runs;
use crate::work::{READ_BYTES, Waits};

/// What one answer holds, but for a message that is longer by itself.
const MAX_BYTES: usize = 256 << 10;
/// A message with its properties, at most.
const LONGEST_BYTES: usize = 5 << 20;
const MAX_MESSAGES: usize = 1_024;

/// What was found, and where the next pull goes on.
struct Pulled {
    messages: Vec<Message>,
    offsets: Vec<u64>,
    next: u64,
}

/// What a look takes with it.
struct Looking {
    tables: Tables,
    queue: Queue,
    group: ScopedName,
    filter: Filter,
    topic: Resource,
    store_host: String,
    most: usize,
}

/// All that one call is answered, the status behind the messages.
pub(super) async fn pull(caller: &Caller, request: PullMessageRequest) -> Vec<PullMessageResponse> {
    let of = |content| PullMessageResponse { content: Some(content) };
    match pulled(caller, request).await {
        Ok(Pulled { messages, next, .. }) => {
            let status = match messages.is_empty() {
                true => Failed::new(Code::MessageNotFound, "there is no new message").status(),
                false => status::ok(),
            };
            let messages = messages.into_iter().map(|message| of(Content::Message(message)));
            let next = of(Content::NextOffset(i64::try_from(next).unwrap_or(i64::MAX)));
            messages.chain([next, of(Content::Status(status))]).collect()
        }
        Err(failed) => vec![of(Content::Status(failed.status()))],
    }
}

async fn pulled(caller: &Caller, request: PullMessageRequest) -> Done<Pulled> {
    let group = resources::group(caller, request.group.as_ref())?;
    let queue = Queue::named(caller, request.message_queue.as_ref())?;
    let topic = request.message_queue.and_then(|queue| queue.topic).unwrap_or_default();
    let illegal = |offset: i64| Failed::new(Code::IllegalOffset, format!("the queue has no offset {offset}"));
    let mut from = u64::try_from(request.offset).map_err(|_| illegal(request.offset))?;
    let (door, tables) = (&caller.door.door, caller.tables.clone());
    let (kind, expression) = settings::expression(request.filter_expression.as_ref())?;
    let kind = FilterKind::read(Some(kind))?;
    let (reading, who, namespace) = (door.clone(), tables.who.clone(), queue.topic.namespace.clone());
    let read = move || Filter::read((&reading, &who), &namespace, kind, &expression);
    let filter = door.work.run(Waits::ForState, read).await??;
    tables.engine.admit_requests(&tables.who, &queue.topic.namespace, 1)?;
    let wait = request.long_polling_timeout.as_ref().and_then(times::duration).unwrap_or_default();
    let wait = wait.min(caller.timeout.unwrap_or(LONGEST_WAIT)).min(LONGEST_WAIT);
    let deadline = Instant::now() + wait;
    // Watched from before the first look, so that nothing comes in between.
    let mut changes = tables.engine.watch_topic(&tables.who, queue.readable.topic.id)?;
    let most = usize::try_from(request.batch_size).unwrap_or(0).clamp(1, MAX_MESSAGES);
    let store_host = caller.door.store_host.to_string();
    let looking = Arc::new(Looking { tables, queue, group, filter, topic, store_host, most });
    loop {
        // Each time: the login may have ended meanwhile, or a right.
        let (ScopedName { namespace, name }, tables) = (&looking.group, &looking.tables);
        tables.engine.check_consumer_of(&tables.who, namespace, name, looking.queue.readable.topic.id)?;
        let (start, end) = looking.queue.bounds(&looking.tables)?;
        if from < start || from > end {
            return Err(illegal(request.offset));
        }
        if from < end
            && let Some(pause) = tables.engine.delivery_pause(&tables.who, &looking.queue.topic.namespace)
        {
            let until = Instant::now() + pause.min(LONGEST_PAUSE);
            if until > deadline {
                let message = "the client or its namespace is over its bytes_out_per_second or rows_out_per_second";
                return Err(Failed::new(Code::TooManyRequests, message));
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => continue,
                () = door.stopped() => return Err(Failed::new(Code::HaNotAvailable, "the server stops")),
            }
        }
        if from < end {
            let (pulled, room) = look(caller, &looking, from).await?;
            if !pulled.messages.is_empty() {
                let (number, source) = (looking.queue.number, looking.queue.readable.source.id);
                let who = || caller.as_consumer(&looking.group);
                let runs = || runs(pulled.offsets.iter().copied()).into_iter().map(|run| (number, run, None));
                caller.tables.note(MessageStep::Delivered, source, who, runs);
                let whole = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
                let bytes = pulled.messages.iter().map(prost::Message::encoded_len).sum();
                let namespace = &looking.queue.topic.namespace;
                tables.engine.delivered(&tables.who, namespace, whole(pulled.messages.len()), whole(bytes));
                caller.sent.hand_over(room);
                return Ok(pulled);
            }
            from = pulled.next;
            if from < end {
                continue;
            }
        }
        let changed = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(deadline) => false,
            () = door.stopped() => false,
        };
        if !changed {
            return Ok(Pulled { messages: Vec::new(), offsets: Vec::new(), next: from });
        }
    }
}

async fn look(caller: &Caller, looking: &Arc<Looking>, from: u64) -> Done<(Pulled, Load)> {
    let mut bytes = MAX_BYTES;
    loop {
        let mut room = caller.sent.take(READ_BYTES + bytes).await;
        let (of, work) = (Arc::clone(looking), &caller.door.door.work);
        if let Some(pause) = looking.filter.throttled() {
            drop(room);
            tokio::time::sleep(pause.min(Duration::from_secs(1))).await;
            continue;
        }
        match work.run(Waits::ForRows, move || see(&of, from, bytes)).await?? {
            Seen::Pulled(pulled) => return Ok((pulled, room.split(bytes))),
            // Asked for while none is held.
            Seen::TooLong => bytes = LONGEST_BYTES,
            Seen::Throttled(pause) => {
                drop(room);
                tokio::time::sleep(pause.min(Duration::from_secs(1))).await;
            }
        }
    }
}

/// What a look has shown.
enum Seen {
    Pulled(Pulled),
    /// The first message is longer than what there is room for.
    TooLong,
    /// A plugin of the topic is over its share of the machine, for so long.
    Throttled(Duration),
}

fn see(of: &Looking, from: u64, bytes: usize) -> Done<Seen> {
    let Looking { tables, queue, group, filter, topic, store_host, most } = of;
    let scan = MessageScan { tables, of: &queue.readable, queue: queue.number };
    let (mut messages, mut offsets, mut left) = (Vec::new(), Vec::new(), bytes);
    let mut too_long = None;
    let passed = scan.passing(from, (filter, *most, bytes), |rows, row, offset| {
        let place = Place { topic, queue: queue.number, offset: Some(offset), store_host, handed: None };
        let size = rows.bytes(row);
        if size > left {
            too_long = messages.is_empty().then_some((offset, size));
            return false;
        }
        left -= size;
        messages.push(written::message(rows, row, place));
        offsets.push(offset);
        true
    })?;
    if let Some((offset, size)) = too_long {
        scan.check_size(offset, size, LONGEST_BYTES)?;
        return Ok(Seen::TooLong);
    }
    if let Some((offset, why)) = passed.failed.as_ref().or(passed.stopped.as_ref()) {
        let place = (queue.readable.queue(queue.number), *offset);
        tables.engine.message_filter_failed(&tables.who, &group.namespace, &group.name, place, why)?;
    }
    if let (Some((offset, why)), true) = (&passed.stopped, messages.is_empty()) {
        let message = format!("the filter fails at offset {offset} of queue {}: {why}", queue.number);
        return Err(Failed::new(Code::InternalServerError, message));
    }
    match passed.throttled.filter(|_| messages.is_empty()) {
        Some(pause) => Ok(Seen::Throttled(pause)),
        None => Ok(Seen::Pulled(Pulled { messages, offsets, next: passed.next })),
    }
}
