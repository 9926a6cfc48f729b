//! What every part of one open engine shares.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::watchers::Watchers;
use crate::contract::{FunctionInfo, LoadedPlugin, PluginHost, PluginInfo, TopicCompiler, TopicPlugins};
use crate::delivery::Coordinator;
use crate::evaluation::Evaluations;
use crate::log::{CommitSink, Log};
use crate::maintenance::Maintenance;
use crate::model::{
    Error, FunctionId, NamespaceLimits, PluginId, Result, TableId, TableInfo, TopicId, TopicInfo, TopicSource,
};
use crate::platform::EngineOptions;
use crate::platform::Events;
use crate::platform::Threads;
use crate::platform::disk::DiskLock;
use crate::plugins::Modules;
use crate::plugins::PluginTables;
use crate::runners::Runners;
use crate::segments::Segments;
use crate::state::ForgottenStreams;
use crate::state::{Record, RecordContext};
use crate::state::{State, Store};
use crate::write::RoundRobin;

/// Memory for entries of paged families that no checkpoint has yet: with more, one is taken before the log rolls.
const MAX_UNWRITTEN_BYTES: usize = 4 << 20;
/// With more than this, commits wait for it.
const HELD_UNWRITTEN_BYTES: usize = 6 << 20;

/// One open engine. Lock order where two are needed: groups, then state; never the other way round.
#[derive(Debug)]
pub(crate) struct Shared {
    pub options: EngineOptions,
    /// Durable, applied state: what readers see. After a panic or an error in the midst of a commit it holds a part of one, and
    /// [`Shared::check_whole`] refuses to read it.
    pub state: RwLock<State>,
    pub half_applied: AtomicBool,
    /// Where checkpoints of `state` go.
    pub store: Store,
    pub log: Log,
    pub compiler: RwLock<Option<Arc<dyn TopicCompiler>>>,
    pub host: RwLock<Option<Arc<dyn PluginHost>>>,
    pub watchers: Watchers,
    pub events: Arc<Events>,
    pub threads: Arc<Threads>,
    pub segments: Segments,
    pub maintenance: Maintenance,
    pub groups: Coordinator,
    pub runners: Runners,
    pub evaluations: Evaluations,
    /// Files of plugins, and what of them is in use.
    pub modules: Modules,
    pub turns: RoundRobin,
    pub forgotten_streams: ForgottenStreams,
    pub closing: Closing,
    /// This very engine.
    pub me: Weak<Shared>,
}

/// How far the closing of an engine is.
#[derive(Debug)]
pub(crate) struct Closing {
    begun: AtomicBool,
    /// Held while closing: who closes at the same time waits, and has the same answer.
    answer: Mutex<Option<Result<()>>>,
    /// Of the data directory; let go at the end, so that it can be opened again while somebody still holds this one.
    lock: Mutex<Option<DiskLock>>,
}

impl Closing {
    pub(crate) fn new(lock: DiskLock) -> Closing {
        Closing { begun: AtomicBool::new(false), answer: Mutex::default(), lock: Mutex::new(Some(lock)) }
    }
}

/// Held while a commit is applied, and let go before the lock of the state is: after a panic the state holds a part of it,
/// for good.
struct Applying<'a> {
    half_applied: &'a AtomicBool,
    whole: bool,
}

impl Drop for Applying<'_> {
    fn drop(&mut self) {
        if !self.whole {
            self.half_applied.store(true, Ordering::Release);
        }
    }
}

impl Shared {
    /// For what must not keep the engine open.
    pub(crate) fn me(&self) -> Weak<Shared> {
        self.me.clone()
    }

