//! Whether a checkback fits what is defined, and whether what it stands on may change.

use super::Admitting;
use crate::contract::{CheckbackInfo, PluginInfo};
use crate::model::{Error, MessageKind, Result};
use crate::state::earlier::{free, in_use};

impl Admitting<'_> {
    pub(super) fn admit_checkback(&self, info: &CheckbackInfo) -> Result<()> {
        self.catalog.known_namespace(&info.namespace)?;
        free(self.catalog.checkback_named(&info.namespace, &info.name).is_none(), "checkback", &info.name)?;
        let table = self.catalog.known_table(info.table)?;
        if table.namespace != info.namespace {
            return Err(Error::InvalidInput("a checkback decides on a table of its own namespace".to_owned()));
        }
        match table.options.messages {
            Some(MessageKind::Any | MessageKind::Transactional) => {}
            Some(kind) => {
                let (name, kind) = (&table.name, kind.name());
                return Err(Error::InvalidInput(format!(
                    "table {name:?} is of kind '{kind}' and takes no transactions"
                )));
            }
            None => return Err(Error::InvalidInput(format!("table {:?} is no message table", table.name))),
        }
        if let Some(other) = self.catalog.checkback_of_table(info.table) {
            return in_use("table", &table.name, format!("checkback {:?}; a table has one at most", other.name));
        }
        let plugin = self.catalog.plugin_named(&info.namespace, &info.plugin);
        let plugin = plugin.ok_or_else(|| Error::NotFound { what: "plugin", name: info.plugin.clone() })?;
        match info.misfit(&plugin.description) {
            None => Ok(()),
            Some(why) => Err(Error::InvalidInput(format!(
                "plugin {:?} can't decide on half messages of table {:?}: {why}",
                plugin.name, table.name
            ))),
        }
    }

    /// A plugin's next version is asked from then on.
    pub(super) fn admit_plugin_of_checkbacks(&self, info: &PluginInfo) -> Result<()> {
        for checkback in self.catalog.checkbacks_of_plugin(&info.namespace, &info.name) {
            if let Some(why) = checkback.misfit(&info.description) {
                return Err(Error::FailedPrecondition(format!(
                    "version {} of plugin {:?} does not fit checkback {:?}: {why}; drop the checkback first",
                    info.version, info.name, checkback.name
                )));
            }
        }
        Ok(())
    }
}
