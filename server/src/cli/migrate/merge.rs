//! The messages of several queues as one sequence, the oldest first, and where in it groups are that were somewhere in the queues.

use std::collections::{BTreeMap, VecDeque};

use crate::rocketmq::cluster::{Broker, ClusterError, FoundMessage, QueueBounds};

/// Where a group goes on in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) group: String,
    pub(super) offset: u64,
}

/// A queue of one broker, of which messages are taken from its start to where it ended when this began.
pub(super) struct Source {
    broker: Broker,
    topic: String,
    queue: u32,
    waiting: Waiting,
    at: u64,
    end: u64,
}

/// What has been read of a queue and not been taken yet, and the marks that lie behind it.
#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<FoundMessage>,
    /// By their offsets, the first last.
    marks: Vec<Mark>,
}

/// Why a queue's messages can't be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stuck {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("queue {queue} of broker {broker} gives no message at {at}, and ends at {end}")]
    Silent { broker: String, queue: u32, at: u64, end: u64 },
}

impl Source {
    pub(super) fn new(broker: Broker, topic: &str, queue: u32, bounds: QueueBounds, marks: Vec<Mark>) -> Source {
        let QueueBounds { start, end } = bounds;
        Source { broker, topic: topic.to_owned(), queue, waiting: Waiting::new(marks), at: start, end }
    }

    /// Has messages waiting, unless the queue is at its end.
    async fn fill(&mut self) -> Result<(), Stuck> {
        while self.waiting.messages.is_empty() && self.at < self.end {
            let pulled = self.broker.pull(&self.topic, self.queue, self.at).await?;
            let (at, end) = (self.at, self.end);
            let wanted = |message: &FoundMessage| (at..end).contains(&message.queue_offset);
            self.waiting.messages.extend(pulled.messages.into_iter().filter(wanted));
            if pulled.next <= self.at {
                let broker = self.broker.name().to_owned();
                return Err(Stuck::Silent { broker, queue: self.queue, at, end });
            }
            self.at = pulled.next;
        }
        Ok(())
    }
}

impl Waiting {
    fn new(mut marks: Vec<Mark>) -> Waiting {
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.offset));
        Waiting { messages: VecDeque::new(), marks }
    }

    /// The next message, and the groups that go on with it.
    fn take(&mut self) -> Option<(FoundMessage, Vec<Mark>)> {
        let message = self.messages.pop_front()?;
        let first = self.marks.iter().position(|mark| mark.offset <= message.queue_offset).unwrap_or(self.marks.len());
        Some((message, self.marks.split_off(first)))
    }
}

/// All messages of the sources.
pub(super) struct Merge {
    sources: Vec<Source>,
    taken: u64,
    /// Where groups go on among the messages that were taken: where the first of their queues does, so that none is left out.
    positions: BTreeMap<String, u64>,
}

impl Merge {
    pub(super) fn of(sources: Vec<Source>) -> Merge {
        Merge { sources, taken: 0, positions: BTreeMap::new() }
    }

    /// The oldest message that is left.
    pub(super) async fn next(&mut self) -> Result<Option<FoundMessage>, Stuck> {
        for source in &mut self.sources {
            source.fill().await?;
        }
        Ok(self.take())
    }

    fn take(&mut self) -> Option<FoundMessage> {
        let stored = |source: &Source| source.waiting.messages.front().map(|message| message.stored_ms);
        let sources = self.sources.iter_mut().filter(|source| !source.waiting.messages.is_empty());
        let (message, marks) = sources.min_by_key(|source| stored(source))?.waiting.take()?;
        for Mark { group, .. } in marks {
            self.positions.entry(group).or_insert(self.taken);
        }
        self.taken += 1;
        Some(message)
    }

    /// How many messages were taken, and where each group goes on among them.
    pub(super) fn finish(mut self) -> (u64, BTreeMap<String, u64>) {
        for Mark { group, .. } in self.sources.into_iter().flat_map(|source| source.waiting.marks) {
            self.positions.entry(group).or_insert(self.taken);
        }
        (self.taken, self.positions)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(queue_offset: u64, stored_ms: i64) -> FoundMessage {
        FoundMessage {
            queue_offset,
            flag: 0,
            born_ms: 0,
            born_host: "10.0.0.7:4321".parse().unwrap(),
            stored_ms,
            reconsume_times: 0,
            body: Bytes::new(),
            properties: Vec::new(),
        }
    }

    fn source(messages: &[(u64, i64)], marks: &[(&str, u64)]) -> Source {
        let marks = marks.iter().map(|(group, offset)| Mark { group: (*group).to_owned(), offset: *offset });
        let broker = Broker::at("b".to_owned(), "127.0.0.1:1", None);
        let mut source = Source::new(broker, "t", 0, QueueBounds { start: 0, end: 0 }, marks.collect());
        source.waiting.messages.extend(messages.iter().map(|(offset, stored_ms)| message(*offset, *stored_ms)));
        source
    }

    #[test]
    fn the_oldest_comes_first_and_groups_miss_nothing() {
        let mut merge = Merge::of(vec![
            // Offsets have gaps, and need not begin with 0.
            source(&[(5, 10), (7, 30), (8, 50)], &[("begin", 0), ("gap", 6), ("end", 9), ("both", 8)]),
            source(&[(0, 20), (1, 40)], &[("both", 1), ("other", 0)]),
        ]);
        let mut order = Vec::new();
        while let Some(message) = merge.take() {
            order.push(message.stored_ms);
        }
        assert_eq!(order, [10, 20, 30, 40, 50]);
        let (taken, positions) = merge.finish();
        assert_eq!(taken, 5);
        let positions: Vec<(&str, u64)> = positions.iter().map(|(group, at)| (group.as_str(), *at)).collect();
        // In one queue "both" goes on with the message of 40, in the other with that of 50.
        assert_eq!(positions, [("begin", 0), ("both", 3), ("end", 5), ("gap", 2), ("other", 1)]);
    }
}
