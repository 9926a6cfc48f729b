//! The Millstream engine: one durable commit log, and everything derived from it.
//!
//! The engine owns tables, topics, consumer groups, delivery and segments. It is a synchronous core: it listens on
//! nothing, knows no SQL text and no Wasm. What it needs from those rooms it asks for through the traits in
//! [`operator`]: a SQL topic and a Wasm filter reach it as the same kind of object.
//!
//! Start at [`Engine`]; the log's byte formats are in `docs/log-format.md`.

mod access;
mod batch_consumer;
mod catalog;
mod checkback;
mod clock;
mod consumer;
mod cursor;
mod dead_letters;
pub mod disk;
mod engine;
mod error;
mod evaluation;
mod events;
mod forgotten_streams;
mod groups;
mod guarded;
mod ids;
mod info;
mod keyed_state;
mod log;
mod log_time;
mod lookups;
mod maintenance;
mod modules;
mod namespaces;
mod offset_set;
mod operator;
mod options;
mod plugin_calls;
mod plugin_consumers;
mod plugin_requests;
mod plugin_shadows;
mod plugins;
mod producer;
mod record;
mod retention;
mod row_offsets;
mod runners;
mod scan;
mod segments;
mod shared;
mod state;
mod submission;
mod suspensions;
mod threads;
mod topic_versions;
mod types;
mod watchers;
mod write;

pub use batch_consumer::{BatchConsumer, BatchPosition, Consumed, ConsumerOutput, Verdict};
pub use catalog::{
    ColumnSpec, Durability, OnError, TableInfo, TableOptions, TableSpec, TopicInfo, TopicSource, TopicSpec,
};
pub use checkback::{CheckFault, CheckVerdict, CheckbackHandler, Checked, check};
pub use clock::{BootTime, Clock, ManualClock, SystemClock};
pub use consumer::{
    Assignment, AutoOffsetReset, ConsumerConfig, Delivery, EncodedBatch, GroupInfo, GroupMode, Member, MemberInfo,
    NamedPoll, OffsetReset, PartitionOffsets, PollWait, SeekTo,
};
pub use engine::Engine;
pub use error::{Error, ErrorKind, Result};
pub use evaluation::current_evaluation;
pub use ids::{ConsumerId, FunctionId, Lsn, Offset, PartitionId, PluginId, TableId, TopicId};
pub use info::{EngineEvent, EngineStats, RowPlace, SegmentInfo};
pub use keyed_state::{
    KeyedState, MAX_STATE_KEY_BYTES, MAX_STATE_VALUE_BYTES, MAX_STATE_WRITE_BYTES, MAX_STATE_WRITES, StateEntries,
    StateLimit, StateSource, StateWrite,
};
pub use log::{Ticket, Tickets};
pub use lookups::{FoundRows, LookupUnavailable, MAX_LOOKUP_KEYS, MemoryTables, TableLookup, TableUse};
pub use modules::MAX_MODULE_BYTES;
pub use namespaces::{
    MIN_CPU_MILLI, NamespaceLimit, NamespaceLimitChanges, NamespaceLimits, NamespaceUsage, cpu_milli,
};
pub use operator::{
    BatchOperator, BatchTransform, ChunkStatistics, ColumnStatistics, Evaluated, FailureKind, FunctionSignature,
    InputColumn, LoadedPlugin, OperatorError, PluginHost, PluginVersion, RowMap, ScalarFunction, TopicCompiler,
    TopicPlugins, Volatility,
};
pub use options::{EngineOptions, Principal, SegmentStore};
pub use plugin_calls::{
    CallFigures, CallTimes, CallUse, EvaluationPlace, PluginCalls, PluginLogLine, PluginSuspension, PluginUse,
};
pub use plugin_consumers::{
    ConsumerReload, MAX_CONSUMER_RETRIES, PluginConsumerFigures, PluginConsumerInfo, PluginConsumerSettings,
    PluginConsumerSpec, PluginConsumerStatus, UpcomingVersion,
};
pub use plugin_requests::{PluginRequests, RequestFailure};
pub use plugin_shadows::{PluginShadowStatus, ShadowDifference, ShadowFigures};
pub use plugins::{
    Capability, FunctionInfo, FunctionSpec, PluginDescription, PluginInfo, PluginKind, PluginLimits, PluginSettings,
    PluginSpec,
};
pub use producer::{Append, Appended, PartitionChoice, PendingReceipt, ProducerStamp, Receipt};
pub use row_offsets::RowOffsets;
pub use runners::{ConsumerTrial, TrialFault, TrialOutcome};
pub use scan::{OffsetRange, Scan, ScanRequest, ScannedBatch};
pub use threads::{ThreadPanic, panic_text, repeat_after_panics};
pub use topic_versions::{EarlierVersion, MAX_TOPIC_VERSIONS, VersionRange, VersionStart};
pub use types::{Misfit, convert as convert_column, stored_type};
