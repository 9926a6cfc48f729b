//! Filters that no catalog knows, for tools that try a module without a server.

use std::sync::Arc;

use millstream_engine::{
    Error, LoadedPlugin, Lsn, PluginHost as _, PluginId, PluginInfo, PluginKind, PluginSettings, Result, ScalarFunction,
};

use crate::host::WasmHost;
use crate::module;

impl WasmHost {
    /// Makes a filter of a module, under the name that it gives itself and the settings that a server would hold it to.
    pub fn filter_alone(&self, bytes: &[u8], settings: &PluginSettings) -> Result<Arc<dyn ScalarFunction>> {
        let description = self.inspect_with(bytes, settings)?;
        let plugin = PluginInfo {
            id: PluginId(0),
            namespace: "public".to_owned(),
            name: description.name.clone(),
            version: 1,
            sha256: module::hex(&module::digest(bytes)),
            module_bytes: bytes.len() as u64,
            description,
            limits: settings.limits.clone(),
            config: settings.config.clone(),
            grants: settings.grants.clone(),
            created: Lsn(0),
        };
        match self.load(&plugin, bytes)? {
            LoadedPlugin::Function(filter) if plugin.description.kind == PluginKind::Filter => Ok(filter),
            _ => Err(Error::InvalidInput(format!("plugin {:?} is not a filter", plugin.name))),
        }
    }
}
