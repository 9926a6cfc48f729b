//! Messages that are handed out, and come again unless they are acknowledged.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use millstream_engine::{HandedMessages, MessageKind};

use super::call::Call;
use super::fault::{self, Done, Fault};
use super::written;
use crate::rocketmq::filter::FilterKind;
use crate::rocketmq::pop::{PopHeader, Taking};
use crate::work::Waits;

const MAX_MESSAGES: u64 = 16;
/// What clients wait for messages at most.
const MAX_WAIT_SECONDS: u64 = 30;
/// How long a message is nobody else's.
const INVISIBLE: Duration = Duration::from_secs(300);
const INVISIBLE_IN_ORDER: Duration = Duration::from_secs(60);

pub(super) async fn consume(call: Call) -> Done<Response> {
    let group = call.consumer()?;
    let messages = call.number("numOfMessages", 1..=MAX_MESSAGES)?;
    let messages = messages.ok_or_else(|| Fault::invalid("the URL has no numOfMessages"))?;
    let wait = call.number("waitseconds", 0..=MAX_WAIT_SECONDS)?.unwrap_or(0);
    let by_request = match call.parameter("trans") {
        None => false,
        Some("order") => true,
        Some("pop") => {
            return Err(Fault::unsupported("half messages are not asked about over HTTP: transactions are not served"));
        }
        Some(other) => return Err(Fault::invalid(format!("trans is order, not {other:.40?}"))),
    };
    let table = call.tables.existing(&call.topic)?;
    let in_order = by_request || table.options.messages == Some(MessageKind::Ordered);
    let header = Arc::new(PopHeader {
        wire_topic: call.topic.wire(),
        group,
        topic: call.topic.clone(),
        queue: None,
        messages: usize::try_from(messages).unwrap_or(1),
        invisible: if in_order { INVISIBLE_IN_ORDER } else { INVISIBLE },
        wait: Some(Duration::from_secs(wait)).filter(|wait| !wait.is_zero()),
        in_order,
        begins_at_end: true,
        kind: FilterKind::Tags,
        expression: call.parameter("tag").unwrap_or("*").to_owned(),
    });
    let (door, tables, sent) = (call.door.clone(), call.tables.clone(), Arc::clone(&call.sent));
    let store_host = call.store_host;
    let (table_of, client_id) = (Arc::clone(&table), String::new());
    let taking = Taking { door, tables, sent, header, table: table_of, store_host, client_id, kept_by: None };
    let Some((handed, room)) = taking.taken(()).await? else {
        return Err(Fault::new(fault::NO_MESSAGE, "there is no new message"));
    };
    let tables = call.tables.clone();
    let write = move || {
        let xml = written::messages((&tables, &table), store_host, in_order, handed.messages())?;
        Ok::<_, Fault>((xml, handed))
    };
    let (xml, handed) = call.door.work.run(Waits::ForState, write).await??;
    call.sent.hand_over(room);
    let answer = fault::answer(StatusCode::OK, Some(xml));
    Ok(answer.map(|body| Body::new(HandedBody { body, handed: Some(handed) })))
}

/// An answer's body. Whoever takes all of it has received the messages.
struct HandedBody {
    body: Body,
    handed: Option<HandedMessages>,
}

impl http_body::Body for HandedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            drop(self.handed.take().map(HandedMessages::received));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
