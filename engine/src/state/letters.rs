//! Which rows of a topic's source have been examined for dead letters, so that none is written twice.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::offset_set::OffsetSet;
use crate::{Offset, PartitionId, TopicId};

/// The offsets of one partition whose rows at fault have their letters, since one base version of the topic: what is
/// reloaded as a whole may fail at other rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Examined {
    pub version: u32,
    pub offsets: OffsetSet,
}

/// All topics that have dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Letters {
    examined: BTreeMap<(TopicId, PartitionId), Examined>,
}

impl Letters {
    pub(super) fn get(&self, topic: TopicId, partition: PartitionId) -> Option<&Examined> {
        self.examined.get(&(topic, partition))
    }

    /// `start` is the partition's oldest offset: what lies below can't be read any more.
    pub(super) fn add(
        &mut self,
        topic: TopicId,
        version: u32,
        partition: PartitionId,
        offsets: Range<Offset>,
        start: Offset,
    ) {
        let examined = self.examined.entry((topic, partition)).or_default();
        if examined.version != version {
            *examined = Examined { version, offsets: OffsetSet::default() };
        }
        examined.offsets.insert(offsets);
        examined.offsets.trim(start);
    }

    pub(super) fn restore(&mut self, topic: TopicId, partition: PartitionId, examined: Examined) {
        self.examined.insert((topic, partition), examined);
    }

    /// Gives the partitions that there was something of.
    pub(super) fn forget_topic(&mut self, topic: TopicId) -> Vec<PartitionId> {
        let range = (topic, PartitionId::MIN)..=(topic, PartitionId::MAX);
        let partitions: Vec<PartitionId> = self.examined.range(range).map(|((_, partition), _)| *partition).collect();
        for partition in &partitions {
            self.examined.remove(&(topic, *partition));
        }
        partitions
    }
}
