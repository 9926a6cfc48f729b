//! Checkback handlers, and the tables that plugins read.

use arrow_array::RecordBatch;

use super::session::Session;
use crate::access::Action;
use crate::contract::{Checked, LoadedPlugin, check};
use crate::front::Engine;
use crate::lookups::TableUse;
use crate::model::Principal;
use crate::model::{Error, Result, TableId};
use crate::plugins::bind;

impl Engine {
    /// Asks the newest version of a checkback handler what became of transactions; a half message a row. Columns are found
    /// by their names. Where the handler fails, rows are unknown, and [`Checked::faults`] says why.
    pub fn check_half_messages(
        &self,
        who: &Principal,
        namespace: &str,
        plugin: &str,
        half_messages: &RecordBatch,
    ) -> Result<Checked> {
        let plugin = self.session(who)?.plugin(Action::Use, namespace, plugin)?;
        match self.rooms.plugins.loaded_plugin(&plugin)? {
            LoadedPlugin::Checkback(handler) => check(&handler, half_messages),
            _ => {
                let (name, kind) = (&plugin.name, plugin.description.kind.name());
                Err(Error::InvalidInput(format!("plugin {name:?} is a {kind}, not a checkback handler")))
            }
        }
    }
}

impl Session<'_> {
    /// The tables that a plugin declares, in its order; `named` says which they are.
    pub(super) fn tables_of(
        &self,
        namespace: &str,
        declared: &[TableUse],
        named: &[(String, String)],
    ) -> Result<Vec<TableId>> {
        if let Some((name, _)) = named.iter().find(|(name, _)| !declared.iter().any(|used| used.name == *name)) {
            let has: Vec<&str> = declared.iter().map(|used| used.name.as_str()).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            return Err(Error::InvalidInput(format!("the module declares no table {name:?}; it declares {has}")));
        }
        let tables = declared.iter().map(|used| {
            let name = named.iter().find(|(name, _)| *name == used.name).map(|(_, table)| table);
            let name = name.ok_or_else(|| used.not_granted())?;
            let table = self.table(Action::Read, namespace, name)?;
            bind(&table, used)?;
            Ok(table.id)
        });
        tables.collect()
    }
}
