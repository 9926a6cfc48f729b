//! The Millstream engine: one durable commit log, and everything derived from it.
//!
//! The engine owns tables, topics, consumer groups, delivery and segments. It is a synchronous core: it listens on
//! nothing, knows no SQL text and no Wasm. What it needs from those rooms it asks for through traits, [`TopicCompiler`] and
//! [`PluginHost`] first of all: a SQL topic and a Wasm filter reach it as the same kind of object, a [`BatchOperator`].
//!
//! Start at [`Engine`]; the log's byte formats are in `docs/log-format.md`.

mod access;
mod audit;
mod backup;
mod checkbacks;
mod chunks;
mod continuous;
mod contract;
mod credentials;
mod cursor;
mod delivery;
mod due;
mod evaluation;
mod front;
mod identities;
mod log;
mod lookups;
mod maintenance;
mod messages;
mod model;
mod platform;
mod plugins;
mod pop;
mod quotas;
mod runners;
mod segments;
mod state;
mod write;

pub use backup::restore;
pub use chunks::PlainColumns;
pub use contract::{
    BatchConsumer, BatchOperator, BatchPosition, BatchTransform, CallFigures, CallTimes, CallUse, Capability,
    CheckFault, CheckVerdict, CheckbackFigures, CheckbackHandler, CheckbackInfo, CheckbackOrder, CheckbackSettings,
    CheckbackSpec, CheckbackStatus, Checked, ChunkStatistics, Closed, ColumnStatistics, ColumnValues, Consumed,
    ConsumerOutput, ContinuousPlan, ContinuousRun, ContinuousSource, Evaluated, EvaluationPlace, FunctionInfo,
    FunctionSignature, FunctionSpec, InputColumn, Judged, KeyedState, LoadedPlugin, MAX_STATE_KEY_BYTES,
    MAX_STATE_VALUE_BYTES, MAX_STATE_WRITE_BYTES, MAX_STATE_WRITES, OpenWindows, PluginCalls, PluginDescription,
    PluginHost, PluginInfo, PluginKind, PluginLimits, PluginLogLine, PluginRequests, PluginSettings,
    PluginShadowStatus, PluginSpec, PluginSuspension, PluginUse, Pushed, RequestFailure, RowMap, ScalarFunction,
    ShadowDifference, ShadowFigures, StateEntries, StateKey, StateLimit, StateSource, StateWrite, TopicCompiler,
    TopicPlugins, Verdict, Volatility, check, current_evaluation,
};
pub use credentials::{Credentials, SignatureAlgorithm, is_token};
pub use cursor::{OffsetRange, Scan, ScanRequest, ScannedBatch};
pub use delivery::{Handed, Member, NamedPoll, PollWait, Subscription};
pub use front::{Engine, GrantAnswer, UserChanges, UserSpec};
pub use identities::{
    AccessKeyInfo, GrantInfo, PasswordHash, Right, Rights, RoleInfo, Scope, ScopeKind, TokenInfo, UserInfo, UserOptions,
};
pub use log::{Ticket, Tickets};
pub use lookups::{FoundRows, LookupUnavailable, MAX_LOOKUP_KEYS, MemoryTables, TableLookup, TableUse};
pub use messages::{
    LiveSubscription, MessageClient, MessageClientRole, MessageNote, MessageStep, MessageSubscription, sent_again,
};
pub use model::{
    Append, Appended, Assignment, AutoOffsetReset, BackupInfo, CallerAddress, CheckbackId, Chosen, ColumnSpec,
    ConsumerConfig, ConsumerId, ConsumerReload, ContinuousId, ContinuousInfo, ContinuousSettings, ContinuousSpec,
    ContinuousStart, ContinuousStatus, DelayedMessage, Delivery, Durability, EarlierVersion, EncodedBatch, EngineEvent,
    EngineStats, Error, ErrorKind, FailureKind, FoundMessage, FunctionId, GroupInfo, GroupMode, GroupRetries,
    GroupRetryChanges, HalfMessage, InFlight, LatePolicy, Lsn, MAX_CONSUMER_RETRIES, MAX_DELAY_US, MAX_GROUP_ATTEMPTS,
    MAX_INVISIBLE, MAX_POPPED, MAX_TOPIC_VERSIONS, MIN_CPU_MILLI, MIN_INVISIBLE, MemberInfo, MessageKey, MessageKind,
    NamespaceLimit, NamespaceLimitChanges, NamespaceLimits, NamespaceUsage, Offset, OffsetReset, OnError,
    OperatorError, PartitionChoice, PartitionId, PartitionOffsets, PendingReceipt, PluginConsumerFigures,
    PluginConsumerInfo, PluginConsumerSettings, PluginConsumerSpec, PluginConsumerStatus, PluginId, PluginVersion,
    PopAcked, PopChoice, PopReceipt, PopRequest, PopStart, Popped, Principal, ProducerStamp, QuotaInfo, QuotaOwner,
    Receipt, Result, RowOffsets, RowPlace, SYSTEM_NAMESPACE, SeekTo, SegmentInfo, TableId, TableInfo, TableOptions,
    TableSpec, TopicId, TopicInfo, TopicSource, TopicSpec, TransactionCheck, TransactionId, UpcomingVersion,
    VersionRange, VersionStart, WatermarkInfo, cpu_milli, message_schema, types::Misfit,
    types::convert as convert_column, types::stored_type,
};
pub use platform::disk;
pub use platform::{
    AuditOptions, BootTime, Clock, EngineOptions, ManualClock, SegmentStore, SystemClock, ThreadPanic,
    TransactionChecks, panic_text, repeat_after_panics,
};
pub use plugins::MAX_MODULE_BYTES;
pub use pop::{HandedMessages, PendingAck, PendingPop, PopOutcome};
pub use quotas::ConnectionPlaces;
pub use runners::{ConsumerTrial, TrialFault, TrialOutcome};
