//! Whether a submission may enter the log.

use super::State;
use super::earlier::Earlier;
use crate::model::{Appended, Error, NamespaceLimit, Result, TableId};
use crate::state::Change;
use crate::state::{Precondition, Submission};

/// The answer to a submission whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    New,
    /// Its stamp was taken before: this is the first answer. The first submission may still be under way, so the repeat is
    /// answered no earlier than a commit that is written after it.
    Duplicate(Vec<Appended>),
}

impl State {
    /// Checks stamp, preconditions and changes against this state, which includes every submission ahead.
    pub(crate) fn admit(&self, submission: &Submission) -> Result<Admission> {
        if let Some((table, stamp)) = submission.stamp
            && let Some(answer) =
                self.families.producers.check(&self.catalog.known_table(table)?.namespace, table, stamp)?
        {
            return Ok(Admission::Duplicate(answer));
        }
        for precondition in &submission.preconditions {
            self.check(precondition)?;
        }
        let mut earlier = Earlier::default();
        for record in &submission.records {
            record.kind()?.admit(self, &mut earlier)?;
        }
        for part in &submission.rows {
            self.catalog.known_partition(part.table, part.partition)?;
        }
        Ok(Admission::New)
    }

    /// Refuses a producer's first batch where its namespace has no room for another stream. `default` is the limit of
    /// namespaces that have none of their own.
    pub(crate) fn admit_stream(&self, table: TableId, producer: u128, default: u64, now_us: i64) -> Result<()> {
        let namespace = &self.catalog.known_table(table)?.namespace;
        self.families.producers.room(namespace, (table, producer), self.stream_limit(namespace, default), now_us)
    }

    /// What the namespace of a table has to forget of producers, if it is over its limit.
    pub(crate) fn excess_streams(&self, table: TableId, default: u64, now_us: i64) -> Result<Option<Change>> {
        let Some(info) = self.table(table) else { return Ok(None) };
        let limit = self.stream_limit(&info.namespace, default);
        let (answers, whole) = self.families.producers.excess(&info.namespace, limit, now_us)?;
        Ok((!answers.is_empty()).then_some(Change::ProducersForgotten { answers, whole }))
    }

    fn stream_limit(&self, namespace: &str, default: u64) -> u64 {
        self.catalog.limit_of_namespace(namespace, NamespaceLimit::ProducerStreams).unwrap_or(default)
    }

    fn check(&self, precondition: &Precondition) -> Result<()> {
        match precondition {
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
                    None => Err(Error::Fenced("the consumer was paused, altered or dropped".to_owned())),
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
                None => Err(Error::gone("table")),
                Some(info) if *version == 0 || *version > info.schema_version() => {
                    Err(Error::FailedPrecondition(format!("table {:?} has no schema version {version}", info.name)))
                }
                Some(_) => Ok(()),
            },
        }
    }
}
