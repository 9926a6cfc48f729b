//! Consumer groups: membership, assignment, positions, commits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::record::{GroupKey, Record, RecordContext};
use crate::shared::Shared;
use crate::*;

/// Live groups, their members and assignments.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {}

/// Gauges and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupFigures {
    /// With members.
    pub groups: u64,
    pub members: u64,
}

#[allow(unused_variables, reason = "signatures first: bodies land with their modules")]
impl Coordinator {
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<()> {
        Ok(())
    }
    pub(crate) fn stop(&self) {}
    pub(crate) fn generation(&self, key: &GroupKey) -> Option<u64> {
        None
    }
    pub(crate) fn applied(&self, records: &[(RecordContext, Record)], tables: &BTreeSet<TableId>) {}
    pub(crate) fn member_on(&self, topic: TopicId) -> Option<String> {
        None
    }
    pub(crate) fn figures(&self) -> GroupFigures {
        GroupFigures { groups: 0, members: 0 }
    }
}

/// A live member of a group. Dropping it leaves the group.
#[derive(Debug)]
pub struct Member {}

#[allow(unused_variables, clippy::unimplemented, reason = "signatures first: bodies land with their modules")]
impl Member {
    pub fn id(&self) -> &str {
        unimplemented!()
    }
    /// The generation of the current assignment.
    pub fn generation(&self) -> u64 {
        unimplemented!()
    }
    pub fn assignment(&self) -> Vec<Assignment> {
        unimplemented!()
    }
    /// The topics subscribed to.
    pub fn topics(&self) -> Vec<std::sync::Arc<TopicInfo>> {
        unimplemented!()
    }
    /// Keeps the session alive; says whether the assignment has changed since [`Self::generation`] was last read.
    /// `Fenced` once the session has timed out or the group was dropped.
    pub fn heartbeat(&self) -> Result<bool> {
        unimplemented!()
    }
    /// Gives rows of the assigned partitions and moves positions past them; waits up to `wait` for the first. At most
    /// `max_bytes` (but at least one row). Does the automatic commit of the rows handed out before, when it is due.
    pub fn poll(&self, max_bytes: usize, wait: Duration) -> Result<Vec<Delivery>> {
        unimplemented!()
    }
    /// As [`Self::poll`], of one topic, without waiting. `Ok(None)` when nothing is ready.
    pub fn fetch(&self, topic: TopicId, max_bytes: usize) -> Result<Option<Delivery>> {
        unimplemented!()
    }
    /// Restarts the max-poll interval: the application has asked for rows. [`Self::poll`] does it itself; [`Self::fetch`],
    /// which a front door calls ahead of the application, does not.
    pub fn polled(&self) -> Result<()> {
        unimplemented!()
    }
    /// Completes when a fetch may find something new: rows, an assignment, a seek.
    pub fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        unimplemented!()
    }
    /// Commits next-to-read offsets. Refused (`Fenced`) if the generation has moved on or a partition is not assigned.
    pub fn commit(&self, offsets: &[(Assignment, Offset)]) -> Result<PendingReceipt> {
        unimplemented!()
    }
    /// Commits every position.
    pub fn commit_positions(&self) -> Result<PendingReceipt> {
        unimplemented!()
    }
    /// Moves the position only.
    pub fn seek(&self, partition: Assignment, to: SeekTo) -> Result<Offset> {
        unimplemented!()
    }
    pub fn pause(&self, partitions: &[Assignment]) -> Result<()> {
        unimplemented!()
    }
    pub fn resume(&self, partitions: &[Assignment]) -> Result<()> {
        unimplemented!()
    }
    /// Start, end, committed and position of every assigned partition.
    pub fn offsets(&self) -> Result<Vec<PartitionOffsets>> {
        unimplemented!()
    }
    /// Leaves; with automatic commit, commits positions first.
    pub fn leave(self) -> Result<()> {
        unimplemented!()
    }
}
