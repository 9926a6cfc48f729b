//! Shadows: another version of a plugin evaluates what a topic's readers are given, once more and without effect, and
//! where the answers differ is noted.
//!
//! A shadow has a thread and instances of its own. What it is to compare waits in a short queue; what does not fit is left
//! out and counted, so that readers never wait for it.

mod compare;
mod worker;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::evaluate::{Outcome, same_types};
use super::operators::{Compiled, compile_with};
use crate::contract::{PluginInfo, RowMap, ShadowDifference, ShadowFigures};
use crate::model::OperatorError;
use crate::model::{Error, Offset, PartitionId, PluginId, Result, TopicId, TopicInfo};
use crate::platform::join;
use crate::plugins::Plugins;

/// Evaluated chunks that wait for one shadow.
const QUEUED: usize = 4;
/// Differences that are kept of one shadow, the newest.
const DIFFERENCES_KEPT: usize = 256;

/// The shadows at work. One is begun by the first rows that its topic's readers are given.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    engine: OnceLock<Weak<Plugins>>,
    running: Mutex<HashMap<TopicId, RunningShadow>>,
}

#[derive(Debug)]
struct RunningShadow {
    /// What it shadows, and with what.
    of: (u32, PluginId),
    queue: Sender<Offered>,
    standing: Arc<ShadowStanding>,
    thread: Option<JoinHandle<()>>,
}

/// What the topic's own version came to.
#[derive(Debug)]
struct Offered {
    partition: PartitionId,
    base: Offset,
    /// Rows of the source that were evaluated.
    rows: usize,
    batch: RecordBatch,
    map: RowMap,
    /// Rows that failed, each with its error.
    failed: Vec<(usize, OperatorError)>,
}

/// Figures and findings of a shadow.
#[derive(Debug, Default)]
pub(super) struct ShadowStanding {
    compared: AtomicU64,
    different: AtomicU64,
    failures: AtomicU64,
    skipped: AtomicU64,
    /// Why nothing is compared.
    error: Mutex<Option<String>>,
    differences: Mutex<VecDeque<ShadowDifference>>,
}

impl Shadows {
    /// Before this nothing is shadowed.
    pub(super) fn begin(&self, engine: Weak<Plugins>) {
        // An engine is started once.
        let _ = self.engine.set(engine);
    }

    /// Rows were evaluated for readers. Never waits.
    pub(super) fn offer(
        &self,
        plugins: &Plugins,
        topic: &TopicInfo,
        partition: PartitionId,
        (base, rows): (Offset, usize),
        outcome: &Outcome,
    ) {
        // The topic at hand may be from before the shadow was begun, or as of an earlier version, which is not compared.
        let now = plugins.ledger.state.read().topic(topic.id).cloned();
        let Some((now, plugin)) = now.and_then(|now| now.shadow.map(|plugin| (now, plugin))) else { return };
        if now.version != topic.version {
            return;
        }
        let mut all = self.running.lock();
        let of = (now.version, plugin);
        if all.get(&now.id).is_none_or(|running| running.of != of) {
            all.remove(&now.id);
            match self.engine.get().and_then(|engine| worker::start(&plugins.ledger.threads, engine, &now, plugin)) {
                Some((queue, standing, thread)) => {
                    all.insert(now.id, RunningShadow { of, queue, standing, thread: Some(thread) });
                }
                None => return,
            }
        }
        let Some(running) = all.get(&now.id) else { return };
        // Rows from a fault on were not evaluated.
        let rows = outcome.fault.as_ref().map_or(rows, |(row, _)| *row);
        let offered = Offered {
            partition,
            base,
            rows,
            batch: outcome.batch.clone(),
            map: outcome.rows.clone(),
            failed: outcome.skipped.clone(),
        };
        if running.queue.try_send(offered).is_err() {
            running.standing.skipped.fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    /// Ends the shadow of a topic.
    pub(super) fn forget(&self, topic: TopicId) {
        self.running.lock().remove(&topic);
    }

    /// Ends all of them, and waits for it; a call under way may take its time limit.
    pub(super) fn stop(&self) {
        let running = std::mem::take(&mut *self.running.lock());
        for RunningShadow { queue, thread, .. } in running.into_values() {
            drop(queue);
            thread.into_iter().for_each(join);
        }
    }

    /// Figures, and why nothing is compared if so.
    pub(super) fn figures(&self, topic: &TopicInfo) -> (ShadowFigures, Option<String>) {
        match self.standing(topic) {
            Some(standing) => (standing.figures(), standing.error.lock().clone()),
            None => (ShadowFigures::default(), None),
        }
    }

    /// Oldest first.
    pub(super) fn differences(&self, topic: &TopicInfo) -> Vec<ShadowDifference> {
        self.standing(topic).map_or_else(Vec::new, |found| found.differences.lock().iter().cloned().collect())
    }

    fn standing(&self, topic: &TopicInfo) -> Option<Arc<ShadowStanding>> {
        let all = self.running.lock();
        let running = all.get(&topic.id)?;
        (Some(running.of.1) == topic.shadow && running.of.0 == topic.version).then(|| running.standing.clone())
    }
}

impl ShadowStanding {
    fn figures(&self) -> ShadowFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShadowFigures {
            rows_compared: read(&self.compared),
            rows_different: read(&self.different),
            failures: read(&self.failures),
            rows_skipped: read(&self.skipped),
        }
    }

    fn note(&self, difference: ShadowDifference) {
        self.different.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.differences.lock();
        if kept.len() >= DIFFERENCES_KEPT {
            kept.pop_front();
        }
        kept.push_back(difference);
    }
}

/// The topic with another version of one of its plugins, and instances of its own. Refused if it gives other columns.
pub(super) fn compile_shadow(plugins: &Plugins, topic: &TopicInfo, shadow: &PluginInfo) -> Result<Compiled> {
    let called = plugins.shadow_plugins(topic, shadow)?;
    let compiled = compile_with(plugins, Arc::new(topic.clone()), &called)?;
    if same_types(compiled.operator.output_schema(), &topic.output_schema) {
        return Ok(compiled);
    }
    Err(Error::InvalidInput(format!(
        "with version {} of plugin {:?} topic {:?} gives other columns: their values can't be compared",
        shadow.version, shadow.name, topic.name
    )))
}
