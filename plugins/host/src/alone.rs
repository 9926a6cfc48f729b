//! Filters that no catalog knows, for tools that try a module without a server.

use std::sync::Arc;

use millstream_engine::{Lsn, PluginHost as _, PluginId, PluginInfo, PluginLimits, Result, ScalarFunction};

use crate::host::WasmHost;
use crate::module;

impl WasmHost {
    /// Makes a filter of a module, under the name that it gives itself and the limits that a server would hold it to.
    pub fn filter_alone(&self, bytes: &[u8], config: &str, limits: &PluginLimits) -> Result<Arc<dyn ScalarFunction>> {
        let description = self.inspect_with(bytes, config, limits)?;
        let plugin = PluginInfo {
            id: PluginId(0),
            namespace: "public".to_owned(),
            name: description.name.clone(),
            version: 1,
            sha256: module::hex(&module::digest(bytes)),
            module_bytes: bytes.len() as u64,
            description,
            limits: limits.clone(),
            config: config.to_owned(),
            created: Lsn(0),
        };
        self.filter(&plugin, bytes)
    }
}
