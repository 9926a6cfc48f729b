//! Which version of a topic answers for the rows that a reader is given.
//!
//! A version that begins at an offset begins where nobody has read yet: the end of each partition is looked up, and the
//! change recorded, while no reader takes rows of the topic. Evaluations under way go on meanwhile: their rows lie below.

use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::operators::{Compiled, Operators};
use crate::chunks::Chunk;
use crate::cursor::joined_chunk_at;
use crate::log::Ledger;
use crate::model::{Offset, PartitionId, Result, TopicId, TopicInfo};
use crate::plugins::Plugins;
use crate::segments::Pruning;

/// Topics share locks: a change of one may hold up another's readers while it is recorded.
const LOCKS: usize = 64;

/// Readers that take rows of topics, and changes of what answers for them.
#[derive(Debug)]
pub(super) struct VersionTurns {
    locks: Vec<RwLock<()>>,
}

/// Rows to be evaluated, and by what.
#[derive(Debug)]
pub(super) struct Input {
    /// The topic as of the version that answers for the rows.
    pub compiled: Arc<Compiled>,
    /// Rows of this version alone.
    pub chunk: Chunk,
}

impl Default for VersionTurns {
    fn default() -> VersionTurns {
        VersionTurns { locks: (0..LOCKS).map(|_| RwLock::new(())).collect() }
    }
}

impl VersionTurns {
    fn read(&self, topic: TopicId) -> Option<RwLockReadGuard<'_, ()>> {
        self.lock(topic).map(RwLock::read)
    }

    /// While it lives, nobody takes rows of the topic.
    pub(super) fn change(&self, topic: TopicId) -> Option<RwLockWriteGuard<'_, ()>> {
        self.lock(topic).map(RwLock::write)
    }

    fn lock(&self, topic: TopicId) -> Option<&RwLock<()>> {
        self.locks.get(usize::try_from(topic.0).unwrap_or(usize::MAX) % LOCKS)
    }

    /// The rows at `position` that one version of the topic answers for; `None` at the end of the partition.
    pub(super) fn input(
        &self,
        plugins: &Plugins,
        operators: &Operators,
        topic: &TopicInfo,
        partition: PartitionId,
        position: Offset,
    ) -> Result<Option<Input>> {
        loop {
            // Compiling may take seconds: that is no time to keep a change waiting.
            let present = present(&plugins.ledger, topic);
            let answers = present.version_at(partition, position);
            let compiled = operators.get(plugins, &present, answers.version)?;
            let _turn = self.read(topic.id);
            if self::present(&plugins.ledger, topic).version != present.version {
                continue;
            }
            let Compiled { operator, projection, topic, .. } = &*compiled;
            // Rows that are forwarded as they lie in the log stay as they lie there.
            let until = if operator.is_identity() { position } else { answers.offsets.end };
            let pruning = Pruning { operator: Some(operator.as_ref()), ..Pruning::default() };
            let chunk =
                joined_chunk_at(&plugins.tables, projection, topic.table, partition, position, until, &pruning)?;
            return Ok(chunk.map(|chunk| Input { chunk: chunk.within(&answers.offsets), compiled }));
        }
    }
}

/// The topic as the catalog has it, where only its plugins have changed since a reader was told of it. One that has other
/// columns by now, or is gone, stays as it was for him.
pub(super) fn present(ledger: &Ledger, topic: &TopicInfo) -> Arc<TopicInfo> {
    let present = ledger.state.read().topic(topic.id).cloned();
    let present = present.filter(|present| present.base_version() == topic.base_version());
    present.unwrap_or_else(|| Arc::new(topic.clone()))
}
