//! What users define: tables and topics. Plugins and functions stand in [`crate::contract::plugins`].

use arrow_schema::{DataType, Field, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::model::{
    EarlierVersion, Error, FunctionId, Lsn, MessageKind, PluginId, Principal, Result, TableId, TopicId, message_schema,
};

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// After fdatasync: survives power loss.
    #[default]
    Sync,
    /// After the write into the page cache: survives a crash of the process only.
    Os,
}

/// Choices of a table, as in `CREATE TABLE … WITH (…)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOptions {
    /// The event-time column: a NOT NULL timestamp. Append time serves without one.
    pub time_column: Option<String>,
    /// 1 to 65,536; it only grows.
    pub partitions: u32,
    /// Columns whose hash chooses the partition; empty: round robin by batch.
    pub partition_key: Vec<String>,
    /// By append time; `None` keeps rows for ever.
    pub retention_ms: Option<u64>,
    /// Of segment and log bytes over all partitions; `None` has no bound.
    pub retention_bytes: Option<u64>,
    pub durability: Durability,
    /// Of a message table, whose columns are [`crate::message_schema`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<MessageKind>,
    /// How far its watermark stays behind the newest event time: so much its rows may be out of order.
    #[serde(default)]
    pub watermark_delay_ms: u64,
    /// Event time that lies further ahead of the append time than this does not move the watermark.
    #[serde(default = "max_lead_ms")]
    pub max_lead_ms: u64,
}

fn max_lead_ms() -> u64 {
    5 * 60 * 1000
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions {
            time_column: None,
            partitions: 1,
            partition_key: Vec::new(),
            retention_ms: Some(3 * 24 * 3600 * 1000),
            retention_bytes: None,
            durability: Durability::Sync,
            messages: None,
            watermark_delay_ms: 0,
            max_lead_ms: max_lead_ms(),
        }
    }
}

impl TableOptions {
    /// Whether rows are looked up by a column, beside the partition key: segments say then which values they don't have.
    pub(crate) fn is_looked_up(&self, column: &str) -> bool {
        self.messages.is_some() && matches!(column, "message_id" | "keys")
    }
}

/// A table to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    pub namespace: String,
    pub name: String,
    /// Types outside the closed list of `docs/types.md` are refused or, where they are another encoding of a listed
    /// type, taken as that.
    pub schema: SchemaRef,
    pub options: TableOptions,
}

impl TableSpec {
    /// A message table.
    pub fn of_messages(namespace: &str, name: &str, kind: MessageKind, options: TableOptions) -> TableSpec {
        let options = TableOptions { messages: Some(kind), ..options };
        TableSpec { namespace: namespace.to_owned(), name: name.to_owned(), schema: message_schema(), options }
    }
}

/// A column to add; always nullable, because older rows read as null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSpec {
    pub name: String,
    pub data_type: DataType,
}

impl From<ColumnSpec> for Field {
    fn from(column: ColumnSpec) -> Field {
        Field::new(column.name, column.data_type, true)
    }
}

/// A table as it stood at one catalog version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    pub id: TableId,
    pub namespace: String,
    pub name: String,
    /// Schema version `v` is `schemas[v - 1]`. Fields are only ever added at the end.
    pub schemas: Vec<SchemaRef>,
    pub options: TableOptions,
    /// Who created it, or of a dead-letter table what it belongs to.
    #[serde(default = "Principal::anonymous")]
    pub owner: Principal,
    /// The record that created it.
    pub created: Lsn,
}

impl TableInfo {
    /// The newest schema.
    pub fn schema(&self) -> &SchemaRef {
        self.schemas.last().unwrap_or_else(|| unreachable!("a table has at least one schema"))
    }

    /// The schema of a version that the table has had.
    pub(crate) fn schema_of(&self, version: u32) -> Result<&SchemaRef> {
        let index = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
        index
            .and_then(|index| self.schemas.get(index))
            .ok_or_else(|| Error::Internal(format!("table {:?} has no schema version {version}", self.name)))
    }

    /// The newest schema version; versions count from 1.
    pub fn schema_version(&self) -> u32 {
        u32::try_from(self.schemas.len()).unwrap_or(u32::MAX)
    }
}

/// What a topic does about a row that fails to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Readers get the error at that offset and do not pass it.
    #[default]
    Stop,
    /// The row is left out and counted.
    Skip,
    /// The row is left out, counted, and kept in the topic's dead-letter table with what is known of its failure.
    DeadLetter,
}

/// A topic to create. `definition` is opaque to the engine; the [`crate::contract::TopicCompiler`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    pub namespace: String,
    pub name: String,
    pub table: TableId,
    /// The table's schema version the definition was compiled against.
    pub table_schema_version: u32,
    pub definition: String,
    pub output_schema: SchemaRef,
    /// The plugin versions it calls, those behind `functions` included; they can't be dropped while it stands.
    pub plugins: Vec<PluginId>,
    /// The functions it calls by their own names; nor can they.
    pub functions: Vec<FunctionId>,
    pub on_error: OnError,
}

/// Where a topic's rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicSource {
    /// Every table's own topic: its rows unchanged.
    Identity,
    /// A stored definition, evaluated when read.
    Select {
        definition: String,
        /// The plugin versions that it calls, those behind `functions` included; of each plugin one version.
        plugins: Vec<PluginId>,
        /// The functions that it calls by a name given with `CREATE FUNCTION`.
        #[serde(default)]
        functions: Vec<FunctionId>,
    },
}

/// A topic as it stood at one catalog version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicInfo {
    pub id: TopicId,
    pub namespace: String,
    pub name: String,
    pub table: TableId,
    pub table_schema_version: u32,
    pub source: TopicSource,
    pub output_schema: SchemaRef,
    pub on_error: OnError,
    /// A version of a plugin that it calls, which runs beside the recorded one and is compared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<PluginId>,
    /// Counts from 1; RELOAD raises it.
    pub version: u32,
    /// See [`TopicInfo::base_version`]; `None`: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u32>,
    /// Versions that answer for rows below given offsets, since RELOAD … AT; oldest first, at most
    /// [`crate::model::MAX_TOPIC_VERSIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierVersion>,
    /// Who created it, or of an identity topic the table.
    #[serde(default = "Principal::anonymous")]
    pub owner: Principal,
    pub created: Lsn,
}
