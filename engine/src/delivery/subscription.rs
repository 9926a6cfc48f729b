//! One topic of a member, as front doors hand it on. What a door keeps beside it is its protocol's own: how much the client may be
//! sent, and in which form.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::fetch::TakenUnder;
use super::member::Member;
use crate::model::{
    Assignment, Delivery, Error, Offset, PartitionId, PartitionOffsets, Result, SeekTo, TopicId, TopicInfo,
};

/// What [`Subscription::next`] gives. A client is told of it in this order.
#[derive(Debug)]
pub enum Handed {
    /// The assignment is another one from here on. The partitions are those of the topic.
    Assigned { generation: u64, partitions: Vec<PartitionOffsets> },
    /// Rows of a partition that is assigned, or a stretch in which none passed the filter.
    Rows { generation: u64, delivery: Box<Delivery> },
    /// A partition can't be read on. It is paused until it is sought or resumed.
    Failed { partition: PartitionId, offset: Offset, error: Error },
    /// The topic's rows have other columns from here on than [`Subscription::topic`] says: another subscription goes on.
    OtherColumns,
    /// Nothing is ready until [`Subscription::changed`], or until rows are due that are there already.
    Idle { due_in: Option<Duration> },
}

/// Gives a member's rows of one topic in their order, with what happens to its partitions between them.
#[derive(Debug)]
pub struct Subscription {
    member: Arc<Member>,
    topic: Arc<TopicInfo>,
    changes: watch::Receiver<u64>,
    /// The generation whose assignment was last given.
    told: Option<u64>,
    /// Partitions that were given as failed, and neither sought nor resumed since.
    failed: BTreeSet<PartitionId>,
    /// Comes after the assignment that was given last.
    found: Option<Result<Delivery>>,
}

impl Member {
    /// The topic as it now stands, from the member's positions on. One subscription of a topic at a time: two would each give
    /// some of the rows.
    pub fn subscription(self: &Arc<Self>, topic: TopicId) -> Result<Subscription> {
        let (topic, changes) = (self.renew_topic(topic)?, self.changed());
        Ok(Subscription { member: self.clone(), topic, changes, told: None, failed: BTreeSet::new(), found: None })
    }
}

impl Subscription {
    /// The topic with the columns that rows have.
    pub fn topic(&self) -> &Arc<TopicInfo> {
        &self.topic
    }

    /// What is next; rows of `max_bytes` at most, but one row at least, and none where that is 0. Blocks on disks and plugins, not
    /// until rows come. An error that is not one partition's ends the subscription.
    pub fn next(&mut self, max_bytes: usize) -> Result<Handed> {
        if let Some(found) = self.found.take() {
            return self.hand(found.map(Some));
        }
        // What changes from here on wakes whoever is told that nothing is ready.
        self.changes.borrow_and_update();
        let (found, under) = match max_bytes {
            0 => (Ok(None), None),
            _ => self
                .member
                .fetch_and_take_up(self.topic.id, max_bytes)
                .map_or_else(|error| (Err(error), None), |(found, under)| (Ok(found), under)),
        };
        // Taken up with the fetch or after it: rows of a partition must not come before it.
        let TakenUnder { generation, version } = under.unwrap_or_else(|| self.member.take_up(self.topic.id));
        // One that was dropped has no rows any more, whatever its columns.
        if version.is_some_and(|version| version != self.topic.base_version()) {
            self.put_back(found.ok().flatten())?;
            return Ok(Handed::OtherColumns);
        }
        if self.told == Some(generation) {
            return self.hand(found);
        }
        let mut partitions = self.offsets()?;
        if let Ok(Some(delivery)) = &found {
            let moved = partitions.iter_mut().filter(|offsets| offsets.partition == delivery.partition);
            moved.for_each(|offsets| offsets.position = Some(delivery.first_offset));
        }
        let stays = |partition: &PartitionId| {
            let since = partitions.iter().find(|offsets| offsets.partition == *partition);
            since.is_some_and(|offsets| offsets.since_generation <= self.told)
        };
        self.failed.retain(stays);
        self.told = Some(generation);
        // That nothing was found is soon no longer true.
        self.found = found.transpose();
        Ok(Handed::Assigned { generation, partitions })
    }

    /// Completes when [`Self::next`] may find what it did not find before. An end of the member is found so too.
    pub async fn changed(&mut self) {
        // An error means that the engine is closed, which the next call says.
        let _ = self.changes.changed().await;
    }

    /// Whether another assignment waits to be given.
    pub fn is_reassigned(&self) -> bool {
        self.told != Some(self.member.generation())
    }

    /// Moves the position, and gives it; a partition that had failed goes on.
    pub fn seek(&mut self, partition: PartitionId, to: SeekTo) -> Result<Offset> {
        let at = self.at(partition);
        let offset = self.member.seek(at, to)?;
        if self.failed.contains(&partition) {
            self.member.resume(&[at])?;
            self.failed.remove(&partition);
        }
        Ok(offset)
    }

    /// Pauses partitions, or lets them go on. Those that are not assigned are passed over: their holder learns of that by the
    /// assignment.
    pub fn set_paused(&mut self, partitions: &[PartitionId], paused: bool) {
        // Either way it has been decided: a seek no longer does.
        self.failed.retain(|partition| !partitions.contains(partition));
        for at in self.member.assignment() {
            if at.topic == self.topic.id && partitions.contains(&at.partition) {
                let set = if paused { self.member.pause(&[at]) } else { self.member.resume(&[at]) };
                // One that was taken away meanwhile is passed over too; if the member has gone, the next call says so.
                drop(set);
            }
        }
    }

    /// Start, end, committed and position of the topic's partitions that are assigned.
    pub fn offsets(&self) -> Result<Vec<PartitionOffsets>> {
        let mut offsets = self.member.offsets()?;
        offsets.retain(|offsets| offsets.topic == self.topic.name);
        Ok(offsets)
    }

    fn hand(&mut self, found: Result<Option<Delivery>>) -> Result<Handed> {
        match found {
            Ok(Some(delivery)) if self.has_columns(&delivery) => {
                Ok(Handed::Rows { generation: self.told.unwrap_or(0), delivery: Box::new(delivery) })
            }
            Ok(Some(delivery)) => {
                self.put_back(Some(delivery))?;
                Ok(Handed::OtherColumns)
            }
            Ok(None) => Ok(Handed::Idle { due_in: self.member.due_in() }),
            // One partition's alone.
            Err(
                error @ (Error::Evaluation { partition, offset, .. }
                | Error::OffsetOutOfRange { partition, offset, .. }),
            ) => {
                // A partition that was taken away meanwhile needs no pause; if the member has gone, the next call says so.
                let _ = self.member.pause(&[self.at(partition)]);
                self.failed.insert(partition);
                Ok(Handed::Failed { partition, offset, error })
            }
            Err(error) => Err(error),
        }
    }

    fn has_columns(&self, delivery: &Delivery) -> bool {
        let (rows, told) = (delivery.batch.schema_ref(), &self.topic.output_schema);
        Arc::ptr_eq(rows, told) || rows.fields() == told.fields()
    }

    /// For the subscription that goes on.
    fn put_back(&self, delivery: Option<Delivery>) -> Result<()> {
        let Some(delivery) = delivery else { return Ok(()) };
        self.member.seek(self.at(delivery.partition), SeekTo::Offset(delivery.first_offset)).map(drop)
    }

    fn at(&self, partition: PartitionId) -> Assignment {
        Assignment { topic: self.topic.id, partition }
    }
}
