//! What the log holds. A record states a decision (assigned, created, committed), never an input, so that applying it is
//! a pure function: [`crate::state::State::apply`] looks at no clock and takes no chance.

use std::sync::Arc;

use arrow_schema::Field;
use serde::{Deserialize, Serialize};

use crate::contract::{CheckbackInfo, FunctionInfo, PluginInfo, PluginSuspension, StateWrite};
use crate::identities::IdentityChange;
use crate::model::{
    Appended, CheckbackId, ConsumerId, ContinuousId, ContinuousInfo, FunctionId, GroupMode, GroupRetryChanges, Lsn,
    NamespaceLimitChanges, NamespaceLimits, Offset, PartitionId, PluginConsumerInfo, PluginId, ProducerStamp, TableId,
    TableInfo, TopicId, TopicInfo,
};
use crate::state::IdentityRecord;
use crate::state::group_key::GroupKey;

/// Where and when a record was committed; read from the commit header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordContext {
    /// The record's first LSN. LSNs count from 1; 0 stands for nothing.
    pub lsn: Lsn,
    /// µs since the Unix epoch, never decreasing along the log.
    pub append_us: i64,
    pub epoch: u64,
}

/// The kinds of records that families bring, each with the byte that names it in the log, for good. 1, 5 and 6 are the log's
/// own: rows, sealed files and the clean end.
macro_rules! each_kind {
    ($given:ident) => {
        $given! {
            Offsets($crate::state::OffsetsRecord) = 2,
            Producer($crate::state::ProducerRecord) = 3,
            Change(Box<$crate::state::Change>) = 4,
            State($crate::state::StateRecord) = 7,
            Due($crate::state::DueRecord) = 8,
            Half($crate::state::HalfRecord) = 9,
            Pop($crate::state::PopRecord) = 10,
            Identity($crate::state::IdentityRecord) = 11,
            Continuous($crate::state::ContinuousRecord) = 12,
            #[cfg(test)]
            Tally($crate::state::tests::tallies::Tally) = 120,
        }
    };
}
pub(super) use each_kind;

macro_rules! records {
    ($($(#[$meta:meta])* $name:ident($body:ty) = $byte:literal,)*) => {
        /// One record, without the rows' bytes.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Record {
            Rows(RowsRecord),
            /// A log file was sealed: its index file is durable. `first` is the file's first LSN.
            Sealed {
                first: Lsn,
            },
            CleanShutdown,
            $($(#[$meta])* $name($body),)*
        }

        $($(#[$meta])* impl From<$body> for Record {
            fn from(body: $body) -> Record {
                Record::$name(body)
            }
        })*
    };
}

each_kind!(records);

impl From<Change> for Record {
    fn from(change: Change) -> Record {
        Record::Change(Box::new(change))
    }
}

impl Record {
    /// How many LSNs it takes.
    pub(crate) fn lsns(&self) -> u64 {
        match self {
            Record::Rows(rows) => u64::from(rows.rows).max(1),
            _ => 1,
        }
    }

    /// The namespace whose limits may be others now.
    pub(crate) fn namespace(&self) -> Option<&str> {
        let Record::Change(change) = self else { return None };
        match change.as_ref() {
            Change::NamespaceCreated { name, .. }
            | Change::NamespaceLimited { name, .. }
            | Change::NamespaceDropped { name } => Some(name),
            _ => None,
        }
    }

    /// What it says of users and roles.
    pub(crate) fn identity(&self) -> Option<&IdentityChange> {
        match self {
            Record::Identity(IdentityRecord(change)) => Some(change),
            _ => None,
        }
    }

    /// The table whose readers should look again.
    pub(crate) fn table(&self) -> Option<TableId> {
        match self {
            Record::Rows(rows) => Some(rows.table),
            Record::Change(change) => change.table(),
            Record::Continuous(record) => Some(record.table()),
            _ => None,
        }
    }
}

/// Rows appended to one partition. Takes `rows` LSNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowsRecord {
    pub table: TableId,
    pub partition: PartitionId,
    pub schema_version: u32,
    pub base_offset: Offset,
    pub rows: u32,
    /// Lowest and highest event time in µs (floored, ceiled, saturating); append time where the table has no time column.
    pub min_event_us: i64,
    pub max_event_us: i64,
    /// Bytes of the frame in the log, header and padding included.
    pub frame_bytes: u32,
}

/// Committed offsets of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OffsetsRecord {
    pub group: GroupKey,
    /// Next offsets to read.
    pub entries: Vec<(TopicId, PartitionId, Offset)>,
}

/// The answer a producer stamp was given, so that a repeat gets the same. Lies in the same commit as its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProducerRecord {
    pub table: TableId,
    pub stamp: ProducerStamp,
    pub appended: Arc<[Appended]>,
}

