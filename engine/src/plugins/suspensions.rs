//! Suspended plugins stay so: what the host has noticed is recorded, and told to it when a version is loaded anew.

use super::Plugins;
use crate::contract::PluginSuspension;
use crate::model::{PluginId, Result};
use crate::state::Change;
use crate::state::Submission;

/// Records what the host has suspended since it was last asked.
pub(crate) fn record(plugins: &Plugins) -> Result<()> {
    let Some(host) = plugins.host.read().clone() else { return Ok(()) };
    let noticed = host.suspensions();
    if noticed.is_empty() {
        return Ok(());
    }
    let unrecorded: Vec<(PluginId, PluginSuspension)> = {
        let state = plugins.ledger.state.read();
        let is_new = |id: &PluginId| state.plugin(*id).is_some_and(|plugin| plugin.suspended.is_none());
        noticed.into_iter().filter(|(id, _)| is_new(id)).collect()
    };
    for (plugin, why) in unrecorded {
        let changes = vec![Change::PluginSuspended { plugin, suspended: Some(why.clone()) }];
        plugins.ledger.log.submit(Submission::of(changes))?.wait()?;
        if let Ok(info) = plugins.ledger.plugin(plugin) {
            let (name, version, reason) = (&info.name, info.version, why.reason);
            plugins.ledger.events.push("plugin_suspended", format!("plugin {name:?} version {version}: {reason}"));
        }
    }
    Ok(())
}
