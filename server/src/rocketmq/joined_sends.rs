//! Sends of one connection that have come together: those for one queue are appended together, and answered together. None waits for
//! others to come.

use std::sync::Arc;

use bytes::BytesMut;
use millstream_engine::{PartitionChoice, TableInfo};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::answer::{Answer, Refusal};
use super::client::Client;
use super::replies::{Asked, written};
use super::rows::NewMessage;
use super::sending::{self, NewSend, Sending};
use crate::net::framed::Arrived;

/// Messages that are appended together, and longer ones go by themselves: so few that the engine makes one frame of them and of what
/// others append meanwhile.
const MESSAGES: usize = 256;
const BYTES: usize = 20 << 10;
const LONGEST: usize = 8 << 10;
/// Bytes of all that have come together.
const ALL_BYTES: usize = 256 << 10;

/// What a send's answer needs, and what goes with it.
pub(super) struct SendRequest {
    pub(super) asked: Asked,
    /// Among those under way.
    pub(super) place: OwnedSemaphorePermit,
    /// The room of what has come, until it is in the log's queue.
    pub(super) arrived: Arrived,
}

/// Sends that have come and are not queued yet.
#[derive(Default)]
pub(super) struct JoinedSends {
    queues: Vec<QueueSends>,
    bytes: usize,
}

/// Those for one queue by one sender, in their order.
struct QueueSends {
    client: Arc<Client>,
    table: Arc<TableInfo>,
    /// A queue that was named.
    partition: PartitionChoice,
    messages: Vec<NewMessage>,
    requests: Vec<SendRequest>,
    bytes: usize,
}

impl JoinedSends {
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Whether a send goes with others.
    pub(super) fn takes(send: &NewSend) -> bool {
        send.is_plain() && send.bytes() <= LONGEST
    }

    /// Takes a send up that goes with others.
    pub(super) fn add(&mut self, client: &Arc<Client>, send: NewSend, request: SendRequest) {
        let bytes = send.bytes();
        self.bytes += bytes;
        let NewSend { table, partition, messages, .. } = send;
        let same = |sends: &&mut QueueSends| {
            Arc::ptr_eq(&sends.table, &table)
                && sends.partition == partition
                && sends.client.tables.who == client.tables.who
        };
        match self.queues.iter_mut().find(same) {
            Some(sends) => {
                sends.bytes += bytes;
                sends.messages.extend(messages);
                sends.requests.push(request);
            }
            None => {
                let (client, requests) = (Arc::clone(client), vec![request]);
                self.queues.push(QueueSends { client, table, partition, messages, requests, bytes });
            }
        }
    }

    /// Whether they should be queued before more come.
    pub(super) fn is_full(&self) -> bool {
        let is_full = |sends: &QueueSends| sends.messages.len() >= MESSAGES || sends.bytes >= BYTES;
        self.bytes >= ALL_BYTES || self.queues.iter().any(is_full)
    }

    /// Queues them all.
    pub(super) async fn queue(&mut self, under_way: &mut JoinSet<()>) {
        self.bytes = 0;
        for QueueSends { client, table, partition, messages, requests, .. } in self.queues.drain(..) {
            let messages: Arc<[NewMessage]> = messages.into();
            match sending::queue(&client, &table, partition, Arc::clone(&messages), None).await {
                Ok(sending) => answer(&client, under_way, requests, Ok(sending)),
                // Perhaps only one of them is at fault.
                Err(_) if messages.len() > 1 => {
                    for (message, request) in messages.iter().zip(requests) {
                        let sending = NewSend::of(Arc::clone(&table), partition, message.clone()).queue(&client).await;
                        answer(&client, under_way, vec![request], sending);
                    }
                }
                Err(refusal) => answer(&client, under_way, requests, Err(refusal)),
            }
        }
    }
}

/// Answers requests once their messages, which are queued, are durable.
fn answer(
    client: &Arc<Client>,
    under_way: &mut JoinSet<()>,
    requests: Vec<SendRequest>,
    sending: Result<Sending, Refusal>,
) {
    let client = Arc::clone(client);
    // What has come is in the log's queue.
    let (asked, places): (Vec<_>, Vec<_>) = requests.into_iter().map(|request| (request.asked, request.place)).unzip();
    under_way.spawn(async move {
        let answers = match sending {
            Ok(sending) => sending.finish_each(&client).await,
            Err(refusal) => Err(refusal),
        };
        let answers = answers.unwrap_or_else(|refusal| vec![Answer::from(refusal); asked.len()]);
        let mut all = BytesMut::new();
        asked.into_iter().zip(answers).filter_map(|(asked, answer)| written(&client, asked, answer)).for_each(
            |message| {
                all.extend_from_slice(&message);
            },
        );
        if !all.is_empty() {
            let room = client.outgoing.room(all.len()).await;
            client.outgoing.send(all.freeze(), room).await;
        }
        drop(places);
    });
}
