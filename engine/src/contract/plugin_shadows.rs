//! Shadows as they are seen: a version of a plugin that runs beside the one that a topic calls.

use std::sync::Arc;

use crate::contract::PluginInfo;
use crate::model::{Offset, PartitionId, TopicInfo};

/// How a shadow fares.
#[derive(Debug, Clone)]
pub struct PluginShadowStatus {
    pub topic: Arc<TopicInfo>,
    /// The version that runs beside.
    pub shadow: Arc<PluginInfo>,
    /// The version that the topic calls.
    pub version: u32,
    pub figures: ShadowFigures,
    /// Why nothing is compared.
    pub error: Option<String>,
}

/// Rows of a topic's source, since the shadow began to run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShadowFigures {
    pub rows_compared: u64,
    /// Of them, those of which the answers differ.
    pub rows_different: u64,
    /// Of them, those at which the shadow fails.
    pub failures: u64,
    /// Rows that were not compared: the shadow was busy, or could not be called.
    pub rows_skipped: u64,
}

/// A row of which two versions say different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowDifference {
    pub topic: String,
    pub partition: PartitionId,
    pub offset: Offset,
    /// What comes of the row, as text, cut to 1 KiB: columns with their values, `left out`, or the failure.
    pub old: String,
    pub new: String,
}
