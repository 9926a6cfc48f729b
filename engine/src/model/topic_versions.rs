//! Topics whose plugins changed versions at an offset: which rows are whose.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Offset, PartitionId, PluginId, TopicInfo, TopicSource};

/// Changes at offsets that a topic remembers, at most. Those whose rows are retained no more are forgotten.
pub const MAX_TOPIC_VERSIONS: usize = 32;

/// A version of a topic that still answers for the rows below an offset of each partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierVersion {
    pub version: u32,
    /// The plugin versions that it calls; all else is as in the topic's newest version.
    pub plugins: Vec<PluginId>,
    /// By partition; a partition without one, as it was added later, has no rows of this version. Never below those of
    /// the version before.
    pub until: BTreeMap<PartitionId, Offset>,
}

/// Where the next version of a topic begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionStart {
    /// At the end of each partition: rows that are there keep the version that they were read with.
    Latest,
    /// At an offset of each partition, none of which may have rows from it on yet.
    Offset(Offset),
}

/// A version of a topic, and the rows of one partition that it answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    pub version: u32,
    pub offsets: Range<Offset>,
}

impl TopicInfo {
    /// The version since which the topic has had its columns and its definition: what RELOAD without an offset raises.
    pub fn base_version(&self) -> u32 {
        self.base.unwrap_or(self.version)
    }

    /// The version that answers for a row.
    pub fn version_at(&self, partition: PartitionId, offset: Offset) -> VersionRange {
        let mut ranges = self.versions_of(partition);
        let newest = VersionRange { version: self.version, offsets: offset..Offset::MAX };
        ranges.find(|range| range.offsets.contains(&offset)).unwrap_or(newest)
    }

    /// The versions that answer for the rows of a partition, oldest first, without a gap; those without rows are left out.
    pub fn versions_of(&self, partition: PartitionId) -> impl Iterator<Item = VersionRange> {
        let earlier =
            self.earlier.iter().filter_map(move |earlier| Some((earlier.version, *earlier.until.get(&partition)?)));
        let mut from = 0;
        let ranges = earlier.chain([(self.version, Offset::MAX)]).map(move |(version, until)| {
            let offsets = from..until.max(from);
            from = offsets.end;
            VersionRange { version, offsets }
        });
        ranges.filter(|range| !range.offsets.is_empty())
    }

    /// The plugin versions that one of its versions calls.
    pub fn plugins_of(&self, version: u32) -> &[PluginId] {
        let earlier = self.earlier.iter().find(|earlier| earlier.version == version);
        match (&self.source, earlier) {
            (_, Some(earlier)) => &earlier.plugins,
            (TopicSource::Select { plugins, .. }, None) => plugins,
            (TopicSource::Identity, None) => &[],
        }
    }

    /// Every plugin version that it calls, for whatever rows; some more than once.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = PluginId> {
        let earlier = self.earlier.iter().flat_map(|earlier| &earlier.plugins);
        self.plugins_of(self.version).iter().chain(earlier).copied()
    }

    /// The topic as it is for the rows of one of its versions.
    pub fn as_of(self: &Arc<Self>, version: u32) -> Arc<TopicInfo> {
        if version == self.version {
            return self.clone();
        }
        let mut topic = TopicInfo::clone(self);
        topic.base = Some(self.base_version());
        topic.version = version;
        topic.shadow = None;
        if let TopicSource::Select { plugins, .. } = &mut topic.source {
            *plugins = self.plugins_of(version).to_vec();
        }
        topic.earlier.retain(|earlier| earlier.version < version);
        Arc::new(topic)
    }
}
