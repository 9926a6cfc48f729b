//! What consumers read by its name: a message table, a table of other rows, or a topic over either. Its queues are the partitions of
//! the table that it is over, and its offsets are that table's.

use std::sync::Arc;

use millstream_engine::{Assignment, Error, Offset, RowPlace, TableInfo, TopicInfo};

use super::answer::Refusal;
use super::names::ScopedName;
use super::tables::{Tables, check_queue, missing};

#[derive(Debug, Clone)]
pub(super) struct Readable {
    /// Of a table its own one.
    pub(super) topic: Arc<TopicInfo>,
    /// The table that it is over.
    pub(super) source: Arc<TableInfo>,
}

/// A queue's first offset, and the one behind its last.
pub(super) type Bounds = (Offset, Offset);

impl Readable {
    /// Whether it is a message table, whose rows are messages as they are.
    pub(super) fn is_message_table(&self) -> bool {
        self.is_table() && self.source.options.messages.is_some()
    }

    /// Whether it is a table's own topic.
    fn is_table(&self) -> bool {
        self.topic.id.0 == self.source.id.0
    }

    /// The message table that it is. Anything else is refused.
    pub(super) fn messages(&self) -> Result<&Arc<TableInfo>, Refusal> {
        if self.is_message_table() {
            return Ok(&self.source);
        }
        let what = match self.is_table() {
            true => "a table without messages".to_owned(),
            false => format!("a SQL topic over the table {:?}", self.source.name),
        };
        Err(Refusal::illegal(format!(
            "{:?} in namespace {:?} is {what}: consumers pull its rows; sends, pop, look-ups and changes by RocketMQ's clients \
             are for message tables (CREATE TABLE … OF MESSAGES)",
            self.topic.name, self.topic.namespace
        )))
    }

    pub(super) fn queues(&self) -> u32 {
        self.source.options.partitions
    }

    pub(super) fn name(&self) -> ScopedName {
        ScopedName { namespace: self.topic.namespace.clone(), name: self.topic.name.clone() }
    }

    /// Checks a queue's number.
    pub(super) fn check_queue(&self, queue: u32) -> Result<u32, Refusal> {
        check_queue(&self.topic.name, self.queues(), queue)
    }

    pub(super) fn queue(&self, queue: u32) -> Assignment {
        Assignment { topic: self.topic.id, partition: queue }
    }

    /// Of each queue.
    pub(super) fn bounds(&self, tables: &Tables) -> Result<Vec<Bounds>, Error> {
        tables.engine.topic_offsets(&tables.who, self.topic.id)
    }

    /// `None` of a queue that is not there.
    pub(super) fn bounds_of(&self, tables: &Tables, queue: u32) -> Result<Option<Bounds>, Error> {
        let all = self.bounds(tables)?;
        Ok(usize::try_from(queue).ok().and_then(|queue| all.get(queue)).copied())
    }
}

impl Tables {
    /// What a consumer reads by this name, if it is there.
    pub(super) fn readable(&self, name: &ScopedName) -> Result<Option<Readable>, Refusal> {
        let found = self.engine.topic(&self.who, &name.namespace, &name.name).and_then(|topic| {
            let source = self.engine.topic_source(&self.who, topic.id)?;
            Ok(Readable { topic, source })
        });
        match found {
            Err(Error::NotFound { .. }) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// The same; `TOPIC_NOT_EXIST` if it is not there.
    pub(super) fn existing_readable(&self, name: &ScopedName) -> Result<Readable, Refusal> {
        self.readable(name)?.ok_or_else(|| missing(name))
    }

    /// Where the row of a physical offset lies, and what it is read as: as `named`, if that is over its table, or else as a message of
    /// that table. `None` where it is no message, or is not there.
    pub(super) fn at_physical(
        &self,
        physical: u64,
        named: Option<&ScopedName>,
    ) -> Result<Option<(Readable, RowPlace)>, Refusal> {
        let lsn = millstream_engine::Lsn(physical);
        let found = |place| match place {
            Err(Error::NotFound { .. }) => Ok(None),
            place => place.map(Some),
        };
        if let Some(named) = named.map(|named| self.readable(named)).transpose()?.flatten()
            && let Some(place) = found(self.engine.topic_row_at(&self.who, named.topic.id, lsn))?
        {
            return Ok(Some((named, place)));
        }
        let Some(place) = found(self.engine.row_at(&self.who, lsn))? else { return Ok(None) };
        let table = self.engine.table_by_id(&self.who, place.table)?;
        let name = ScopedName { namespace: table.namespace.clone(), name: table.name.clone() };
        let own = self.readable(&name)?.filter(|own| own.is_message_table() && own.source.id == place.table);
        Ok(own.map(|own| (own, place)))
    }
}
