//! Messages that are handed out to consumers.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream};
use millstream_engine::{HandedMessages, MAX_INVISIBLE, MAX_POPPED, MIN_INVISIBLE, MessageKind, Popped};

use super::caller::Caller;
use super::proto::receive_message_response::Content;
use super::proto::{Code, Message, ReceiveMessageRequest, ReceiveMessageResponse, Resource};
use super::resources;
use super::settings::{self, LONG_POLLING};
use super::status::{self, Done, Failed};
use super::times;
use super::written::{self, Handed, Place};
use crate::rocketmq::filter::FilterKind;
use crate::rocketmq::pop::{Handle, LONGEST_WAIT, PopHeader, Taking};
use crate::rocketmq::stored::MessageRows;
use crate::work::Waits;

/// For how long messages are invisible to others that a push consumer keeps, who says neither for how long nor that it still works.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// What an answer takes on its way, of the time that the client waits for it.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// All that one call is answered, the status behind the messages; and what is given back if that is not taken.
pub(super) async fn receive(
    caller: &Caller,
    request: ReceiveMessageRequest,
) -> (Vec<ReceiveMessageResponse>, Option<HandedMessages>) {
    let of = |content| ReceiveMessageResponse { content: Some(content) };
    let status = |status| of(Content::Status(status));
    match taken(caller, request).await {
        Ok(None) => (vec![status(Failed::new(Code::MessageNotFound, "there is no new message").status())], None),
        Ok(Some((messages, handed))) => {
            let at = of(Content::DeliveryTimestamp(times::timestamp(caller.now_ms())));
            let messages = messages.into_iter().map(|message| of(Content::Message(message)));
            ([at].into_iter().chain(messages).chain([status(status::ok())]).collect(), Some(handed))
        }
        Err(failed) => (vec![status(failed.status())], None),
    }
}

/// The answers one by one. Whoever takes the last one has received the messages.
pub(super) fn answers(
    answers: Vec<ReceiveMessageResponse>,
    handed: Option<HandedMessages>,
) -> impl Stream<Item = ReceiveMessageResponse> {
    stream::unfold((answers.into_iter(), handed), |(mut answers, handed)| async move {
        match answers.next() {
            Some(answer) => Some((answer, (answers, handed))),
            None => {
                handed.map(HandedMessages::received);
                None
            }
        }
    })
}

async fn taken(caller: &Caller, request: ReceiveMessageRequest) -> Done<Option<(Vec<Message>, HandedMessages)>> {
    let named = request.message_queue.as_ref().and_then(|queue| queue.topic.clone());
    let (topic, group) = resources::consumed(caller, named.as_ref(), request.group.as_ref())?;
    let (kind, expression) = settings::expression(request.filter_expression.as_ref())?;
    let invisible = invisible(&request)?;
    let messages = usize::try_from(request.batch_size).ok().filter(|messages| *messages > 0);
    let messages = messages.ok_or_else(|| Failed::new(Code::BadRequest, "a batch has one message at least"))?;
    let table = caller.tables.existing(&topic)?;
    let header = Arc::new(PopHeader {
        wire_topic: topic.wire(),
        group,
        topic,
        // Whichever queue a client names: it is given what comes from any of them.
        queue: None,
        messages: messages.min(MAX_POPPED),
        invisible,
        wait: wait(caller, &request),
        in_order: table.options.messages == Some(MessageKind::Ordered),
        begins_at_end: true,
        kind: FilterKind::read(Some(kind))?,
        expression,
    });
    let door = &caller.door;
    let (of_all, tables, store_host) = (door.door.clone(), caller.tables.clone(), door.store_host);
    let sent = Arc::clone(&caller.sent);
    let kept_by = request.auto_renew.then(|| caller.client_id.clone());
    let client_id = caller.client_id.clone();
    let taking = Taking { door: of_all, tables, sent, header, table, store_host, client_id, kept_by };
    let Some((handed, room)) = taking.taken(request.filter_expression).await? else { return Ok(None) };
    let topic = named.unwrap_or_default();
    let write = move || {
        let messages = written(&topic, handed.messages(), &store_host.to_string(), invisible)?;
        Ok::<_, Failed>((messages, handed))
    };
    let written = door.door.work.run(Waits::Computes, write).await??;
    caller.sent.hand_over(room);
    Ok(Some(written))
}

fn written(topic: &Resource, popped: &[Popped], store_host: &str, invisible: Duration) -> Done<Vec<Message>> {
    let mut parts: Vec<&Popped> = popped.iter().collect();
    parts.sort_by_key(|popped| (popped.partition, popped.first));
    let mut messages = Vec::new();
    for part in parts {
        let rows = MessageRows::of(&part.rows)?;
        let invisible_ms = i64::try_from(invisible.as_millis()).unwrap_or(i64::MAX);
        for (row, offset) in part.offsets.iter().copied().enumerate() {
            let receipt = Handle { receipt: part.receipt(offset), invisible_ms }.write();
            let handed = Some(Handed { receipt, invisible, attempts: part.attempts });
            messages.push(written::message(
                &rows,
                row,
                Place { topic, queue: part.partition, offset: Some(offset), store_host, handed },
            ));
        }
    }
    Ok(messages)
}

fn invisible(request: &ReceiveMessageRequest) -> Done<Duration> {
    if request.auto_renew {
        return Ok(KEPT);
    }
    let said = request.invisible_duration.as_ref().and_then(times::duration);
    said.filter(|said| (MIN_INVISIBLE..=MAX_INVISIBLE).contains(said)).ok_or_else(|| {
        let (least, most) = (MIN_INVISIBLE.as_secs(), MAX_INVISIBLE.as_secs() / 3_600);
        Failed::new(Code::IllegalInvisibleTime, format!("a message is invisible for {least} s to {most} h"))
    })
}

/// How long to wait for messages; `None` not at all.
fn wait(caller: &Caller, request: &ReceiveMessageRequest) -> Option<Duration> {
    let said = request.long_polling_timeout.as_ref().and_then(times::duration).unwrap_or(LONG_POLLING);
    let left = caller.timeout.map_or(LONGEST_WAIT, |timeout| timeout.saturating_sub(ON_THE_WAY));
    Some(said.min(left).min(LONGEST_WAIT)).filter(|wait| !wait.is_zero())
}
