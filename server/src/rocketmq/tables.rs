//! Topics as message tables. They are made on first use where the settings allow it.

use std::sync::Arc;

use millstream_engine::{
    Engine, Error, MessageKind, NamespaceLimitChanges, Principal, TableInfo, TableOptions, TableSpec, TopicId,
};

use super::answer::Refusal;
use super::names::ScopedName;
use super::wire::codes;
use crate::config::RocketmqSettings;

/// The way to tables of one client.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub(super) engine: Engine,
    pub(super) who: Principal,
    pub(super) settings: RocketmqSettings,
}

impl Tables {
    /// The message table of this name, if it is there: what messages are sent to, popped from and looked up in. What is only read by
    /// its name ([`Self::readable`]) is refused.
    pub(super) fn find(&self, topic: &ScopedName) -> Result<Option<Arc<TableInfo>>, Refusal> {
        match self.engine.table(&self.who, &topic.namespace, &topic.name) {
            Ok(table) if table.options.messages.is_some() => Ok(Some(table)),
            Err(error) if !matches!(error, Error::NotFound { .. }) => Err(error.into()),
            _ => self.readable(topic)?.map(|readable| readable.messages().cloned()).transpose(),
        }
    }

    /// The same; `TOPIC_NOT_EXIST` if it is not there.
    pub(super) fn existing(&self, topic: &ScopedName) -> Result<Arc<TableInfo>, Refusal> {
        self.find(topic)?.ok_or_else(|| missing(topic))
    }

    /// The same, made if it is not there: with as many queues as the settings say, and no more than `at_most`. Waits for the log then.
    ///
    /// A producer shares its messages out among some queues before it knows the topic's; if they were more by and by, those of one key
    /// would change their queue, and lose their order.
    pub(super) fn made(&self, topic: &ScopedName, at_most: u32) -> Result<Arc<TableInfo>, Refusal> {
        if let Some(table) = self.find(topic)? {
            return Ok(table);
        }
        topic.check_topic()?;
        if !self.settings.create_topics {
            return Err(Refusal::new(
                codes::TOPIC_NOT_EXIST,
                format!(
                    "topic {:?} does not exist, and topics are not made on first use (message_auto_create)",
                    topic.wire()
                ),
            ));
        }
        self.create(topic, MessageKind::Any, self.settings.partitions.min(at_most.max(1)))
    }

    /// Makes a topic, and its namespace if that is not there. Waits for the log.
    pub(super) fn create(
        &self,
        topic: &ScopedName,
        kind: MessageKind,
        partitions: u32,
    ) -> Result<Arc<TableInfo>, Refusal> {
        let options = TableOptions { partitions, ..TableOptions::default() };
        let spec = TableSpec::of_messages(&topic.namespace, &topic.name, kind, options);
        let made = match self.engine.create_table(&self.who, spec.clone()) {
            Err(Error::NotFound { .. }) => {
                match self.engine.create_namespace(&self.who, &topic.namespace, &NamespaceLimitChanges::default()) {
                    Ok(()) | Err(Error::AlreadyExists { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                self.engine.create_table(&self.who, spec)
            }
            made => made,
        };
        match made {
            Ok(table) => Ok(table),
            // Somebody was faster.
            Err(Error::AlreadyExists { .. }) => self.existing(topic),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks a queue's number.
    pub(super) fn check_queue(table: &TableInfo, queue: u32) -> Result<u32, Refusal> {
        check_queue(&table.name, table.options.partitions, queue)
    }
}

pub(super) fn check_queue(topic: &str, queues: u32, queue: u32) -> Result<u32, Refusal> {
    if queue < queues {
        return Ok(queue);
    }
    Err(Refusal::new(
        codes::INVALID_PARAMETER,
        format!("topic {topic:?} has {queues} queues, 0 to {}; there is no queue {queue}", queues.saturating_sub(1)),
    ))
}

pub(super) fn missing(topic: &ScopedName) -> Refusal {
    Refusal::new(codes::TOPIC_NOT_EXIST, format!("topic {:?} does not exist", topic.wire()))
}

/// The topic of a table itself.
pub(super) fn topic_of(table: &TableInfo) -> TopicId {
    TopicId(table.id.0)
}
