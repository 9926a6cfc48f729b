//! Plugins in use, as topics and consumers call them.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use parking_lot::RwLock;

use super::modules::Modules;
use super::tables::PluginTables;
use crate::contract::{LoadedPlugin, PluginHost, PluginInfo, TopicCompiler, TopicPlugins};
use crate::cursor::Tables;
use crate::log::Ledger;
use crate::model::{Error, FunctionId, NamespaceLimits, PluginId, Result, TopicInfo, TopicSource};
use crate::state::State;

/// What the embedding program has given the engine to run plugins and compile topics, and what is loaded of them.
#[derive(Debug)]
pub(crate) struct Plugins {
    pub ledger: Arc<Ledger>,
    pub tables: Arc<Tables>,
    pub compiler: RwLock<Option<Arc<dyn TopicCompiler>>>,
    pub host: RwLock<Option<Arc<dyn PluginHost>>>,
    /// Files of plugins, and what of them is in use.
    pub modules: Modules,
}

impl Plugins {
    pub(crate) fn new(tables: Arc<Tables>, modules: Modules) -> Plugins {
        let ledger = tables.ledger.clone();
        Plugins { ledger, tables, compiler: RwLock::default(), host: RwLock::default(), modules }
    }

    fn host(&self) -> Result<Arc<dyn PluginHost>> {
        let host = self.host.read().clone();
        host.ok_or_else(|| Error::Unsupported("this engine was opened without a plugin host".to_owned()))
    }

    /// One plugin version, callable. All callers share it, and so its pool of instances.
    pub(crate) fn loaded_plugin(&self, plugin: &PluginInfo) -> Result<LoadedPlugin> {
        let host = self.host()?;
        self.modules.loaded(plugin, |module| {
            let tables = Arc::new(PluginTables::new(&self.tables, plugin)?);
            host.load(plugin, module, tables)
        })
    }

    /// What `TRY_CAST(values AS to)` gives.
    pub(crate) fn try_cast(&self, values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        let compiler = self.compiler.read().clone();
        let none = || Error::Unsupported(format!("this engine was opened without SQL, which casts to {to}"));
        compiler.ok_or_else(none)?.try_cast(values, to)
    }

    /// The limits that hold for a namespace.
    pub(crate) fn namespace_limits(&self, name: &str) -> NamespaceLimits {
        self.limits_in(&self.ledger.state.read(), name)
    }

    fn limits_in(&self, state: &State, name: &str) -> NamespaceLimits {
        let own = state.catalog().limits_of_namespace(name);
        own.or(&self.ledger.options.namespace_limits).or(&NamespaceLimits::built_in())
    }

    /// Tells the plugin host what holds for these namespaces. What it is told is read under the state's lock, so that an
    /// older word never comes after a newer one.
    pub(crate) fn tell_limits<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let Some(host) = self.host.read().clone() else { return };
        let state = self.ledger.state.read();
        for name in names {
            let limits = self.limits_in(&state, name);
            host.limit_namespace(name, &limits);
        }
    }

    /// What a topic calls, at the versions that it records.
    pub(crate) fn topic_plugins(&self, topic: &TopicInfo) -> Result<TopicPlugins> {
        match &topic.source {
            TopicSource::Select { plugins, functions, .. } => self.called(plugins, functions),
            TopicSource::Identity => Ok(TopicPlugins::default()),
        }
    }

    /// What a definition calls, in these versions.
    pub(crate) fn called(&self, plugins: &[PluginId], functions: &[FunctionId]) -> Result<TopicPlugins> {
        let load = |id: &PluginId| {
            let plugin = self.ledger.plugin(*id)?;
            let loaded = self.loaded_plugin(&plugin)?;
            Ok((plugin, loaded))
        };
        Ok(TopicPlugins {
            plugins: plugins.iter().map(load).collect::<Result<_>>()?,
            functions: functions.iter().map(|id| self.ledger.function(*id)).collect::<Result<_>>()?,
        })
    }

    /// What a topic calls, with another version of one plugin in its place. All of them have instances of their own.
    pub(crate) fn shadow_plugins(&self, topic: &TopicInfo, shadow: &PluginInfo) -> Result<TopicPlugins> {
        let host = self.host()?;
        let mut called = self.topic_plugins(topic)?;
        for entry in &mut called.plugins {
            let plugin = if entry.0.name == shadow.name { Arc::new(shadow.clone()) } else { entry.0.clone() };
            let loaded = host.load_apart(&plugin, &self.modules.read(&plugin)?)?;
            *entry = (plugin, loaded);
        }
        Ok(called)
    }
}
