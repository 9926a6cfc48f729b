//! The kinds of plugins: what each answers, and how it reaches the engine.

mod checkback;
mod consumer;
mod filter;
mod function;
mod scalar;
mod transform;

use std::sync::{Arc, Weak};

use millstream_engine::{LoadedPlugin, PluginInfo, PluginKind, Result};

use crate::figures::Counters;
use crate::instances::{Caller, Pool};
use checkback::{Checkback, WasmCheckback};
use consumer::{Consumer, WasmConsumer};
use filter::Filter;
use function::Function;
use scalar::Scalar;
use transform::{Transform, WasmTransform};

/// A plugin version in use, which its users keep alive.
#[derive(Debug)]
pub(crate) enum InUse {
    Filter(Weak<Scalar<Filter>>),
    Function(Weak<Scalar<Function>>),
    Transform(Weak<WasmTransform>),
    Consumer(Weak<WasmConsumer>),
    Checkback(Weak<WasmCheckback>),
}

impl InUse {
    /// The plugin, if it is still used and is what the catalog says.
    pub(crate) fn get(&self, plugin: &PluginInfo) -> Option<LoadedPlugin> {
        match self {
            InUse::Filter(filter) => {
                filter.upgrade().filter(|f| f.plugin() == plugin).map(|f| LoadedPlugin::Function(f))
            }
            InUse::Function(function) => {
                function.upgrade().filter(|f| f.plugin() == plugin).map(|f| LoadedPlugin::Function(f))
            }
            InUse::Transform(transform) => {
                transform.upgrade().filter(|t| t.plugin() == plugin).map(|t| LoadedPlugin::Transform(t))
            }
            InUse::Consumer(consumer) => {
                consumer.upgrade().filter(|c| c.plugin() == plugin).map(|c| LoadedPlugin::Consumer(c))
            }
            InUse::Checkback(handler) => {
                handler.upgrade().filter(|h| h.plugin() == plugin).map(|h| LoadedPlugin::Checkback(h))
            }
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        match self {
            InUse::Filter(filter) => filter.strong_count() == 0,
            InUse::Function(function) => function.strong_count() == 0,
            InUse::Transform(transform) => transform.strong_count() == 0,
            InUse::Consumer(consumer) => consumer.strong_count() == 0,
            InUse::Checkback(handler) => handler.strong_count() == 0,
        }
    }
}

/// Makes a plugin callable, and starts its first instance.
pub(crate) fn make(plugin: &PluginInfo, pool: Pool, counters: &Arc<Counters>) -> Result<(LoadedPlugin, InUse)> {
    Ok(match plugin.description.kind {
        PluginKind::Filter => {
            let filter = Arc::new(Scalar::new(Caller::new(plugin, Filter, pool, counters)?));
            let in_use = InUse::Filter(Arc::downgrade(&filter));
            (LoadedPlugin::Function(filter), in_use)
        }
        PluginKind::Function => {
            let kind = Function::new(&plugin.description.returns);
            let function = Arc::new(Scalar::new(Caller::new(plugin, kind, pool, counters)?));
            let in_use = InUse::Function(Arc::downgrade(&function));
            (LoadedPlugin::Function(function), in_use)
        }
        PluginKind::Transform => {
            let kind = Transform::new(plugin)?;
            let transform = Arc::new(WasmTransform::new(Caller::new(plugin, kind.clone(), pool, counters)?, kind));
            let in_use = InUse::Transform(Arc::downgrade(&transform));
            (LoadedPlugin::Transform(transform), in_use)
        }
        PluginKind::Consumer => {
            let consumer = Arc::new(WasmConsumer::new(Caller::new(plugin, Consumer::new(plugin), pool, counters)?));
            let in_use = InUse::Consumer(Arc::downgrade(&consumer));
            (LoadedPlugin::Consumer(consumer), in_use)
        }
        PluginKind::Checkback => {
            let handler = Arc::new(WasmCheckback::new(Caller::new(plugin, Checkback, pool, counters)?));
            let in_use = InUse::Checkback(Arc::downgrade(&handler));
            (LoadedPlugin::Checkback(handler), in_use)
        }
    })
}
