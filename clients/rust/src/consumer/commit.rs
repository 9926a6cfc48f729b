//! Commits. Each is made under the generation of the newest assignment that this client has seen, and only for partitions that
//! have stayed with it since the rows were given out.

use std::collections::BTreeMap;

use millstream_protocol::ErrorKind;
use tokio::time::Instant;

use super::Consumer;
use super::batch::{Batch, Partition};
use super::stream::TopicStream;
use crate::error::{Error, Result};

impl Consumer {
    /// Commits everything given out so far of the partitions that are still owned, and waits for it.
    pub async fn commit(&mut self) -> Result<()> {
        self.check_joined()?;
        for stream in &self.streams {
            let entries = uncommitted(stream);
            if !entries.is_empty() {
                stream.commit(&entries).await?;
            }
        }
        Ok(())
    }

    /// Commits all up to the end of one batch. `Fenced` if its partition has been another member's since, or the group's
    /// offset was set.
    pub async fn commit_batch(&mut self, batch: &Batch) -> Result<()> {
        let stream = self.stream_of(&batch.topic)?;
        let held = stream.inbox.held(batch.partition);
        if held.is_none_or(|held| batch.generation < held.since) {
            return Err(Error::Server {
                kind: ErrorKind::Fenced,
                message: format!(
                    "partition {} of {:?} has moved since generation {}, in which the rows were delivered",
                    batch.partition, batch.topic, batch.generation
                ),
            });
        }
        stream.commit(&[(batch.partition, batch.next_offset)]).await
    }

    /// Commits these next offsets to read.
    pub async fn commit_offsets(&mut self, offsets: &[(Partition, u64)]) -> Result<()> {
        let mut by_topic: BTreeMap<&str, Vec<(u32, u64)>> = BTreeMap::new();
        for ((topic, partition), next_offset) in offsets {
            by_topic.entry(topic).or_default().push((*partition, *next_offset));
        }
        for (topic, entries) in by_topic {
            self.stream_of(topic)?.commit(&entries).await?;
        }
        Ok(())
    }

    /// The automatic commit, which is not waited for: what it could not commit, the next one does.
    pub(super) fn commit_when_due(&mut self) -> Result<()> {
        if !self.options.enable_auto_commit {
            return Ok(());
        }
        if let Some(error) = self.streams.iter().find_map(|stream| stream.inbox.take_refused()) {
            return Err(error);
        }
        if self.last_commit.elapsed() < self.options.auto_commit_interval {
            return Ok(());
        }
        self.last_commit = Instant::now();
        for stream in self.streams.iter().filter(|stream| !stream.inbox.is_committing()) {
            let entries = uncommitted(stream);
            if !entries.is_empty() {
                // On a broken stream nothing can be committed; the poll that mends it carries on what is uncommitted.
                let _ = stream.commit_soon(&entries);
            }
        }
        Ok(())
    }
}

fn uncommitted(stream: &TopicStream) -> Vec<(u32, u64)> {
    let held = stream.inbox.partitions().into_iter();
    held.filter_map(|(partition, held)| Some((partition, held.uncommitted?))).collect()
}