    /// `Closed` once closing has begun; `LogFailed` once a part of a commit has been left in the state.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closing.begun.load(Ordering::Acquire) { Err(Error::Closed) } else { self.check_whole() }
    }

    /// `LogFailed` once the state holds a part of a commit. To be asked again by whoever was let in before and has then waited
    /// for the state's lock, if he gives out rows.
    pub(crate) fn check_whole(&self) -> Result<()> {
        if !self.half_applied.load(Ordering::Acquire) {
            return Ok(());
        }
        let message = || "a commit is in memory in part".to_owned();
        Err(self.log.refusal().unwrap_or_else(|| Error::LogFailed { operation: "apply", message: message() }))
    }

    /// Stops what works by itself, then the groups, then the log; what was queued before is still answered. The last
    /// checkpoint makes the next opening short.
    pub(crate) fn close(&self) -> Result<()> {
        let mut answer = self.closing.answer.lock();
        if let Some(answer) = answer.as_ref() {
            return answer.clone();
        }
        self.closing.begun.store(true, Ordering::Release);
        self.runners.stop();
        self.evaluations.stop();
        if let Err(error) = crate::plugins::suspensions::record(self) {
            tracing::warn!("suspended plugins could not be recorded: {error}");
        }
        self.maintenance.stop();
        self.groups.stop();
        let closed = self.log.close().and_then(|()| self.checkpoint());
        if let Err(error) = self.log.time().record(true) {
            tracing::warn!("the clock could not be recorded: {error}");
        }
        self.watchers.wake_all();
        self.store.close();
        self.closing.lock.lock().take();
        *answer = Some(closed.clone());
        closed
    }

    /// One plugin version, callable. All callers share it, and so its pool of instances.
    pub(crate) fn loaded_plugin(&self, plugin: &PluginInfo) -> Result<LoadedPlugin> {
        let host = self.host.read().clone();
        let host = host.ok_or_else(|| Error::Unsupported("this engine was opened without a plugin host".to_owned()))?;
        self.modules.loaded(plugin, |module| {
            let tables = Arc::new(PluginTables::new(self, plugin)?);
            host.load(plugin, module, tables)
        })
    }

    /// The limits that hold for a namespace.
    pub(crate) fn namespace_limits(&self, name: &str) -> NamespaceLimits {
        self.limits_in(&self.state.read(), name)
    }

    fn limits_in(&self, state: &State, name: &str) -> NamespaceLimits {
        let own = state.catalog().limits_of_namespace(name);
        own.or(&self.options.namespace_limits).or(&NamespaceLimits::built_in())
    }

    /// Tells the plugin host what holds for these namespaces. What it is told is read under the state's lock, so that an
    /// older word never comes after a newer one.
    pub(crate) fn tell_limits<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let Some(host) = self.host.read().clone() else { return };
        let state = self.state.read();
        for name in names {
            let limits = self.limits_in(&state, name);
            host.limit_namespace(name, &limits);
        }
    }

    /// What a topic calls, at the versions that it records.
    pub(crate) fn topic_plugins(&self, topic: &TopicInfo) -> Result<TopicPlugins> {
        let TopicSource::Select { plugins, functions, .. } = &topic.source else { return Ok(TopicPlugins::default()) };
        let load = |id: &PluginId| {
            let plugin = self.plugin(*id)?;
            let loaded = self.loaded_plugin(&plugin)?;
            Ok((plugin, loaded))
        };
        Ok(TopicPlugins {
            plugins: plugins.iter().map(load).collect::<Result<_>>()?,
            functions: functions.iter().map(|id| self.function(*id)).collect::<Result<_>>()?,
        })
    }

    /// What a topic calls, with another version of one plugin in its place. All of them have instances of their own.
    pub(crate) fn shadow_plugins(&self, topic: &TopicInfo, shadow: &PluginInfo) -> Result<TopicPlugins> {
        let host = self.host.read().clone();
        let host = host.ok_or_else(|| Error::Unsupported("this engine was opened without a plugin host".to_owned()))?;
        let mut called = self.topic_plugins(topic)?;
        for entry in &mut called.plugins {
            let plugin = if entry.0.name == shadow.name { Arc::new(shadow.clone()) } else { entry.0.clone() };
            let loaded = host.load_apart(&plugin, &self.modules.read(&plugin)?)?;
            *entry = (plugin, loaded);
        }
        Ok(called)
    }

    pub(crate) fn plugin(&self, id: PluginId) -> Result<Arc<PluginInfo>> {
        let state = self.state.read();
        state.plugin(id).cloned().ok_or_else(|| Error::gone("plugin"))
    }

    pub(crate) fn function(&self, id: FunctionId) -> Result<Arc<FunctionInfo>> {
        let state = self.state.read();
        let function = state.catalog().function(id).cloned();
        function.ok_or_else(|| Error::gone("function"))
    }

    /// Writes everything applied since the last checkpoint to the state store, in one synced batch. Leaves it for a later
    /// time while rows are applied that were written and not yet synced: the store never knows more than the log keeps.
    /// Refused once the log has failed: nothing more is built on what its threads may have left half done.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        if let Some(failed @ Error::LogFailed { .. }) = self.log.refusal() {
            return Err(failed);
        }
        let taken = self.store.checkpoint(&self.state, || self.log.durable());
        // Where none can be taken, commits do not wait for it.
        self.log.hold(taken.is_ok() && self.state.read().unwritten_bytes() > HELD_UNWRITTEN_BYTES);
        taken
    }

    /// Whether more is in memory than should wait for the log to roll.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        self.state.read().unwritten_bytes() > MAX_UNWRITTEN_BYTES
    }

    pub(crate) fn table(&self, id: TableId) -> Result<Arc<TableInfo>> {
        let state = self.state.read();
        state.table(id).cloned().ok_or_else(|| Error::gone("table"))
    }

    pub(crate) fn topic(&self, id: TopicId) -> Result<Arc<TopicInfo>> {
        let state = self.state.read();
        state.topic(id).cloned().ok_or_else(|| Error::gone("topic"))
    }
}

impl CommitSink for Shared {
    fn apply_commit(&self, records: &[(RecordContext, Record)]) -> Result<()> {
        let unwritten = {
            let mut state = self.state.write();
            let mut applying = Applying { half_applied: &self.half_applied, whole: false };
            for (context, record) in records {
                self.forgotten_streams.note(&state, &self.events, *context, record);
                state.apply(*context, record)?;
            }
            applying.whole = true;
            state.unwritten_bytes()
        };
        if unwritten > MAX_UNWRITTEN_BYTES {
            self.maintenance.checkpoint_early();
        }
        if unwritten > HELD_UNWRITTEN_BYTES {
            self.log.hold(true);
        }
        self.tell_limits(records.iter().filter_map(|(_, record)| record.namespace()));
        self.groups.applied(records);
        self.runners.applied(records);
        Ok(())
    }

    fn wake(&self, records: &[(RecordContext, Record)]) {
        let touched: BTreeSet<TableId> = records.iter().filter_map(|(_, record)| record.table()).collect();
        self.groups.wake(&touched);
        self.runners.wake(&touched);
        self.watchers.wake(touched);
    }

    fn checkpoint(&self) -> Result<()> {
        Shared::checkpoint(self)
    }
}