/// What a consumer has written to its state in one partition. Lies in the same commit as its outputs and its offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    pub consumer: ConsumerId,
    pub partition: PartitionId,
    /// Keys, each once, with their new values; `None` deletes.
    pub writes: Vec<StateWrite>,
}

/// A change of what is defined or derived. Stored as JSON: fields may be added with a default, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    NamespaceCreated {
        name: String,
        #[serde(default, skip_serializing_if = "NamespaceLimits::is_empty")]
        limits: NamespaceLimits,
    },
    /// Limits that are not named stay as they are.
    NamespaceLimited {
        name: String,
        limits: NamespaceLimitChanges,
    },
    NamespaceDropped {
        name: String,
    },
    TableCreated(TableInfo),
    ColumnsAdded {
        table: TableId,
        fields: Vec<Field>,
    },
    PartitionsAdded {
        table: TableId,
        partitions: u32,
    },
    RetentionSet {
        table: TableId,
        retention_ms: Option<u64>,
    },
    TableDropped {
        table: TableId,
    },
    TopicCreated(TopicInfo),
    /// Ends its shadow.
    TopicReplaced(TopicInfo),
    TopicShadowed {
        topic: TopicId,
        /// `None` ends it.
        shadow: Option<PluginId>,
    },
    /// Forgets the topic's committed offsets too.
    TopicDropped {
        topic: TopicId,
    },
    PluginCreated(Box<PluginInfo>),
    /// One version.
    PluginSuspended {
        plugin: PluginId,
        /// `None`: it is called again.
        suspended: Option<PluginSuspension>,
    },
    /// Every version of the name.
    PluginDropped {
        plugin: PluginId,
    },
    FunctionCreated(FunctionInfo),
    FunctionDropped {
        function: FunctionId,
    },
    CheckbackCreated(CheckbackInfo),
    CheckbackDropped {
        checkback: CheckbackId,
        /// Whose half messages it decided on.
        table: TableId,
    },
    PluginConsumerCreated(PluginConsumerInfo),
    PluginConsumerReplaced(PluginConsumerInfo),
    /// Forgets its state too.
    PluginConsumerDropped {
        consumer: ConsumerId,
    },
    /// Its output is the table that the record before creates; a table of late rows comes between them.
    ContinuousCreated(ContinuousInfo),
    ContinuousReplaced(ContinuousInfo),
    /// Forgets its state too.
    ContinuousDropped {
        topic: ContinuousId,
    },
    GroupCreated {
        namespace: String,
        group: String,
        mode: GroupMode,
    },
    /// What is not named stays as it is.
    GroupRetriesSet {
        namespace: String,
        group: String,
        retries: GroupRetryChanges,
    },
    GroupDropped {
        namespace: String,
        group: String,
    },
    /// One step of the manifest: `added` take the place of `removed`, atomically.
    SegmentsChanged {
        table: TableId,
        partition: PartitionId,
        added: Vec<SegmentMeta>,
        removed: Vec<u64>,
    },
    /// A segment file is about to be written. It stays known by its name until it is part of the manifest, or deleted.
    SegmentBegun {
        id: u64,
        path: String,
    },
    /// Files that no manifest named any more are gone.
    SegmentsDeleted {
        ids: Vec<u64>,
    },
    /// Retention: rows below `start` are gone.
    StartMoved {
        table: TableId,
        partition: PartitionId,
        start: Offset,
        /// No retained row that lies in the log only has a lower LSN; 0 where that is not known.
        #[serde(default)]
        lsn: Lsn,
    },
    /// A namespace had more producer streams than it may. Each is a table and a producer's id.
    ProducersForgotten {
        /// Lose their answers, and are known by their epoch only.
        answers: Vec<(TableId, u128)>,
        /// Had lost them before, and are not known any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        whole: Vec<(TableId, u128)>,
    },
    /// The rows at fault of `first..next` of a topic's source have their dead letters, the last of them in this submission.
    RowsLettered {
        topic: TopicId,
        /// Its base version.
        version: u32,
        partition: PartitionId,
        first: Offset,
        next: Offset,
    },
}

