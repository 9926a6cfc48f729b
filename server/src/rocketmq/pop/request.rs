//! What a pop asks for.

use std::time::Duration;

use millstream_engine::{MAX_POPPED, PopStart};

use crate::rocketmq::answer::Refusal;
use crate::rocketmq::fields::Fields;
use crate::rocketmq::filter::FilterKind;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::wire::command::Command;

/// How long a client waits for messages at most.
pub(in crate::rocketmq) const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Clients begin at the end of queues that they do not know.
const BEGIN_AT_END: i32 = 1;
/// A queue that has all messages that it ever had, and none older than this, is a new one.
const NEW_QUEUE_US: i64 = 3_600 * 1_000_000;

#[derive(Debug, Clone)]
pub(in crate::rocketmq) struct PopHeader {
    pub(in crate::rocketmq) group: ScopedName,
    pub(in crate::rocketmq) topic: ScopedName,
    /// As the client names it.
    pub(in crate::rocketmq) wire_topic: String,
    /// `None`: all of them.
    pub(in crate::rocketmq) queue: Option<u32>,
    pub(in crate::rocketmq) messages: usize,
    pub(in crate::rocketmq) invisible: Duration,
    pub(in crate::rocketmq) wait: Option<Duration>,
    pub(in crate::rocketmq) in_order: bool,
    pub(in crate::rocketmq) begins_at_end: bool,
    pub(in crate::rocketmq) kind: FilterKind,
    pub(in crate::rocketmq) expression: String,
}

impl PopHeader {
    pub(in crate::rocketmq) fn read(command: &Command) -> Result<PopHeader, Refusal> {
        let fields = Fields::of(command);
        let wire_topic = fields.text("topic")?.to_owned();
        let group = ScopedName::read(fields.text("consumerGroup")?, fields);
        let topic = ScopedName::read(&wire_topic, fields);
        same_namespace(&group, &topic)?;
        let messages: usize = fields.number("maxMsgNums")?;
        if messages == 0 || messages > MAX_POPPED {
            return Err(Refusal::illegal(format!("a pop is of 1 to {MAX_POPPED} messages, not {messages}")));
        }
        Ok(PopHeader {
            group,
            topic,
            queue: any_queue(fields)?,
            messages,
            invisible: Duration::from_millis(fields.number("invisibleTime")?),
            wait: wait(fields)?,
            in_order: fields.is_set("order")?,
            begins_at_end: fields.or("initMode", BEGIN_AT_END)? == BEGIN_AT_END,
            kind: FilterKind::read(fields.get("expType"))?,
            expression: fields.get("exp").unwrap_or("*").to_owned(),
            wire_topic,
        })
    }

    pub(super) fn start(&self, now_us: i64) -> PopStart {
        match self.begins_at_end {
            true => PopStart::Latest { unless_new_since_us: now_us.saturating_sub(NEW_QUEUE_US) },
            false => PopStart::Earliest,
        }
    }
}

/// -1 stands for all of them.
pub(super) fn any_queue(fields: Fields<'_>) -> Result<Option<u32>, Refusal> {
    let queue: i32 = fields.number("queueId")?;
    if queue == -1 {
        return Ok(None);
    }
    u32::try_from(queue).map(Some).map_err(|_| Refusal::illegal(format!("there is no queue {queue}")))
}

/// `None`: not at all.
pub(super) fn wait(fields: Fields<'_>) -> Result<Option<Duration>, Refusal> {
    let wait: i64 = fields.or("pollTime", 0)?;
    let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LONGEST_WAIT);
    Ok((!wait.is_zero()).then_some(wait))
}

pub(super) fn same_namespace(group: &ScopedName, topic: &ScopedName) -> Result<(), Refusal> {
    if group.namespace == topic.namespace {
        return Ok(());
    }
    Err(Refusal::illegal(format!(
        "group {:?} and topic {:?} are in different namespaces: {:?} and {:?}",
        group.name, topic.name, group.namespace, topic.namespace
    )))
}
