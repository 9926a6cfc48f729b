//! Messages of a cluster's topics, copied into tables that have none.

use std::collections::{BTreeMap, VecDeque};

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_client::{PendingAck, Producer, ProducerOptions};

use super::merge::{Mark, Merge, Source, Stuck};
use super::target::Target;
use crate::cli::client::{Client, DELIVERY_TIMEOUT};
use crate::cli::exit::Failure;
use crate::rocketmq::cluster::{Broker, FoundMessage, QueueBounds, rows};

/// Partitions that are copied side by side.
const PARTITIONS_AT_ONCE: usize = 4;
/// Messages of one append, and their bodies, but for one message that is larger.
const APPEND_MESSAGES: usize = 1_000;
const APPEND_BYTES: usize = 1 << 20;
/// Appends of a partition that may be under way.
const APPENDS_AT_ONCE: usize = 4;

/// A queue of one of the brokers, by the broker's place in the list.
pub(super) type QueueOf = (usize, u32);

/// A topic as it is in the cluster.
pub(super) struct Queues<'a> {
    pub(super) topic: &'a str,
    /// On each broker that has it.
    pub(super) queues: u32,
}

/// What became of a topic's messages.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) messages: u64,
    /// Where each group goes on, by partition.
    pub(super) positions: BTreeMap<String, Vec<(u32, u64)>>,
}

/// How many messages there are.
pub(super) async fn count(brokers: &mut [Broker], of: &Queues<'_>) -> Result<u64, Failure> {
    let mut messages = 0;
    for broker in brokers {
        for queue in 0..of.queues {
            let QueueBounds { start, end } = broker.bounds(of.topic, queue).await?;
            messages += end - start;
        }
    }
    Ok(messages)
}

/// Copies what the queues hold now. Each partition gets the queues of its number, from all brokers.
pub(super) async fn copy(
    client: &Client,
    brokers: &[Broker],
    of: &Queues<'_>,
    target: &Target,
    marks: &BTreeMap<QueueOf, Vec<Mark>>,
) -> Result<Copied, Failure> {
    let partitions = stream::iter(0..target.partitions).map(|partition| async move {
        let mut sources = Vec::new();
        for queue in (0..of.queues).filter(|queue| queue % target.partitions == partition) {
            for (place, broker) in brokers.iter().enumerate() {
                let mut broker = broker.another();
                let bounds = broker.bounds(of.topic, queue).await?;
                let marks = marks.get(&(place, queue)).cloned().unwrap_or_default();
                sources.push(Source::new(broker, of.topic, queue, bounds, marks));
            }
        }
        let copied = Partition::begin(client, target, partition).copy(Merge::of(sources)).await?;
        Ok::<_, Failure>((partition, copied))
    });
    let copied: Vec<_> = partitions.buffer_unordered(PARTITIONS_AT_ONCE).try_collect().await?;
    let mut all = Copied::default();
    for (partition, (messages, positions)) in copied {
        all.messages += messages;
        for (group, position) in positions {
            all.positions.entry(group).or_default().push((partition, position));
        }
    }
    Ok(all)
}

/// One partition that is being filled.
struct Partition<'a> {
    producer: Producer,
    target: &'a Target,
    partition: u32,
    batch: Vec<FoundMessage>,
    bytes: usize,
    /// With the offset that each must have begun at.
    under_way: VecDeque<(u64, PendingAck)>,
    sent: u64,
}

impl<'a> Partition<'a> {
    fn begin(client: &Client, target: &'a Target, partition: u32) -> Partition<'a> {
        let options = ProducerOptions {
            namespace: target.namespace.clone(),
            delivery_timeout: DELIVERY_TIMEOUT,
            ..ProducerOptions::default()
        };
        let producer = client.inner().producer(&target.table, options);
        Partition { producer, target, partition, batch: Vec::new(), bytes: 0, under_way: VecDeque::new(), sent: 0 }
    }

    async fn copy(mut self, mut merge: Merge) -> Result<(u64, BTreeMap<String, u64>), Failure> {
        while let Some(message) = merge.next().await? {
            self.bytes += message.body.len();
            self.batch.push(message);
            if self.batch.len() >= APPEND_MESSAGES || self.bytes >= APPEND_BYTES {
                self.send().await?;
            }
        }
        self.send().await?;
        while let Some(oldest) = self.under_way.pop_front() {
            self.acknowledged(oldest).await?;
        }
        Ok(merge.finish())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        let (messages, _) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.bytes));
        if messages.is_empty() {
            return Ok(());
        }
        let rows: RecordBatch = rows(messages, &self.target.kind).map_err(Failure::failed)?;
        let pending = self.producer.send_to(&rows, Some(self.partition)).await?;
        self.under_way.push_back((self.sent, pending));
        self.sent += rows.num_rows() as u64;
        if self.under_way.len() >= APPENDS_AT_ONCE
            && let Some(oldest) = self.under_way.pop_front()
        {
            self.acknowledged(oldest).await?;
        }
        Ok(())
    }

    /// Waits for an append, whose rows lie where groups' positions say they do: nobody else may have sent to the table.
    async fn acknowledged(&self, (expected, pending): (u64, PendingAck)) -> Result<(), Failure> {
        let ack = pending.await?;
        match ack.appended.first() {
            Some(appended) if appended.first_offset != expected => Err(Failure::failed(format!(
                "somebody else has sent to {:?} meanwhile, so that it is not known which messages are where",
                self.target.table
            ))),
            _ => Ok(()),
        }
    }
}

impl From<Stuck> for Failure {
    fn from(stuck: Stuck) -> Failure {
        match stuck {
            Stuck::Cluster(error) => error.into(),
            Stuck::Silent { .. } => Failure::failed(stuck),
        }
    }
}
