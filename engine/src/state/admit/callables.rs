//! Whether changes of plugins and functions fit what is defined, and whether a topic may call what it calls.

use super::Admitting;
use crate::contract::{FunctionInfo, PluginInfo};
use crate::model::{Error, FunctionId, PluginId, Result, TopicId, TopicInfo, TopicSource};
use crate::state::earlier::{Earlier, free, in_use};

/// All of them are kept until the plugin is dropped.
const MAX_PLUGIN_VERSIONS: u32 = 4_096;

impl Admitting<'_> {
    /// A plugin's next version; functions that stand on it must fit it.
    pub(super) fn admit_plugin(&self, info: &PluginInfo) -> Result<()> {
        self.catalog.known_namespace(&info.namespace)?;
        free(self.catalog.function_named(&info.namespace, &info.name).is_none(), "function", &info.name)?;
        let newest = self.catalog.plugin_named(&info.namespace, &info.name).map_or(0, |plugin| plugin.version);
        if newest >= MAX_PLUGIN_VERSIONS {
            return Err(Error::FailedPrecondition(format!(
                "plugin {:?} has had {MAX_PLUGIN_VERSIONS} versions, which is the limit; create one of another name",
                info.name
            )));
        }
        if info.tables.len() != info.description.tables.len() {
            return Err(Error::InvalidInput(format!("plugin {:?} reads other tables than it declares", info.name)));
        }
        for table in &info.tables {
            if self.catalog.known_table(*table)?.namespace != info.namespace {
                return Err(Error::InvalidInput("a plugin reads tables of its own namespace".to_owned()));
            }
        }
        free(info.version == newest.saturating_add(1), "plugin", &info.name)?;
        for function in self.catalog.functions_of_plugin(&info.namespace, &info.name) {
            if let Some(why) = function.misfit(&info.description) {
                return Err(Error::FailedPrecondition(format!(
                    "version {} of plugin {:?} does not fit function {:?}: {why}; drop the function first",
                    info.version, info.name, function.name
                )));
            }
        }
        self.admit_plugin_of_checkbacks(info)
    }

    pub(super) fn admit_plugin_drop(&self, id: PluginId, earlier: &Earlier<'_>) -> Result<()> {
        let found = self.catalog.plugin(id);
        let plugin = found.ok_or_else(|| Error::gone("plugin"))?;
        for version in self.catalog.plugin_versions(&plugin.namespace, &plugin.name) {
            let mut topics = self.catalog.topics_of_plugin(version.id);
            if let Some(topic) = topics.find(|topic| !earlier.dropped_topics.contains(&topic.id)) {
                return in_use("plugin", &plugin.name, format!("topic {:?}", topic.name));
            }
            let mut continuous = self.catalog.continuous_of_plugin(version.id);
            if let Some(by) = continuous.find(|by| !earlier.dropped_continuous.contains(&by.id)) {
                return in_use("plugin", &plugin.name, format!("continuous topic {:?}", by.name));
            }
            if let Some(by) = self.catalog.consumer_of_plugin(version.id) {
                return in_use("plugin", &plugin.name, format!("consumer {:?}", by.name));
            }
        }
        if let Some(by) = self.catalog.checkback_of_plugin(&plugin.namespace, &plugin.name) {
            return in_use("plugin", &plugin.name, format!("checkback {:?}", by.name));
        }
        let mut functions = self.catalog.functions_of_plugin(&plugin.namespace, &plugin.name);
        functions
            .next()
            .map_or(Ok(()), |function| in_use("plugin", &plugin.name, format!("function {:?}", function.name)))
    }

    pub(super) fn admit_function(&self, info: &FunctionInfo) -> Result<()> {
        self.catalog.known_namespace(&info.namespace)?;
        free(self.catalog.function_named(&info.namespace, &info.name).is_none(), "function", &info.name)?;
        free(self.catalog.plugin_named(&info.namespace, &info.name).is_none(), "plugin", &info.name)?;
        let plugin = self.catalog.plugin_named(&info.namespace, &info.plugin);
        let plugin = plugin.ok_or_else(|| Error::NotFound { what: "plugin", name: info.plugin.clone() })?;
        match info.misfit(&plugin.description) {
            None => Ok(()),
            Some(why) => Err(Error::InvalidInput(format!(
                "plugin {:?} can't stand behind function {:?}: {why}",
                plugin.name, info.name
            ))),
        }
    }

    pub(super) fn admit_function_drop(&self, id: FunctionId, earlier: &Earlier<'_>) -> Result<()> {
        let found = self.catalog.function(id);
        let function = found.ok_or_else(|| Error::gone("function"))?;
        let mut continuous = self.catalog.continuous_of_function(id);
        if let Some(by) = continuous.find(|by| !earlier.dropped_continuous.contains(&by.id)) {
            return in_use("function", &function.name, format!("continuous topic {:?}", by.name));
        }
        let mut topics = self.catalog.topics_of_function(id);
        let topic = topics.find(|topic| !earlier.dropped_topics.contains(&topic.id));
        topic.map_or(Ok(()), |topic| in_use("function", &function.name, format!("topic {:?}", topic.name)))
    }

    /// A shadow is another version of what the topic calls.
    pub(super) fn admit_shadow(&self, topic: TopicId, shadow: Option<PluginId>) -> Result<()> {
        let topic = self.select_topic(topic)?;
        let Some(id) = shadow else { return Ok(()) };
        let plugin = self.catalog.plugin(id).filter(|plugin| plugin.namespace == topic.namespace);
        let plugin = plugin.ok_or_else(|| Error::gone("plugin"))?;
        let TopicSource::Select { plugins, .. } = &topic.source else { return Ok(()) };
        let mut called = plugins.iter().filter_map(|called| self.catalog.plugin(*called));
        if called.any(|called| called.name == plugin.name) {
            return Ok(());
        }
        Err(Error::InvalidInput(format!("topic {:?} does not call plugin {:?}", topic.name, plugin.name)))
    }

    /// What a topic calls stands in its namespace.
    pub(super) fn admit_calls(&self, topic: &TopicInfo) -> Result<()> {
        let TopicSource::Select { plugins, functions, .. } = &topic.source else {
            return Err(Error::InvalidInput("identity topics come with their table".to_owned()));
        };
        self.admit_called(&topic.namespace, plugins, functions)
    }

    pub(super) fn admit_called(&self, namespace: &str, plugins: &[PluginId], functions: &[FunctionId]) -> Result<()> {
        let mut names = Vec::with_capacity(plugins.len());
        for id in plugins {
            let plugin = self.catalog.plugin(*id).filter(|plugin| plugin.namespace == namespace);
            let plugin = plugin.ok_or_else(|| Error::gone("plugin"))?;
            if names.contains(&plugin.name.as_str()) {
                return Err(Error::InvalidInput(format!("a topic calls one version of plugin {:?}", plugin.name)));
            }
            names.push(plugin.name.as_str());
        }
        for id in functions {
            let function = self.catalog.function(*id).filter(|function| function.namespace == namespace);
            let function = function.ok_or_else(|| Error::gone("function"))?;
            if !names.contains(&function.plugin.as_str()) {
                return Err(Error::NotFound { what: "plugin", name: function.plugin.clone() });
            }
        }
        Ok(())
    }
}