impl Change {
    /// The table whose rows or shape it changes, so that whoever reads it looks again.
    pub(crate) fn table(&self) -> Option<TableId> {
        match self {
            Change::ColumnsAdded { table, .. }
            | Change::PartitionsAdded { table, .. }
            | Change::TableDropped { table }
            | Change::StartMoved { table, .. } => Some(*table),
            _ => None,
        }
    }
}

/// An id is the LSN of the record that creates the thing.
pub(crate) fn assign_id(change: &mut Change, lsn: Lsn) {
    match change {
        Change::TableCreated(table) => (table.id, table.created) = (TableId(lsn.0), lsn),
        Change::TopicCreated(topic) => (topic.id, topic.created) = (TopicId(lsn.0), lsn),
        Change::PluginCreated(plugin) => (plugin.id, plugin.created) = (PluginId(lsn.0), lsn),
        Change::FunctionCreated(function) => (function.id, function.created) = (FunctionId(lsn.0), lsn),
        Change::CheckbackCreated(checkback) => (checkback.id, checkback.created) = (CheckbackId(lsn.0), lsn),
        Change::PluginConsumerCreated(consumer) => (consumer.id, consumer.created) = (ConsumerId(lsn.0), lsn),
        Change::ContinuousCreated(info) => {
            (info.id, info.created) = (ContinuousId(lsn.0), lsn);
            let before = |records: u64| TableId(lsn.0.saturating_sub(records));
            (info.output, info.late) = match info.late {
                None => (before(1), None),
                Some(_) => (before(2), Some(before(1))),
            };
        }
        _ => {}
    }
}

/// A segment as the manifest records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentMeta {
    /// Never reused: the LSN the log had reached when the file was begun, and a counter, make the file's name.
    pub id: u64,
    pub first_offset: Offset,
    pub next_offset: Offset,
    pub schema_version: u32,
    pub bytes: u64,
    /// Bytes the rows took in the log.
    pub log_bytes: u64,
    /// One past the LSN of its last row.
    pub next_lsn: Lsn,
    pub path: String,
    pub min_event_us: i64,
    pub max_event_us: i64,
    pub min_append_us: i64,
    pub max_append_us: i64,
    /// Where page index and footer begin. The footer holds checksums of what lies before.
    pub body_bytes: u64,
    /// CRC32C of what lies from `body_bytes` on.
    pub tail_crc32c: u32,
    /// The LSN of its first row. 0 where the file says nothing of LSNs: releases before wrote such.
    #[serde(default)]
    pub first_lsn: Lsn,
}

impl SegmentMeta {
    /// Whether the LSN of every row is in the file.
    pub(crate) fn has_lsns(&self) -> bool {
        self.first_lsn > Lsn(0)
    }
}
