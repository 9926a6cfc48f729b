//! Checkbacks: what decides on half messages, one of a table at most.

use std::sync::Arc;

use super::Catalog;
use crate::contract::CheckbackInfo;
use crate::model::{CheckbackId, TableId};

impl Catalog {
    pub(crate) fn checkback(&self, id: CheckbackId) -> Option<&Arc<CheckbackInfo>> {
        self.checkbacks.get(&id)
    }

    pub(crate) fn checkback_named(&self, namespace: &str, name: &str) -> Option<&Arc<CheckbackInfo>> {
        self.checkback(*self.namespaces.get(namespace)?.checkbacks.get(name)?)
    }

    pub(crate) fn checkback_of_table(&self, id: TableId) -> Option<&Arc<CheckbackInfo>> {
        self.checkback(*self.checkback_of.get(&id)?)
    }

    /// One that asks the plugin of this name, whatever its version.
    pub(crate) fn checkback_of_plugin(&self, namespace: &str, name: &str) -> Option<&Arc<CheckbackInfo>> {
        self.checkbacks().find(|checkback| checkback.namespace == namespace && checkback.plugin == name)
    }

    pub(crate) fn checkbacks_of_plugin<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Arc<CheckbackInfo>> {
        self.checkbacks().filter(move |checkback| checkback.namespace == namespace && checkback.plugin == name)
    }

    /// In id order.
    pub(crate) fn checkbacks(&self) -> impl Iterator<Item = &Arc<CheckbackInfo>> {
        self.checkbacks.values()
    }
}

/// The fold, as [`Catalog`]'s.
impl Catalog {
    pub(super) fn put_checkback(&mut self, info: Arc<CheckbackInfo>) {
        self.names(&info.namespace).checkbacks.insert(Arc::from(info.name.as_str()), info.id);
        self.checkback_of.insert(info.table, info.id);
        self.checkbacks.insert(info.id, info);
    }

    pub(super) fn remove_checkback(&mut self, id: CheckbackId) {
        if let Some(info) = self.checkbacks.remove(&id) {
            self.names(&info.namespace).checkbacks.remove(info.name.as_str());
            self.checkback_of.remove(&info.table);
        }
    }
}
