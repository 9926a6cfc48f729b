//! Compiled topics and evaluated chunks of one engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chunks::{ChunkRows, SharedReads};
use crate::contract::Scope;
use crate::contract::{BatchOperator, EvaluationPlace, PluginInfo, ShadowDifference, ShadowFigures};
use crate::model::{Error, Offset, OnError, PartitionId, Result, TopicId, TopicInfo};
use crate::model::{FailureKind, OperatorError};
use crate::plugins::Plugins;
use crate::write::Appender;

use super::chunk::{EvaluatedChunk, EvaluatedPlace};
use super::evaluate::{evaluate, offset, same_types};
use super::letters::DeadLetters;
use super::operators::{Compiled, Operators};
use super::shadow::{Shadows, compile_shadow};
use super::skips::SkipEvents;
use super::versions::{Input, VersionTurns, present};

/// What readers of topics share.
#[derive(Debug)]
pub(crate) struct Evaluations {
    plugins: Arc<Plugins>,
    operators: Operators,
    shared: SharedReads<EvaluatedPlace, EvaluatedChunk>,
    rows_skipped: AtomicU64,
    skip_events: SkipEvents,
    dead_letters: DeadLetters,
    shadows: Shadows,
    turns: VersionTurns,
}

/// Counters since opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EvaluationFigures {
    pub hits: u64,
    pub misses: u64,
    pub rows_skipped: u64,
}

impl Evaluations {
    pub(crate) fn new(plugins: &Arc<Plugins>, appender: &Arc<Appender>) -> Evaluations {
        let cache_bytes = plugins.ledger.options.evaluation_cache_bytes;
        Evaluations {
            plugins: plugins.clone(),
            operators: Operators::default(),
            shared: SharedReads::new(cache_bytes),
            rows_skipped: AtomicU64::new(0),
            skip_events: SkipEvents::default(),
            dead_letters: DeadLetters::new(&plugins.tables, appender),
            shadows: Shadows::default(),
            turns: VersionTurns::default(),
        }
    }

    /// The engine runs: shadows may begin.
    pub(crate) fn begin(&self) {
        self.shadows.begin(Arc::downgrade(&self.plugins));
    }

    /// Ends the shadows.
    pub(crate) fn stop(&self) {
        self.shadows.stop();
    }

    /// Refuses a shadow that can't be compared with the topic.
    pub(crate) fn check_shadow(&self, topic: &TopicInfo, plugin: &PluginInfo) -> Result<()> {
        compile_shadow(&self.plugins, topic, plugin).map(drop)
    }

    /// How a topic's shadow fares, and why nothing is compared if so.
    pub(crate) fn shadow_figures(&self, topic: &TopicInfo) -> (ShadowFigures, Option<String>) {
        self.shadows.figures(topic)
    }

    /// Where the answers of a topic's shadow differ; the newest, oldest first.
    pub(crate) fn shadow_differences(&self, topic: &TopicInfo) -> Vec<ShadowDifference> {
        self.shadows.differences(topic)
    }

    pub(crate) fn forget_shadow(&self, topic: TopicId) {
        self.shadows.forget(topic);
    }

    /// The topic's operator, compiled on first use.
    pub(crate) fn operator(&self, topic: &TopicInfo) -> Result<Arc<dyn BatchOperator>> {
        let topic = present(&self.plugins.ledger, topic);
        Ok(self.operators.get(&self.plugins, &topic, topic.version)?.operator.clone())
    }

    /// Runs `change` while no reader takes rows of the topic. Those that were taken lie below the durable ends that `change`
    /// sees.
    pub(crate) fn between_readers<T>(&self, topic: TopicId, change: impl FnOnce() -> T) -> T {
        let _turn = self.turns.change(topic);
        change()
    }

    /// The evaluated chunk that holds `position`; `None` at the end of the partition. Below the start: `OffsetOutOfRange`.
    /// At a row that fails to evaluate under [`OnError::Stop`]: `Evaluation`; under
    /// [`OnError::DeadLetter`] its letter is durable before the chunk is given.
    pub(crate) fn chunk_at(
        &self,
        topic: &TopicInfo,
        partition: PartitionId,
        position: Offset,
    ) -> Result<Option<Arc<EvaluatedChunk>>> {
        // A version that begins at this very moment makes the entry one that nobody asks for any more, and no other harm: the
        // rows are evaluated by what answers for them when they are read.
        let version = present(&self.plugins.ledger, topic).version_at(partition, position).version;
        let place = EvaluatedPlace { topic: topic.id, version, partition };
        let evaluated = self.shared.get(&place, position, || self.evaluate_at(topic, partition, position))?;
        match evaluated.as_ref().and_then(|chunk| chunk.fault.as_ref()) {
            Some((offset, source)) if *offset <= position => {
                Err(Error::Evaluation { topic: topic.name.clone(), partition, offset: *offset, source: source.clone() })
            }
            _ => Ok(evaluated),
        }
    }

