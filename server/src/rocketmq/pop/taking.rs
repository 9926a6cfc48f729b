//! Messages taken for a consumer, of whichever door, waited for where there are none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{Assignment, HandedMessages, MessageStep, PopOutcome, PopRequest, TableInfo};
use tokio::time::Instant;

use super::choice::Choice;
use super::request::{LONGEST_WAIT, PopHeader};
use super::waiting::Waiting;
use crate::door::Door;
use crate::net::sent::{Load, Sent};
use crate::quotas::LONGEST_PAUSE;
use crate::rocketmq::answer::Refusal;
use crate::rocketmq::filter::Filter;
use crate::rocketmq::tables::{Tables, topic_of};
use crate::rocketmq::trace::{Who, runs};
use crate::rocketmq::wire::codes;
use crate::work::{READ_BYTES, Waits};

/// What one answer holds, but for a message that is longer by itself.
const MAX_BYTES: usize = 256 << 10;
/// What an answer takes beside its messages.
const HEADER_BYTES: usize = 4 << 10;

/// What a consumer takes, and for whom.
#[derive(Clone)]
pub(in crate::rocketmq) struct Taking {
    pub(in crate::rocketmq) door: Door,
    pub(in crate::rocketmq) tables: Tables,
    pub(in crate::rocketmq) sent: Arc<Sent>,
    pub(in crate::rocketmq) header: Arc<PopHeader>,
    pub(in crate::rocketmq) table: Arc<TableInfo>,
    pub(in crate::rocketmq) store_host: SocketAddr,
    /// What the client calls itself, if that is known.
    pub(in crate::rocketmq) client_id: String,
    /// The client that keeps them for as long as it is there.
    pub(in crate::rocketmq) kept_by: Option<String>,
}

/// What a look has come to.
enum Seen {
    Outcome(PopOutcome),
    /// A plugin of the filter is over its share of the machine, or the client has been sent too much, for so long.
    Throttled(Duration),
}

impl Taking {
    /// Messages, and the room of their answer; `None` if there were none in time. `arrived` is let go of once all of the request is
    /// taken up. Whoever lets go of the messages, or of this, gives them back.
    pub(in crate::rocketmq) async fn taken<A>(&self, arrived: A) -> Result<Option<(HandedMessages, Load)>, Refusal> {
        let Taking { door, tables, header, table, .. } = self;
        tables.engine.admit_requests(&tables.who, &table.namespace, 1)?;
        let mut waiting = Waiting::begin((door, tables), &header.group, table, header.in_order).await?;
        let filter = Arc::new(self.filter().await?);
        // The subscription's text is in the filter, or was short.
        drop(arrived);
        let deadline = Instant::now() + header.wait.unwrap_or_default();
        let give_up = Instant::now() + LONGEST_WAIT / 2;
        let mut bytes = MAX_BYTES;
        loop {
            // Taken before the look: what is found is handed out.
            let mut room = self.sent.take(READ_BYTES + bytes + HEADER_BYTES).await;
            let (looking, by) = (self.clone(), Arc::clone(&filter));
            match door.work.run(Waits::ForRows, move || looking.see(&by, bytes)).await?? {
                Seen::Throttled(pause) => {
                    drop(room);
                    if Instant::now() + pause > give_up {
                        return Err(Refusal::new(
                            codes::SYSTEM_BUSY,
                            "a plugin of the filter is over its share of the machine, or the client or its namespace is over its \
                             bytes_out_per_second or rows_out_per_second",
                        ));
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
                        () = door.stopped() => return Err(Refusal::new(codes::SERVICE_NOT_AVAILABLE, "the server stops")),
                    }
                }
                // Asked for while none is held.
                Seen::Outcome(PopOutcome::TooLong(size)) => bytes = size,
                Seen::Outcome(PopOutcome::Taken(pending)) => {
                    if let Some(handed) = pending.finish().await?.filter(|handed| !handed.is_empty()) {
                        let parts = handed.messages().iter();
                        parts.for_each(|part| tables.engine.delivered_rows(&tables.who, &table.namespace, &part.rows));
                        self.note(&handed);
                        return Ok(Some((handed, room.split(bytes + HEADER_BYTES))));
                    }
                }
                Seen::Outcome(PopOutcome::Nothing { next_us }) => {
                    drop(room);
                    if header.wait.is_none() || !waiting.comes(door, next_us, deadline).await {
                        return Ok(None);
                    }
                }
                Seen::Outcome(PopOutcome::NeedsDeadLetters) => {
                    return Err(Refusal::new(codes::SYSTEM_ERROR, "the table of dead letters can't be made"));
                }
            }
        }
    }

    fn note(&self, handed: &HandedMessages) {
        let who = || Who::of(&self.header.group, &self.client_id, self.sent.peer.address);
        let runs = || {
            handed.messages().iter().flat_map(|part| {
                let of = |run| (part.partition, run, Some(part.attempts));
                runs(part.offsets.iter().copied()).into_iter().map(of)
            })
        };
        self.tables.note(MessageStep::Delivered, self.table.id, who, runs);
    }

    async fn filter(&self) -> Result<Filter, Refusal> {
        let (door, who, asked) = (self.door.clone(), self.tables.who.clone(), Arc::clone(&self.header));
        let make = move || Filter::read((&door, &who), &asked.topic.namespace, asked.kind, &asked.expression);
        self.door.work.run(Waits::ForState, make).await?
    }

    fn see(&self, filter: &Filter, bytes: usize) -> Result<Seen, Refusal> {
        let Taking { tables, header, table, store_host, kept_by, .. } = self;
        let paused = || tables.engine.delivery_pause(&tables.who, &table.namespace);
        if let Some(pause) = filter.throttled().or_else(paused) {
            return Ok(Seen::Throttled(pause));
        }
        let group = &header.group;
        let request = PopRequest {
            namespace: group.namespace.clone(),
            group: group.name.clone(),
            table: table.id,
            partition: header.queue,
            messages: header.messages,
            bytes,
            invisible: header.invisible,
            max_attempts: tables.settings.max_attempts,
            in_order: header.in_order,
            start: header.start(tables.engine.now_us()),
            kept_by: kept_by.clone(),
        };
        let mut choice =
            Choice { filter, topic: &header.wire_topic, store_host: *store_host, failed: None, stopped: None };
        let outcome = tables.engine.pop(&tables.who, &request, &mut choice)?;
        let tell = |partition, offset, why: &str| {
            let queue = Assignment { topic: topic_of(table), partition };
            tables.engine.message_filter_failed(&tables.who, &group.namespace, &group.name, (queue, offset), why)
        };
        if let Some((queue, offset, why)) = &choice.failed {
            tell(*queue, *offset, why)?;
        }
        if let Some((queue, offset, why)) = &choice.stopped {
            tell(*queue, *offset, why)?;
            if matches!(outcome, PopOutcome::Nothing { .. }) {
                let remark = format!("the filter of the subscription fails at offset {offset} of queue {queue}: {why}");
                return Err(Refusal::new(codes::SYSTEM_ERROR, remark));
            }
        }
        Ok(Seen::Outcome(outcome))
    }
}
