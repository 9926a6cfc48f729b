//! Plugins that no catalog knows, for tools that try a module without a server.

use std::sync::Arc;

use millstream_engine::{
    LoadedPlugin, Lsn, PluginHost as _, PluginId, PluginInfo, PluginSettings, Principal, Result, TableId, TableLookup,
};

use super::WasmHost;
use crate::contract;
use crate::modules;

impl WasmHost {
    /// Loads a module under the name that it gives itself and the settings that a server would hold it to.
    /// `tables` are those that it declares. Requests to hosts that the settings do not name are denied.
    pub fn load_alone(
        &self,
        bytes: &[u8],
        settings: &PluginSettings,
        tables: Arc<dyn TableLookup>,
    ) -> Result<LoadedPlugin> {
        let description = self.open_alone(bytes, settings)?;
        contract::check_asked_sites(&description.http_hosts, &settings.http_hosts)?;
        let tables_of_it = vec![TableId(0); description.tables.len()];
        let plugin = PluginInfo {
            id: PluginId(0),
            namespace: "public".to_owned(),
            name: description.name.clone(),
            version: 1,
            sha256: modules::hex(&modules::digest(bytes)),
            module_bytes: bytes.len() as u64,
            description,
            limits: settings.limits.clone(),
            config: settings.config.clone(),
            grants: settings.grants.clone(),
            suspended: None,
            tables: tables_of_it,
            http_hosts: settings.http_hosts.clone(),
            owner: Principal::anonymous(),
            created: Lsn(0),
        };
        self.load(&plugin, bytes, tables)
    }
}
