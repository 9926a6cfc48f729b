//! Compiled topics. A topic costs nothing here until it is read.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::chunks::PlainColumns;
use crate::chunks::Projection;
use crate::contract::Guarded;
use crate::contract::{BatchOperator, LoadedPlugin, TopicPlugins};
use crate::model::{Error, Result, TopicId, TopicInfo, TopicSource};
use crate::plugins::Plugins;

/// Compiled topics that are kept; of more, the one that was used least recently goes and is compiled anew when needed.
const KEPT: usize = 1_024;

/// A topic ready to be evaluated.
#[derive(Debug)]
pub(super) struct Compiled {
    /// As of the version that this is.
    pub topic: Arc<TopicInfo>,
    pub operator: Arc<dyn BatchOperator>,
    pub projection: Projection,
    /// What it calls.
    plugins: Vec<LoadedPlugin>,
}

impl Compiled {
    /// How long its plugins are to be left alone.
    pub(super) fn throttled(&self) -> Option<Duration> {
        self.plugins.iter().filter_map(LoadedPlugin::throttled).max()
    }
}

/// Versions of one topic that are kept compiled: of more, the oldest goes.
const VERSIONS_KEPT: usize = 4;

/// The operators of topics: several of one whose plugins changed versions at an offset, while rows of both are read.
#[derive(Debug, Default)]
pub(super) struct Operators {
    inner: Mutex<CompiledTopics>,
}

#[derive(Debug, Default)]
struct CompiledTopics {
    slots: HashMap<TopicId, Arc<Slot>>,
    /// By last use.
    order: BTreeMap<u64, TopicId>,
    uses: u64,
}

/// Compilation happens under the slot's lock, so that each version is compiled once and other topics don't wait.
/// `compiled` is in the order of versions.
#[derive(Debug, Default)]
struct Slot {
    compiled: Mutex<Vec<Arc<Compiled>>>,
    last_use: Mutex<u64>,
}

impl Operators {
    /// The operator of one of the topic's versions.
    pub(super) fn get(&self, plugins: &Plugins, topic: &Arc<TopicInfo>, version: u32) -> Result<Arc<Compiled>> {
        let slot = self.slot(topic.id);
        let mut kept = slot.compiled.lock();
        if let Some(compiled) = kept.iter().find(|compiled| compiled.topic.version == version) {
            return Ok(compiled.clone());
        }
        let fresh = Arc::new(compile(plugins, topic.as_of(version))?);
        kept.push(fresh.clone());
        kept.sort_by_key(|compiled| compiled.topic.version);
        if kept.len() > VERSIONS_KEPT {
            kept.remove(0);
        }
        Ok(fresh)
    }

    pub(super) fn forget(&self, topic: TopicId) {
        let mut inner = self.inner.lock();
        if let Some(slot) = inner.slots.remove(&topic) {
            inner.order.remove(&slot.last_use.lock());
        }
    }

    fn slot(&self, topic: TopicId) -> Arc<Slot> {
        let mut inner = self.inner.lock();
        inner.uses += 1;
        let now = inner.uses;
        let slot = inner.slots.entry(topic).or_default().clone();
        let before = std::mem::replace(&mut *slot.last_use.lock(), now);
        inner.order.remove(&before);
        inner.order.insert(now, topic);
        if inner.slots.len() > KEPT
            && let Some((_, oldest)) = inner.order.pop_first()
        {
            inner.slots.remove(&oldest);
        }
        slot
    }
}

fn compile(plugins: &Plugins, topic: Arc<TopicInfo>) -> Result<Compiled> {
    let called = plugins.topic_plugins(&topic)?;
    compile_with(plugins, topic, &called)
}

/// A topic that calls what is given.
pub(super) fn compile_with(plugins: &Plugins, topic: Arc<TopicInfo>, called: &TopicPlugins) -> Result<Compiled> {
    let table = plugins.ledger.table(topic.table)?;
    let operator: Arc<dyn BatchOperator> = match &topic.source {
        TopicSource::Identity => Arc::new(PlainColumns::identity(topic.output_schema.clone())),
        TopicSource::Select { .. } => {
            let compiler = plugins.compiler.read().clone().ok_or_else(|| {
                Error::FailedPrecondition(format!("topic {:?} can't be read: no topic compiler is set", topic.name))
            })?;
            let compiled = catch_unwind(AssertUnwindSafe(|| compiler.compile(&topic, &table, called)))
                .unwrap_or_else(|_| Err(Error::Internal(format!("compiling topic {:?} panicked", topic.name))));
            Arc::new(Guarded(compiled?))
        }
    };
    let projection = Projection::new(&table, operator.inputs())?;
    let plugins = called.plugins.iter().map(|(_, plugin)| plugin.clone()).collect();
    Ok(Compiled { topic, operator, projection, plugins })
}
