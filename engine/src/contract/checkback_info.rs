//! Checkbacks: whom half messages of a table are asked about, what the plugin is given of them, and how that fares.

use std::sync::Arc;

use arrow_cast::can_cast_types;
use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::contract::{PluginDescription, PluginKind};
use crate::model::{CheckbackId, Lsn, Principal, TableId, message_schema};

/// Who is asked about a half message first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckbackOrder {
    /// A producer of its group, if one is alive; the plugin where none is, and where the first question has not settled it.
    #[default]
    ProducerFirst,
    /// The plugin; a producer where it does not know.
    PluginFirst,
    /// The plugin alone.
    PluginOnly,
}

impl CheckbackOrder {
    const ALL: [CheckbackOrder; 3] =
        [CheckbackOrder::ProducerFirst, CheckbackOrder::PluginFirst, CheckbackOrder::PluginOnly];

    /// As in `CREATE CHECKBACK … WITH (order = …)`.
    pub fn name(self) -> &'static str {
        match self {
            CheckbackOrder::ProducerFirst => "producer_first",
            CheckbackOrder::PluginFirst => "plugin_first",
            CheckbackOrder::PluginOnly => "plugin_only",
        }
    }

    /// The order of a name.
    pub fn named(name: &str) -> Option<CheckbackOrder> {
        CheckbackOrder::ALL.into_iter().find(|order| order.name() == name)
    }
}

/// What an operator decides about a checkback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckbackSettings {
    pub order: CheckbackOrder,
    /// So long after it was sent a half message is asked about, unless its producer has said otherwise.
    pub after_ms: u64,
    pub every_ms: u64,
    /// After so many times nobody is asked any more, and it waits for somebody's decision.
    pub limit: u32,
}

impl Default for CheckbackSettings {
    fn default() -> Self {
        CheckbackSettings { order: CheckbackOrder::default(), after_ms: 6_000, every_ms: 30_000, limit: 15 }
    }
}

/// A checkback to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckbackSpec {
    pub namespace: String,
    pub name: String,
    /// A message table of the namespace that takes half messages.
    pub table: String,
    /// The name of a checkback handler of the namespace.
    pub plugin: String,
    pub settings: CheckbackSettings,
}

/// A checkback as the catalog has it. It asks the plugin's newest version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckbackInfo {
    pub id: CheckbackId,
    pub namespace: String,
    pub name: String,
    pub table: TableId,
    pub plugin: String,
    pub settings: CheckbackSettings,
    /// Who created it: it commits and asks as this one.
    #[serde(default = "Principal::anonymous")]
    pub owner: Principal,
    pub created: Lsn,
}

impl CheckbackInfo {
    /// Why a plugin that says this of itself can't be asked; `None` if it can.
    pub fn misfit(&self, plugin: &PluginDescription) -> Option<String> {
        if plugin.kind != PluginKind::Checkback {
            return Some(format!("it is a {}, not a checkback handler", plugin.kind.name()));
        }
        plugin.parameters.iter().find_map(|(name, wanted)| match half_column(name) {
            None => Some(format!("it reads {name:?}, which half messages don't have")),
            Some(found) if can_cast_types(&found, wanted) => None,
            Some(found) => Some(format!("it reads {name:?} as {wanted}, which is {found}")),
        })
    }
}

/// The properties that a handler may read one by one: `property.amount`.
pub(crate) const PROPERTY: &str = "property.";
/// How often a half message was asked about before.
pub(crate) const CHECKS: &str = "_checks";
pub(crate) const PRODUCER_GROUP: &str = "_producer_group";
pub(crate) const BEGUN_TS: &str = "_begun_ts";

/// The type that a column of half messages has before it is cast to what a handler declares. Lists and maps become text.
pub(crate) fn half_column(name: &str) -> Option<DataType> {
    match name {
        CHECKS => Some(DataType::Int32),
        PRODUCER_GROUP => Some(DataType::Utf8),
        BEGUN_TS => Some(DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))),
        _ if name.starts_with(PROPERTY) => Some(DataType::Utf8),
        _ => match message_schema().field_with_name(name).ok()?.data_type() {
            DataType::List(_) | DataType::Map(_, _) => Some(DataType::Utf8),
            flat => Some(flat.clone()),
        },
    }
}

/// What a checkback has come to since the store was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckbackFigures {
    /// Half messages that the plugin was asked about, and what it said.
    pub asked: u64,
    pub committed: u64,
    pub rolled_back: u64,
    /// Failures included.
    pub unknown: u64,
    /// Half messages at which the plugin failed, which count as unknown.
    pub failed: u64,
    /// Handed to a producer.
    pub asked_producers: u64,
    pub parked: u64,
    /// What the plugin has failed with last, or why it could not be asked.
    pub error: Option<String>,
}

/// A checkback, and how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckbackStatus {
    pub info: Arc<CheckbackInfo>,
    /// The table's name.
    pub table: String,
    /// The version that is asked now.
    pub plugin_version: u32,
    pub figures: CheckbackFigures,
}
