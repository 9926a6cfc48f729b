//! Message tables: tables whose columns are those of a message.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::model::{Error, PartitionId, Result, TableId, TransactionId};

/// Which messages a table takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// All of them.
    #[default]
    Any,
    /// Neither ordered nor delayed.
    Normal,
    /// With a message group, or appended to a partition that the producer names: both keep their order.
    Ordered,
    /// With a time of delivery.
    Delayed,
    /// Half messages alone: visible once their transaction is committed.
    Transactional,
}

impl MessageKind {
    const ALL: [MessageKind; 5] =
        [MessageKind::Any, MessageKind::Normal, MessageKind::Ordered, MessageKind::Delayed, MessageKind::Transactional];

    /// As in `CREATE TABLE … OF MESSAGES WITH (kind = …)`.
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::Any => "any",
            MessageKind::Normal => "normal",
            MessageKind::Ordered => "ordered",
            MessageKind::Delayed => "delayed",
            MessageKind::Transactional => "transactional",
        }
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<MessageKind> {
        MessageKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What producer groups are in whose name says nothing else.
const DEFAULT_NAMESPACE: &str = "public";

/// The longest delay of a message: 40 days.
pub const MAX_DELAY_US: i64 = 40 * 24 * 3_600 * 1_000_000;

/// Columns of message tables, in order.
pub(crate) mod message_columns {
    pub(crate) const MESSAGE_ID: usize = 0;
    pub(crate) const KEYS: usize = 2;
    pub(crate) const MESSAGE_GROUP: usize = 5;
    pub(crate) const BORN_TS: usize = 6;
    pub(crate) const FLAGS: usize = 8;
    pub(crate) const ATTEMPTS: usize = 9;
    pub(crate) const DELIVER_TS: usize = 10;
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let pair = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    let properties = DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair.into()), false)), false);
    Arc::new(Schema::new(vec![
        Field::new("message_id", DataType::Utf8, true),
        Field::new("tag", DataType::Utf8, true),
        Field::new("keys", texts, true),
        Field::new("properties", properties, true),
        Field::new("body", DataType::Binary, false),
        Field::new("message_group", DataType::Utf8, true),
        Field::new("born_ts", time(), true),
        Field::new("born_host", DataType::Utf8, true),
        Field::new("flags", DataType::Int32, true),
        Field::new("attempts", DataType::Int32, true),
        Field::new("deliver_ts", time(), true),
    ]))
});

/// The columns of every message table; `docs/messages.md` says what each holds. Of what an append leaves out, `message_id`
/// (32 hex digits, at random), `born_ts` (now), `flags` and `attempts` (0) are filled in.
pub fn message_schema() -> SchemaRef {
    SCHEMA.clone()
}

/// The one column whose hash chooses a message's partition; messages without a group go round robin.
pub(crate) fn message_key() -> String {
    "message_group".to_owned()
}

/// A message that waits for its time of delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedMessage {
    pub table: TableId,
    /// Where it will be appended.
    pub partition: PartitionId,
    pub message_id: String,
    pub tag: Option<String>,
    /// µs since the Unix epoch.
    pub deliver_us: i64,
    pub born_us: i64,
    /// Of its body.
    pub body_bytes: usize,
}

/// A message whose transaction has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfMessage {
    pub table: TableId,
    pub id: TransactionId,
    /// Where it will be appended.
    pub partition: PartitionId,
    pub message_id: String,
    pub tag: Option<String>,
    /// Producers of this group are asked what became of it: `group`, or `namespace%group` outside of the namespace `public`.
    pub group: String,
    /// µs since the Unix epoch.
    pub begun_us: i64,
    /// How often it was asked about.
    pub checks: u32,
    /// When it is asked about next; `None`: it was asked about as often as is set, and waits for somebody's decision.
    pub check_us: Option<i64>,
}

/// A half message that is asked about now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionCheck {
    pub table: TableId,
    pub id: TransactionId,
}

/// Namespace and name of the group that a half message names.
pub(crate) fn producer_group(text: &str) -> (&str, &str) {
    match text.split_once('%') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => (namespace, name),
        _ => (DEFAULT_NAMESPACE, text),
    }
}

/// Refuses what a message table can't be.
pub(crate) fn check_message_table(kind: Option<MessageKind>, schema: &Schema, key: &[String]) -> Result<()> {
    if kind.is_none() {
        return Ok(());
    }
    let wrong = |why: &str| Err(Error::InvalidInput(format!("a message table {why}")));
    if schema.fields() != SCHEMA.fields() {
        return wrong("has the columns of messages and no others");
    }
    match key {
        [] => Ok(()),
        [column] if *column == message_key() => Ok(()),
        _ => wrong("is partitioned by message_group"),
    }
}
