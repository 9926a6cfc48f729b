//! Consumer groups as callers see them. Semantics are Kafka's: server-side offsets and assignment, generations that
//! fence old members, at-least-once delivery.

use std::time::Duration;

use arrow_array::RecordBatch;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{GroupRetries, Offset, PartitionId, RowOffsets, TopicId};

/// Where a group starts without a committed offset, or with one that retention has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoOffsetReset {
    Earliest,
    #[default]
    Latest,
    /// Refuse to start.
    None,
}

/// How a group's members share a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupMode {
    /// Each partition goes to one member.
    #[default]
    Shared,
    /// Every member reads every partition; positions belong to the client id.
    Broadcast,
}

/// The parameters of a consumer, with the defaults and ranges of `docs/delivery.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    pub namespace: String,
    /// 1 to 192 bytes; required.
    pub group_id: String,
    /// At most 255 bytes.
    pub client_id: String,
    pub auto_offset_reset: AutoOffsetReset,
    pub enable_auto_commit: bool,
    pub auto_commit_interval: Duration,
    /// 6,000 to 1,800,000 ms.
    pub session_timeout: Duration,
    /// At least 1,000 ms.
    pub max_poll_interval: Duration,
    pub min_poll_rows: usize,
    pub max_poll_rows: usize,
    pub mode: GroupMode,
    /// Deliver at the pace at which rows were appended.
    pub replay: bool,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        ConsumerConfig {
            namespace: "public".to_owned(),
            group_id: String::new(),
            client_id: String::new(),
            auto_offset_reset: AutoOffsetReset::Latest,
            enable_auto_commit: true,
            auto_commit_interval: Duration::from_millis(5_000),
            session_timeout: Duration::from_millis(12_000),
            max_poll_interval: Duration::from_millis(300_000),
            min_poll_rows: 1,
            max_poll_rows: 65_536,
            mode: GroupMode::Shared,
            replay: false,
        }
    }
}

/// One partition of one topic, as assigned to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment {
    pub topic: TopicId,
    pub partition: PartitionId,
}

/// Where one assigned partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOffsets {
    pub topic: String,
    pub partition: PartitionId,
    pub start: Offset,
    pub end: Offset,
    pub committed: Option<Offset>,
    /// The next offset to hand out; `None` where no live member owns the partition.
    pub position: Option<Offset>,
    /// The generation from which on that member has held it, without a reset of the group's offset between.
    pub since_generation: Option<u64>,
}

/// Where to move a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTo {
    Offset(Offset),
    Start,
    End,
    /// The first row appended at or after this wall time in µs.
    AppendTime(i64),
}

/// What `ALTER CONSUMER GROUP … SET OFFSET` moves, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetReset {
    pub to: SeekTo,
    /// `None`: every topic the group has offsets for.
    pub topic: Option<String>,
    pub partition: Option<PartitionId>,
}

/// A record-batch message as it lies in the log: ready to be sent on, never decoded.
#[derive(Debug, Clone)]
pub struct EncodedBatch {
    /// The flatbuffer `Message` (a Flight `data_header`).
    pub header: Bytes,
    /// The Arrow body (a Flight `data_body`).
    pub body: Bytes,
}

/// Rows handed to a member.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub topic: TopicId,
    pub partition: PartitionId,
    pub first_offset: Offset,
    /// The position after this delivery: what to commit once it is processed.
    pub next_offset: Offset,
    /// The topic's rows; may be empty when all were filtered out and only the position moves.
    pub batch: RecordBatch,
    pub offsets: RowOffsets,
    /// Present when the topic is raw and the delivery is one whole frame of the log.
    pub encoded: Option<EncodedBatch>,
}

/// A group, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    pub namespace: String,
    pub group_id: String,
    pub mode: GroupMode,
    /// `empty`, `rebalancing` or `stable`.
    pub state: &'static str,
    pub generation: u64,
    pub members: Vec<MemberInfo>,
    pub retries: GroupRetries,
}

/// A live member, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    pub member_id: String,
    pub client_id: String,
    pub principal: String,
    /// Names of the topics it subscribed to.
    pub topics: Vec<String>,
    /// (topic name, partition), in order.
    pub assignment: Vec<(String, PartitionId)>,
    pub session_timeout: Duration,
    pub joined_us: i64,
}