    /// Frees what is held for a topic that was dropped or replaced.
    pub(crate) fn forget(&self, topic: TopicId) {
        self.operators.forget(topic);
        self.shared.forget(|place| place.topic == topic);
        self.skip_events.forget(topic);
        self.dead_letters.forget(topic);
        self.shadows.forget(topic);
    }

    pub(crate) fn figures(&self) -> EvaluationFigures {
        let (hits, misses) = self.shared.figures();
        EvaluationFigures { hits, misses, rows_skipped: self.rows_skipped.load(Ordering::Relaxed) }
    }

    fn evaluate_at(
        &self,
        topic: &TopicInfo,
        partition: PartitionId,
        position: Offset,
    ) -> Result<Option<EvaluatedChunk>> {
        let input = self.turns.input(&self.plugins, &self.operators, topic, partition, position)?;
        let Some(Input { compiled, chunk }) = input else { return Ok(None) };
        let Compiled { operator, topic, .. } = &*compiled;
        let ChunkRows::Batch(input) = &chunk.rows else {
            return Ok(Some(EvaluatedChunk::empty(chunk.base_offset, chunk.next_offset, topic.output_schema.clone())));
        };
        if operator.is_identity() {
            return Ok(Some(EvaluatedChunk::raw(&chunk, input.clone(), topic.table_schema_version)));
        }
        let failed = |offset: Offset, source: OperatorError| Error::Evaluation {
            topic: topic.name.clone(),
            partition,
            offset,
            source,
        };
        let scope =
            |offset| Scope::enter(EvaluationPlace { topic: topic.name.clone(), consumer: None, partition, offset });
        let _evaluating = scope(chunk.base_offset);
        if let Some(left) = compiled.throttled() {
            return Err(Error::Throttled { topic: topic.name.clone(), left });
        }
        let offset_at = chunk.base_offset;
        let _span = tracing::debug_span!(
            target: "millstream::plugin", "evaluate", topic = topic.name, topic.version, partition, offset = offset_at, rows = input.num_rows()
        )
        .entered();
        // After a fault the whole chunk's entry ends there: who seeks past it reads on from his position.
        let mut base = chunk.base_offset;
        let mut outcome =
            evaluate(operator.as_ref(), input, topic.on_error).map_err(|source| failed(chunk.base_offset, source))?;
        let mut examined = input.num_rows();
        let past_fault = outcome.fault.as_ref().is_some_and(|(row, _)| base + offset(*row) < position);
        if past_fault {
            let rows = usize::try_from(position - base).unwrap_or(usize::MAX).min(input.num_rows());
            base = position;
            let _evaluating = scope(base);
            let rest = input.slice(rows, input.num_rows() - rows);
            outcome = evaluate(operator.as_ref(), &rest, topic.on_error).map_err(|source| failed(base, source))?;
            examined = rest.num_rows();
        }
        if !same_types(&outcome.batch.schema(), &topic.output_schema) {
            let message = "the operator gave other columns than the topic has; reload the topic".to_owned();
            return Err(failed(base, OperatorError::new(FailureKind::Host, message)));
        }
        if topic.on_error == OnError::DeadLetter {
            let next = outcome.fault.as_ref().map_or(chunk.next_offset, |(row, _)| base + offset(*row));
            let faults: Vec<_> =
                outcome.skipped.iter().map(|(row, error)| (base + offset(*row), error.clone())).collect();
            self.dead_letters.settle(topic, partition, base..next, &faults)?;
        }
        if let Some((row, error)) = outcome.skipped.first() {
            let skipped = u64::try_from(outcome.skipped.len()).unwrap_or(u64::MAX);
            self.rows_skipped.fetch_add(skipped, Ordering::Relaxed);
            self.skip_events.tell(&self.plugins.ledger, topic, partition, base + offset(*row), skipped, error);
        }
        self.shadows.offer(&self.plugins, topic, partition, (base, examined), &outcome);
        Ok(Some(EvaluatedChunk::evaluated(base, chunk.next_offset, outcome)))
    }
}
