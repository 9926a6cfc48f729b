//! What a namespace lets its plugins have, when they are created.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::{PluginLimits, PluginSpec};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{Error, NamespaceLimit, NamespaceUsage, Result};

impl Engine {
    /// The defaults of a plugin's limits, no higher than its namespace lets them be.
    pub fn default_plugin_limits(&self, who: &Principal, namespace: &str) -> Result<PluginLimits> {
        let bounds = self.namespace_limits(who, namespace)?;
        let most = |limit| bounds.bound(limit);
        let small = |limit| most(limit).map(|bound| u32::try_from(bound).unwrap_or(u32::MAX));
        let mut limits = PluginLimits::default();
        limits.memory_bytes = limits.memory_bytes.min(most(NamespaceLimit::PluginMemory).unwrap_or(u64::MAX));
        limits.call_timeout_ms = limits.call_timeout_ms.min(most(NamespaceLimit::PluginTimeoutMax).unwrap_or(u64::MAX));
        limits.concurrency = limits.concurrency.min(small(NamespaceLimit::PluginConcurrency).unwrap_or(u32::MAX));
        limits.log_rate = limits.log_rate.min(small(NamespaceLimit::PluginLogRate).unwrap_or(u32::MAX));
        Ok(limits)
    }

    /// Refuses a plugin that could take more than its namespace, and one too many.
    pub(super) fn check_within_namespace(&self, spec: &PluginSpec, sha256: &str) -> Result<()> {
        let bounds = self.rooms.plugins.namespace_limits(&spec.namespace);
        let limits = &spec.settings.limits;
        let own = [
            ("memory", NamespaceLimit::PluginMemory, limits.memory_bytes),
            ("timeout", NamespaceLimit::PluginTimeoutMax, limits.call_timeout_ms),
            ("concurrency", NamespaceLimit::PluginConcurrency, limits.concurrency.into()),
            ("cpu", NamespaceLimit::PluginCpu, limits.cpu_milli.unwrap_or(0).into()),
            ("log", NamespaceLimit::PluginLogRate, limits.log_rate.into()),
        ];
        for (option, limit, value) in own {
            let Some(bound) = bounds.bound(limit).filter(|bound| value > *bound) else { continue };
            return Err(Error::InvalidInput(format!(
                "{option} is {}, and {} of namespace {:?} is {}",
                shown(limit, value),
                limit.name(),
                spec.namespace,
                shown(limit, bound)
            )));
        }
        let mut kept = self.kept(&spec.namespace);
        kept.names.insert(spec.name.clone());
        kept.modules.insert(sha256.to_owned(), spec.module.len() as u64);
        let all = [
            (NamespaceLimit::PluginCount, kept.names.len() as u64, "drop plugins that are not used"),
            (
                NamespaceLimit::PluginModuleBytes,
                kept.modules.values().sum(),
                "drop plugins that are not used; a plugin's old versions go with it",
            ),
        ];
        for (limit, value, hint) in all {
            let Some(bound) = bounds.bound(limit).filter(|bound| value > *bound) else { continue };
            let (what, namespace) = (limit.name(), &spec.namespace);
            return Err(Error::FailedPrecondition(format!(
                "{what} of namespace {namespace:?} is {bound}, and with plugin {:?} it would be {value}; {hint}, or raise it \
                 with ALTER NAMESPACE",
                spec.name
            )));
        }
        Ok(())
    }

    /// What the plugins of each namespace take, in name order.
    pub fn namespace_usage(&self, who: &Principal) -> Result<Vec<NamespaceUsage>> {
        let names = self.namespaces(who)?;
        let known = self.rooms.plugins.host.read().clone().map_or_else(Vec::new, |host| host.namespace_usage());
        let mut known: BTreeMap<String, NamespaceUsage> =
            known.into_iter().map(|usage| (usage.namespace.clone(), usage)).collect();
        let usage = |namespace: String| {
            let usage = known.remove(&namespace).unwrap_or_default();
            let kept = self.kept(&namespace);
            let (plugins, module_bytes) = (kept.names.len() as u64, kept.modules.values().sum());
            NamespaceUsage { namespace, plugins, module_bytes, ..usage }
        };
        Ok(names.into_iter().map(usage).collect())
    }

    fn kept(&self, namespace: &str) -> Kept {
        let mut kept = Kept::default();
        let state = self.rooms.ledger.state.read();
        for plugin in state.catalog().plugins().filter(|plugin| plugin.namespace == namespace) {
            kept.names.insert(plugin.name.clone());
            kept.modules.insert(plugin.sha256.clone(), plugin.module_bytes);
        }
        kept
    }
}

/// What a namespace has of plugins.
#[derive(Debug, Default)]
struct Kept {
    names: BTreeSet<String>,
    /// Bytes by digest.
    modules: BTreeMap<String, u64>,
}

fn shown(limit: NamespaceLimit, value: u64) -> String {
    match limit {
        // Below 2^32.
        NamespaceLimit::PluginCpu => format!("{}", value as f64 / 1e3),
        NamespaceLimit::PluginTimeoutMax => format!("{value} ms"),
        _ => value.to_string(),
    }
}
