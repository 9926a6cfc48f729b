//! Consumers that are plugins, and what stands because of them.

use std::sync::Arc;

use super::Catalog;
use crate::contract::PluginInfo;
use crate::model::letters_table;
use crate::model::{ConsumerId, OnError, PluginConsumerInfo, PluginId, TableId, TableInfo, TopicId};

impl Catalog {
    pub(crate) fn consumer(&self, id: ConsumerId) -> Option<&Arc<PluginConsumerInfo>> {
        self.consumers.get(&id)
    }

    pub(crate) fn consumer_named(&self, namespace: &str, name: &str) -> Option<&Arc<PluginConsumerInfo>> {
        self.consumer(*self.namespaces.get(namespace)?.consumers.get(name)?)
    }

    /// The table of a consumer's dead letters, if it keeps any.
    pub(crate) fn letters_of_consumer(&self, consumer: &PluginConsumerInfo) -> Option<&Arc<TableInfo>> {
        let keeps = consumer.settings.on_error == OnError::DeadLetter;
        keeps.then(|| self.table_named(&consumer.namespace, &letters_table(&consumer.name))).flatten()
    }

    /// In id order.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = &Arc<PluginConsumerInfo>> {
        self.consumers.values()
    }

    /// The consumer that moves a group's offsets.
    pub(crate) fn consumer_of_group(&self, namespace: &str, group: &str) -> Option<&Arc<PluginConsumerInfo>> {
        self.consumers().find(|consumer| consumer.namespace == namespace && consumer.group == group)
    }

    pub(crate) fn consumer_of_topic(&self, id: TopicId) -> Option<&Arc<PluginConsumerInfo>> {
        self.consumers().find(|consumer| consumer.topic == id)
    }

    /// One that reads the table by its identity topic, or writes to it.
    pub(crate) fn consumer_of_table(&self, id: TableId) -> Option<&Arc<PluginConsumerInfo>> {
        self.consumers().find(|consumer| consumer.topic == TopicId(id.0) || consumer.tables().any(|table| table == id))
    }

    /// A plugin that looks rows of the table up: in its newest version, or in one that a consumer calls.
    pub(crate) fn reader_of_table(&self, id: TableId) -> Option<&Arc<PluginInfo>> {
        self.plugins().filter(|plugin| plugin.tables.contains(&id)).find(|plugin| {
            let newest = self.plugin_named(&plugin.namespace, &plugin.name);
            newest.is_some_and(|newest| newest.id == plugin.id) || self.consumer_of_plugin(plugin.id).is_some()
        })
    }

    pub(crate) fn consumer_of_plugin(&self, id: PluginId) -> Option<&Arc<PluginConsumerInfo>> {
        self.consumers().find(|consumer| consumer.plugins().any(|plugin| plugin == id))
    }
}

/// The fold, as [`Catalog`]'s.
impl Catalog {
    /// A new consumer, or the newer version of one.
    pub(super) fn put_consumer(&mut self, info: Arc<PluginConsumerInfo>) {
        self.names(&info.namespace).consumers.insert(Arc::from(info.name.as_str()), info.id);
        self.consumers.insert(info.id, info);
    }

    pub(super) fn remove_consumer(&mut self, id: ConsumerId) {
        if let Some(info) = self.consumers.remove(&id) {
            self.names(&info.namespace).consumers.remove(info.name.as_str());
        }
    }
}
