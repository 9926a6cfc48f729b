//! Plugins at work: figures, log lines, and the end of a suspension.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access::{Action, Object, ObjectKind};
use crate::contract::{PluginCalls, PluginInfo, PluginLogLine, PluginSuspension};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{PluginId, Result};
use crate::state::Change;

impl Engine {
    /// What calls of each plugin version have come to since the server was started, by namespace, name and version.
    /// Versions that were never loaded are left out.
    pub fn plugin_calls(&self, who: &Principal) -> Result<Vec<(Arc<PluginInfo>, PluginCalls)>> {
        let session = self.session(who)?;
        let Some(host) = self.rooms.plugins.host.read().clone() else { return Ok(Vec::new()) };
        let calls = host.calls();
        let state = self.rooms.ledger.state.read();
        let known = calls.into_iter().filter_map(|calls| Some((state.plugin(calls.plugin)?.clone(), calls)));
        let known: Vec<_> = known.collect();
        drop(state);
        let mut known = session.allowed_of(Action::See, known, |(plugin, _)| plugin.as_ref().into());
        known.sort_by(|(a, _), (b, _)| (&a.namespace, &a.name, a.version).cmp(&(&b.namespace, &b.name, b.version)));
        Ok(known)
    }

    /// The newest lines that guests have logged, in order of time.
    pub fn plugin_log(&self, who: &Principal) -> Result<Vec<PluginLogLine>> {
        let session = self.session(who)?;
        let lines = self.rooms.plugins.host.read().clone().map_or_else(Vec::new, |host| host.log_lines());
        let state = self.rooms.ledger.state.read();
        // Lines outlast their plugin, which nobody owns then.
        let owned = lines.into_iter().map(|line| {
            let plugin = state.catalog().plugin_named(&line.namespace, &line.plugin);
            let owner = plugin.map(|plugin| plugin.owner.clone());
            (line, owner)
        });
        let owned: Vec<_> = owned.collect();
        drop(state);
        let seen = session.allowed_of(Action::Operate, owned, |(line, owner)| Object {
            kind: ObjectKind::Plugin,
            namespace: &line.namespace,
            name: &line.plugin,
            owner: owner.as_ref(),
        });
        let mut lines: Vec<_> = seen.into_iter().map(|(line, _)| line).collect();
        lines.sort_by_key(|line| line.at_us);
        Ok(lines)
    }

    /// Plugin versions that are not called, and why; by namespace, name and version.
    pub fn suspended_plugins(&self, who: &Principal) -> Result<Vec<(Arc<PluginInfo>, PluginSuspension)>> {
        let session = self.session(who)?;
        let host = self.rooms.plugins.host.read().clone();
        let noticed: HashMap<PluginId, PluginSuspension> =
            host.map_or_else(Vec::new, |host| host.suspensions()).into_iter().collect();
        let state = self.rooms.ledger.state.read();
        let known = state.catalog().plugins().filter_map(|plugin| {
            let why = noticed.get(&plugin.id).or(plugin.suspended.as_ref())?;
            Some((plugin.clone(), why.clone()))
        });
        let known: Vec<_> = known.collect();
        drop(state);
        let mut known = session.allowed_of(Action::See, known, |(plugin, _)| plugin.as_ref().into());
        known.sort_by(|(a, _), (b, _)| (&a.namespace, &a.name, a.version).cmp(&(&b.namespace, &b.name, b.version)));
        Ok(known)
    }

    /// Lets every suspended version of a plugin be called again; gives their numbers.
    pub fn resume_plugin(&self, who: &Principal, namespace: &str, name: &str) -> Result<Vec<u32>> {
        self.session(who)?.plugin(Action::Define, namespace, name)?;
        let state = self.rooms.ledger.state.read();
        let versions: Vec<_> = state.catalog().plugin_versions(namespace, name).cloned().collect();
        drop(state);
        let host = self.rooms.plugins.host.read().clone();
        // The host first: what it notices from now on is recorded after this.
        let is_resumed = |plugin: &Arc<PluginInfo>| {
            host.as_ref().is_some_and(|host| host.resume(plugin.id)) || plugin.suspended.is_some()
        };
        let resumed: Vec<_> = versions.into_iter().filter(is_resumed).collect();
        let changes = resumed.iter().map(|plugin| Change::PluginSuspended { plugin: plugin.id, suspended: None });
        if !resumed.is_empty() {
            self.record(who, changes.collect())?;
        }
        let resumed: Vec<u32> = resumed.iter().map(|plugin| plugin.version).collect();
        if !resumed.is_empty() {
            self.rooms
                .ledger
                .events
                .push("plugin_resumed", format!("plugin {name:?} version {resumed:?} is called again"));
        }
        Ok(resumed)
    }
}
