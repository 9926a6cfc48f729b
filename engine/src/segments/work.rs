//! What has to be cut or merged, and who does it.

use std::collections::BTreeMap;

use super::handle::Segments;
use super::{cut, merge};
use crate::model::{Error, Lsn, Offset, PartitionId, Result, TableId};

/// Partitions over the log's budget that are cut before the log is looked at again.
const PINNING_AT_ONCE: usize = 64;

/// How often a segment is begun again when the manifest changed under it.
const ATTEMPTS: usize = 5;

/// One partition to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    pub table: TableId,
    pub partition: PartitionId,
    pub task: Task,
}

/// What is to be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Segments of `segment_bytes` while there is enough for one.
    CutFull,
    /// Everything below the offset.
    CutTo(Offset),
    Merge,
}

impl Job {
    /// Does the job on this thread, waiting for others that work on the partition. `stop` is asked between segments.
    pub(crate) fn run(&self, segments: &Segments, stop: &dyn Fn() -> bool) -> Result<()> {
        let _claim = segments.claims.wait_for((self.table, self.partition));
        let mut attempts = ATTEMPTS;
        while !stop() {
            match self.step(segments) {
                Ok(true) => attempts = ATTEMPTS,
                Ok(false) => break,
                // Retention came between; what is left is looked at afresh.
                Err(Error::Busy(_)) if attempts > 1 => attempts -= 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One segment's worth; `false` when nothing is left to do.
    fn step(&self, segments: &Segments) -> Result<bool> {
        match self.task {
            Task::CutFull if self.backlog_bytes(segments) < segments.ledger.options.segment_bytes => Ok(false),
            Task::CutFull => cut::cut_one(segments, self.table, self.partition, Offset::MAX),
            Task::CutTo(end) => cut::cut_one(segments, self.table, self.partition, end),
            Task::Merge => merge::merge_one(segments, self.table, self.partition),
        }
    }

    /// As [`Self::run`], where a change by retention or by a drop meanwhile is no failure.
    pub(crate) fn run_in_background(&self, segments: &Segments, stop: &dyn Fn() -> bool) -> Result<()> {
        match self.run(segments, stop) {
            Err(Error::Busy(_) | Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    fn backlog_bytes(&self, segments: &Segments) -> u64 {
        segments.ledger.state.read().partition(self.table, self.partition).map_or(0, |partition| partition.log_bytes)
    }
}

/// Jobs that are due: partitions with enough bytes, with rows that are old enough, and, while the log holds more than
/// `log_bytes_over` too much, those that pin its oldest file.
pub(crate) fn due(segments: &Segments, log_bytes_over: u64) -> Vec<Job> {
    let options = &segments.ledger.options;
    let age_us = i64::try_from(options.segment_age_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let old_before_us = segments.ledger.log.time().before_age_us(age_us);
    let state = segments.ledger.state.read();
    let mut jobs = Vec::new();
    let mut pinning: BTreeMap<Lsn, Job> = BTreeMap::new();
    for info in state.catalog().tables() {
        for (partition, found) in (0..).zip(state.catalog().partitions(info.id).unwrap_or_default()) {
            let job = |task| Job { table: info.id, partition, task };
            let old = found.oldest_unsegmented_append_us.is_some_and(|oldest| oldest <= old_before_us);
            if old {
                jobs.push(job(Task::CutTo(found.end)));
            } else if found.log_bytes >= options.segment_bytes {
                jobs.push(job(Task::CutFull));
            } else if let Some(lsn) = found.oldest_unsegmented_lsn.filter(|_| log_bytes_over > 0) {
                pinning.insert(lsn, job(Task::CutTo(found.end)));
            }
            let metas: Vec<_> = found.segments.values().collect();
            if merge::choose(&metas, options.segment_bytes).is_some() {
                jobs.push(job(Task::Merge));
            }
        }
    }
    // LSNs count rows and not bytes, so how far to go is found by doing: the oldest few, and then looking again.
    jobs.extend(pinning.into_values().take(PINNING_AT_ONCE));
    jobs
}
