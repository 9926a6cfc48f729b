//! What comes of a batch, as one submission.

use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;

use super::handle::Runners;
use crate::access::Action;
use crate::contract::{StateEntries, StateSource, StateWrite};
use crate::model::{
    Append, Durability, Error, Offset, PartitionChoice, PartitionId, PluginConsumerInfo, Result, TableId, TopicInfo,
};
use crate::model::{Letter, Origin, letter_rows};
use crate::state::KeptReader;
use crate::state::{CommittedOffset, ConsumerRuns, SchemaVersion, Submission};
use crate::state::{GroupKey, OffsetsRecord, StateRecord};

/// A step of a partition from what its group has committed.
#[derive(Debug, Clone)]
pub(super) struct Advance {
    pub partition: PartitionId,
    /// What the group has committed; `None` before its first commit here.
    pub expected: Option<Offset>,
    pub next: Offset,
    /// Rows by output, of the version that runs there.
    pub outputs: Vec<(usize, RecordBatch)>,
    /// Where they go.
    pub tables: Vec<TableId>,
    pub writes: Vec<StateWrite>,
    /// Rows that are given up: they go to the consumer's dead-letter table.
    pub letters: Vec<Letter>,
}

pub(super) fn group_of(info: &PluginConsumerInfo) -> GroupKey {
    GroupKey { namespace: info.namespace.as_str().into(), group: info.group.as_str().into(), client: None }
}

/// Makes it durable, all or nothing; gives the number of rows appended to outputs. A row at fault that is as large as a
/// commit leaves a letter without it. `Fenced`: somebody else has moved the offset, or the consumer is not to run any more.
pub(super) fn commit(
    runners: &Runners,
    info: &PluginConsumerInfo,
    topic: &TopicInfo,
    advance: Advance,
) -> Result<usize> {
    let single = advance.letters.len() == 1 && advance.outputs.is_empty();
    let bare = single.then(|| advance.letters.iter().map(Letter::bare).collect::<Vec<_>>());
    match (submit(runners, info, topic, advance.clone()), bare) {
        (Err(Error::TooLarge { .. }), Some(letters)) => submit(runners, info, topic, Advance { letters, ..advance }),
        (submitted, _) => submitted,
    }
}

fn submit(runners: &Runners, info: &PluginConsumerInfo, topic: &TopicInfo, advance: Advance) -> Result<usize> {
    let Advance { partition, expected, next, outputs, tables, writes, letters } = advance;
    let group = group_of(info);
    let entries = vec![(info.topic, partition, next)];
    let mut submission = Submission {
        durability: Durability::Sync,
        preconditions: vec![
            ConsumerRuns { consumer: info.id, version: info.version }.into(),
            CommittedOffset { group: group.clone(), topic: info.topic, partition, offset: expected }.into(),
        ],
        ..Submission::of([OffsetsRecord { group, entries }])
    };
    if !writes.is_empty() {
        submission.records.push(StateRecord { consumer: info.id, partition, writes }.into());
    }
    let (mut spare, mut appended) = (runners.ledger.options.max_commit_bytes, 0);
    for (output, batch) in outputs {
        let unknown =
            || Error::InvalidInput(format!("the plugin gave rows for output {output}, which it does not have"));
        let table = runners.ledger.table(*tables.get(output).ok_or_else(unknown)?)?;
        runners.ledger.access.check_owner(&info.owner, Action::Produce, &table.as_ref().into())?;
        appended += batch.num_rows();
        let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch };
        let parts = runners.appender.prepare(&table, &append, &mut spare);
        submission.rows.extend(parts.map_err(|error| match error {
            Error::InvalidInput(why) => Error::InvalidInput(format!("rows for table {:?}: {why}", table.name)),
            other => other,
        })?);
        let version = table.schema_version();
        submission.preconditions.push(SchemaVersion { table: table.id, version }.into());
    }
    if !letters.is_empty() {
        let table = runners.ledger.state.read().catalog().letters_of_consumer(info).cloned();
        let table = table.ok_or_else(|| Error::Fenced("the consumer has no dead-letter table".to_owned()))?;
        let batch = letter_rows(&letters, Origin { topic, partition, consumed: true }, table.schema())?;
        let append = Append { table: table.id, partition: PartitionChoice::Named(0), batch };
        submission.rows.extend(runners.appender.prepare(&table, &append, &mut spare)?);
    }
    runners.ledger.stored.fetch(&submission);
    runners.ledger.log.submit(submission)?.wait()?;
    Ok(appended)
}

/// The durable state of one partition of a consumer. Nobody else writes it, and the runner waits for its own commits.
#[derive(Debug)]
pub(super) struct Durable {
    kept: KeptReader,
    unreadable: Unreadable,
}

/// Why state could not be read in a call, if it could not: then nothing comes of the call.
#[derive(Debug, Clone, Default)]
pub(super) struct Unreadable(Arc<Mutex<Option<Error>>>);

impl Unreadable {
    pub(super) fn check(&self) -> Result<()> {
        self.0.lock().take().map_or(Ok(()), Err)
    }

    fn note<T: Default>(&self, read: Result<T>) -> T {
        read.unwrap_or_else(|error| {
            self.0.lock().get_or_insert(error);
            T::default()
        })
    }
}

impl Durable {
    pub(super) fn new(kept: KeptReader) -> (Durable, Unreadable) {
        let unreadable = Unreadable::default();
        (Durable { kept, unreadable: unreadable.clone() }, unreadable)
    }
}

impl StateSource for Durable {
    fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        self.unreadable.note(self.kept.get(key))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> StateEntries {
        self.unreadable.note(self.kept.scan(prefix, after, limit))
    }
}
