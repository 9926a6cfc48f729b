//! Plugins and functions, and which topics call them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Catalog;
use crate::contract::{FunctionInfo, PluginInfo};
use crate::model::{FunctionId, PluginId, TopicId, TopicInfo, TopicSource};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plugin {
    info: Arc<PluginInfo>,
    /// Topics that call this version.
    topics: BTreeSet<TopicId>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Function {
    info: Arc<FunctionInfo>,
    /// Topics that call it by its name.
    topics: BTreeSet<TopicId>,
}

impl Catalog {
    pub(crate) fn plugin(&self, id: PluginId) -> Option<&Arc<PluginInfo>> {
        self.plugins.get(&id).map(|plugin| &plugin.info)
    }

    /// Versions of a plugin, oldest first.
    pub(crate) fn plugin_versions(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl DoubleEndedIterator<Item = &Arc<PluginInfo>> {
        let versions = self.namespaces.get(namespace).and_then(|names| names.plugins.get(name));
        versions.into_iter().flatten().filter_map(|id| self.plugin(*id))
    }

    /// The newest version.
    pub(crate) fn plugin_named(&self, namespace: &str, name: &str) -> Option<&Arc<PluginInfo>> {
        self.plugin_versions(namespace, name).next_back()
    }

    /// Every version of every plugin, in id order.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = &Arc<PluginInfo>> {
        self.plugins.values().map(|plugin| &plugin.info)
    }

    /// Topics that call this version of a plugin.
    pub(crate) fn topics_of_plugin(&self, id: PluginId) -> impl Iterator<Item = &Arc<TopicInfo>> {
        let topics = self.plugins.get(&id).into_iter().flat_map(|plugin| &plugin.topics);
        topics.filter_map(|topic| self.topics.get(topic))
    }

    pub(crate) fn function(&self, id: FunctionId) -> Option<&Arc<FunctionInfo>> {
        self.functions.get(&id).map(|function| &function.info)
    }

    pub(crate) fn function_named(&self, namespace: &str, name: &str) -> Option<&Arc<FunctionInfo>> {
        self.function(*self.namespaces.get(namespace)?.functions.get(name)?)
    }

    /// In id order.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &Arc<FunctionInfo>> {
        self.functions.values().map(|function| &function.info)
    }

    /// Functions made of the plugin of this name, whatever its version.
    pub(crate) fn functions_of_plugin<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Arc<FunctionInfo>> {
        self.functions().filter(move |function| function.namespace == namespace && function.plugin == name)
    }

    /// Topics that call a function by its name.
    pub(crate) fn topics_of_function(&self, id: FunctionId) -> impl Iterator<Item = &Arc<TopicInfo>> {
        let topics = self.functions.get(&id).into_iter().flat_map(|function| &function.topics);
        topics.filter_map(|topic| self.topics.get(topic))
    }
}

/// The fold, as [`Catalog`]'s.
impl Catalog {
    pub(super) fn put_plugin(&mut self, info: Arc<PluginInfo>) {
        let versions = self.names(&info.namespace).plugins.entry(Arc::from(info.name.as_str())).or_default();
        if !versions.contains(&info.id) {
            versions.push(info.id);
        }
        // Of one that is there only what is said of it changes.
        let topics = self.plugins.remove(&info.id).map(|plugin| plugin.topics).unwrap_or_default();
        self.plugins.insert(info.id, Plugin { info, topics });
    }

    /// Every version of the name that `id` has; gives their ids.
    pub(super) fn remove_plugin(&mut self, id: PluginId) -> Vec<PluginId> {
        let Some(info) = self.plugin(id).cloned() else { return Vec::new() };
        let versions = self.names(&info.namespace).plugins.remove(info.name.as_str()).unwrap_or_default();
        for version in &versions {
            self.plugins.remove(version);
        }
        versions
    }

    pub(super) fn put_function(&mut self, info: Arc<FunctionInfo>) {
        self.names(&info.namespace).functions.insert(Arc::from(info.name.as_str()), info.id);
        self.functions.insert(info.id, Function { info, topics: BTreeSet::new() });
    }

    pub(super) fn remove_function(&mut self, id: FunctionId) {
        if let Some(Function { info, .. }) = self.functions.remove(&id) {
            self.names(&info.namespace).functions.remove(info.name.as_str());
        }
    }

    pub(super) fn link_callables(&mut self, topic: &TopicInfo) {
        self.each_caller_set(topic, |topics| topics.insert(topic.id));
    }

    pub(super) fn unlink_callables(&mut self, topic: &TopicInfo) {
        self.each_caller_set(topic, |topics| topics.remove(&topic.id));
    }

    fn each_caller_set(&mut self, topic: &TopicInfo, change: impl Fn(&mut BTreeSet<TopicId>) -> bool) {
        let TopicSource::Select { functions, .. } = &topic.source else { return };
        for plugin in topic.plugins().chain(topic.shadow) {
            self.plugins.get_mut(&plugin).map(|plugin| change(&mut plugin.topics));
        }
        for function in functions {
            self.functions.get_mut(function).map(|function| change(&mut function.topics));
        }
    }
}
