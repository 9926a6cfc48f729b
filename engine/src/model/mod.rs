//! What everything is: ids, definitions, options of tables and groups, errors, and what callers are given.

mod backup;
mod consumer;
mod continuous;
mod dead_letters;
mod definitions;
mod error;
mod failure;
mod ids;
mod info;
mod message_keys;
mod messages;
mod namespaces;
mod offset_set;
mod plugin_consumers;
mod pop;
mod principal;
mod producer;
mod quotas;
mod retries;
mod row_offsets;
mod topic_versions;
pub(crate) mod types;

pub use backup::BackupInfo;
pub use consumer::{
    Assignment, AutoOffsetReset, ConsumerConfig, Delivery, EncodedBatch, GroupInfo, GroupMode, MemberInfo, OffsetReset,
    PartitionOffsets, SeekTo,
};
pub use continuous::{
    ContinuousId, ContinuousInfo, ContinuousSettings, ContinuousSpec, ContinuousStart, ContinuousStatus, LatePolicy,
    WatermarkInfo,
};
pub(crate) use dead_letters::{
    Letter, Origin, consumer_letters_info, letter_rows, letters_info, letters_table, missing_columns, owner_of_table,
};
pub use definitions::{
    ColumnSpec, Durability, OnError, TableInfo, TableOptions, TableSpec, TopicInfo, TopicSource, TopicSpec,
};
pub use error::{Error, ErrorKind, Result};
pub use failure::{FailureKind, OperatorError, PluginVersion};
pub use ids::{
    CheckbackId, ConsumerId, FunctionId, Lsn, Offset, PartitionId, PluginId, TableId, TopicId, TransactionId,
};
pub use info::{EngineEvent, EngineStats, RowPlace, SegmentInfo};
pub(crate) use message_keys::each_message_key;
pub use message_keys::{FoundMessage, MessageKey};
pub use messages::{DelayedMessage, HalfMessage, MAX_DELAY_US, MessageKind, TransactionCheck, message_schema};
pub(crate) use messages::{check_message_table, message_columns, message_key, producer_group};
pub use namespaces::SYSTEM_NAMESPACE;
pub(crate) use namespaces::{AUDIT_TABLE, DEFAULT_PRODUCER_STREAMS};
pub use namespaces::{
    MIN_CPU_MILLI, NamespaceLimit, NamespaceLimitChanges, NamespaceLimits, NamespaceUsage, cpu_milli,
};
pub(crate) use offset_set::OffsetSet;
pub use plugin_consumers::{
    ConsumerReload, MAX_CONSUMER_RETRIES, PluginConsumerFigures, PluginConsumerInfo, PluginConsumerSettings,
    PluginConsumerSpec, PluginConsumerStatus, UpcomingVersion,
};
pub use pop::{
    Chosen, InFlight, MAX_INVISIBLE, MAX_POPPED, MIN_INVISIBLE, PopAcked, PopChoice, PopReceipt, PopRequest, PopStart,
    Popped,
};
pub use principal::{CallerAddress, Principal};
pub(crate) use principal::{Login, LoginBy};
pub use producer::{Append, Appended, PartitionChoice, PendingReceipt, ProducerStamp, Receipt};
pub use quotas::{QuotaInfo, QuotaOwner};
pub use retries::{GroupRetries, GroupRetryChanges, MAX_GROUP_ATTEMPTS};
pub use row_offsets::RowOffsets;
pub use topic_versions::{EarlierVersion, MAX_TOPIC_VERSIONS, VersionRange, VersionStart};
