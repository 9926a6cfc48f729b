//! Continuous topics, and what stands because of them.

use std::sync::Arc;

use super::Catalog;
use crate::model::{ContinuousId, ContinuousInfo, ContinuousStart, FunctionId, PluginId, TableId};
use crate::state::RecordContext;

impl Catalog {
    pub(crate) fn continuous(&self, id: ContinuousId) -> Option<&Arc<ContinuousInfo>> {
        self.continuous.get(&id)
    }

    /// In id order.
    pub(crate) fn continuous_topics(&self) -> impl Iterator<Item = &Arc<ContinuousInfo>> {
        self.continuous.values()
    }

    pub(crate) fn continuous_named(&self, namespace: &str, name: &str) -> Option<&Arc<ContinuousInfo>> {
        let found = self.continuous_of_table(self.table_named(namespace, name)?.id)?;
        (found.name == name).then_some(found)
    }

    /// The topic whose output, or whose late rows, the table holds.
    pub(crate) fn continuous_of_table(&self, id: TableId) -> Option<&Arc<ContinuousInfo>> {
        self.continuous(*self.continuous_of.get(&id)?)
    }

    /// Topics that read a table, in id order.
    pub(crate) fn continuous_readers(&self, id: TableId) -> impl Iterator<Item = &Arc<ContinuousInfo>> {
        self.continuous_topics().filter(move |info| info.sources.contains(&id))
    }

    pub(crate) fn continuous_of_plugin(&self, id: PluginId) -> impl Iterator<Item = &Arc<ContinuousInfo>> {
        self.continuous_topics().filter(move |info| info.plugins.contains(&id))
    }

    pub(crate) fn continuous_of_function(&self, id: FunctionId) -> impl Iterator<Item = &Arc<ContinuousInfo>> {
        self.continuous_topics().filter(move |info| info.functions.contains(&id))
    }
}

/// The fold, as [`Catalog`]'s.
impl Catalog {
    /// A new topic, or the newer version of one.
    pub(super) fn put_continuous(&mut self, info: Arc<ContinuousInfo>) {
        for table in [Some(info.output), info.late].into_iter().flatten() {
            self.continuous_of.insert(table, info.id);
        }
        self.continuous.insert(info.id, info);
    }

    pub(super) fn remove_continuous(&mut self, id: ContinuousId) {
        if let Some(info) = self.continuous.remove(&id) {
            for table in [Some(info.output), info.late].into_iter().flatten() {
                self.continuous_of.remove(&table);
            }
        }
    }
}

/// A new topic, with what follows from when it is made: what was latest then is a time from then on.
pub(super) fn begun(info: &ContinuousInfo, context: RecordContext) -> ContinuousInfo {
    let mut info = info.clone();
    if info.settings.start == ContinuousStart::Latest {
        info.settings.start = ContinuousStart::At(context.append_us);
    }
    info
}
