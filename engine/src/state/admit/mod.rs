//! Whether a submission may enter the log.

mod callables;
mod changes;
mod consumers;

use changes::Earlier;

use super::{PartitionState, State};
use crate::record::{GroupKey, OffsetsRecord};
use crate::submission::{Precondition, Submission};
use crate::{Appended, Error, Result};

/// The answer to a submission whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    New,
    /// Its stamp was taken before: this is the first answer. The first submission may still be under way, so the repeat is
    /// answered no earlier than a commit that is written after it.
    Duplicate(Vec<Appended>),
}

impl State {
    /// Checks stamp, preconditions and changes against this state, which includes every submission ahead. `generation` gives
    /// a live group's current generation.
    pub(crate) fn admit(
        &self,
        submission: &Submission,
        generation: &dyn Fn(&GroupKey) -> Option<u64>,
    ) -> Result<Admission> {
        if let Some((table, stamp)) = submission.stamp
            && let Some(answer) = self.producers.check(table, stamp)?
        {
            return Ok(Admission::Duplicate(answer));
        }
        for precondition in &submission.preconditions {
            self.check(precondition, generation)?;
        }
        let mut earlier = Earlier::default();
        for change in &submission.changes {
            self.admit_change(change, &mut earlier)?;
        }
        for offsets in &submission.offsets {
            self.admit_offsets(offsets, &earlier)?;
        }
        for written in &submission.state {
            self.admit_state(written)?;
        }
        for part in &submission.rows {
            self.known_partition(part.table, part.partition)?;
        }
        Ok(Admission::New)
    }

    fn admit_offsets(&self, record: &OffsetsRecord, earlier: &Earlier<'_>) -> Result<()> {
        let GroupKey { namespace, group, .. } = &record.group;
        if self.group(namespace, group).is_none() && !earlier.created_groups.contains(&(namespace, group)) {
            return Err(Error::NotFound { what: "consumer group", name: group.as_ref().to_owned() });
        }
        for &(topic, partition, offset) in &record.entries {
            let info = self.topic(topic);
            let info = info.filter(|info| info.namespace.as_str() == namespace.as_ref());
            let info = info.ok_or_else(|| Error::NotFound { what: "topic", name: format!("#{topic}") })?;
            let PartitionState { start, end, .. } = *self.known_partition(info.table, partition)?;
            if offset > end {
                return Err(Error::OffsetOutOfRange { partition, offset, start, end });
            }
        }
        Ok(())
    }

    fn check(&self, precondition: &Precondition, generation: &dyn Fn(&GroupKey) -> Option<u64>) -> Result<()> {
        match precondition {
            Precondition::Generation { group, generation: expected } if generation(group) != Some(*expected) => {
                Err(Error::Fenced(format!("group {:?} has gone on from generation {expected}", group.group)))
            }
            Precondition::Committed { group, topic, partition, offset } => {
                let found = self.committed(group, *topic, *partition);
                if found == *offset {
                    return Ok(());
                }
                let said =
                    |offset: Option<u64>| offset.map_or_else(|| "nothing".to_owned(), |offset| offset.to_string());
                Err(Error::Fenced(format!(
                    "group {:?} has committed {} of partition {partition}, not {}",
                    group.group,
                    said(found),
                    said(*offset)
                )))
            }
            Precondition::ConsumerRuns { consumer, version } => {
                let found = self.catalog.consumer(*consumer);
                match found.filter(|found| found.version == *version && !found.paused) {
                    Some(_) => Ok(()),
                    None => Err(Error::Fenced(format!("consumer #{consumer} was paused, altered or dropped"))),
                }
            }
            Precondition::EndOffset { table, partition, end } => {
                let found = self.partition(*table, *partition).map(|partition| partition.end);
                if found == Some(*end) {
                    return Ok(());
                }
                let found = found.map_or_else(|| "does not exist".to_owned(), |end| format!("ends at {end}"));
                Err(Error::FailedPrecondition(format!("partition {partition} {found}, not at {end}")))
            }
            Precondition::SegmentsUnchanged { table, partition, segments_version } => {
                let found = self.partition(*table, *partition).map(|partition| partition.segments_version);
                if found == Some(*segments_version) {
                    return Ok(());
                }
                Err(Error::Busy(format!("the segments of partition {partition} changed meanwhile")))
            }
            Precondition::SchemaVersion { table, version } => match self.catalog.table(*table) {
                None => Err(Error::NotFound { what: "table", name: format!("#{table}") }),
                Some(info) if *version == 0 || *version > info.schema_version() => {
                    Err(Error::FailedPrecondition(format!("table {:?} has no schema version {version}", info.name)))
                }
                Some(_) => Ok(()),
            },
            Precondition::Generation { .. } => Ok(()),
        }
    }
}
