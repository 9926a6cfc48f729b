//! Plugins: their modules lie in `plugins/<sha256>.wasm`, durable before the record that names them.

use std::sync::Arc;

use super::names::{check_name, check_namespace};
use crate::access::{Action, ObjectKind};
use crate::contract::{LoadedPlugin, PluginInfo, PluginSpec, TopicPlugins};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{Error, Lsn, PluginId, Result, TopicInfo};
use crate::state::Change;

const MAX_CONFIG_BYTES: usize = 64 << 10;

impl Engine {
    /// Inspects, stores and records a module. `replace` makes the next version of a name that exists.
    pub fn create_plugin(&self, who: &Principal, spec: PluginSpec, replace: bool) -> Result<Arc<PluginInfo>> {
        let session = self.session(who)?;
        let found = self.plugin_named(&spec.namespace, &spec.name);
        match &found {
            Some(plugin) => session.allow(Action::Define, plugin.as_ref())?,
            None => session.create(ObjectKind::Plugin, &spec.namespace, &spec.name)?,
        }
        let settings = &spec.settings;
        // What it may reach beside its rows is the operator's to say.
        if !settings.grants.is_empty() || !settings.http_hosts.is_empty() {
            session.namespace(Action::Operate, &spec.namespace)?;
        }
        check_namespace(&spec.namespace)?;
        check_name("plugin", &spec.name)?;
        if settings.config.len() > MAX_CONFIG_BYTES {
            let size = settings.config.len() as u64;
            let hint = "keep large settings in the module";
            return Err(Error::TooLarge { what: "a plugin's config", size, limit: MAX_CONFIG_BYTES as u64, hint });
        }
        if found.is_some() && !replace {
            return Err(Error::AlreadyExists { what: "plugin", name: spec.name });
        }
        self.rooms.plugins.modules.check_size(&spec.module)?;
        let host = self.rooms.plugins.host.read().clone();
        let host = host.ok_or_else(|| Error::Unsupported("this engine was opened without a plugin host".to_owned()))?;
        let description = host.inspect_with(&spec.namespace, &spec.name, &spec.module, settings)?;
        self.rooms.plugins.modules.keep(&spec.module, |sha256| {
            self.define(|engine| {
                engine.check_within_namespace(&spec, sha256)?;
                let tables = session.tables_of(&spec.namespace, &description.tables, &settings.tables)?;
                let newest = engine.plugin_named(&spec.namespace, &spec.name);
                let info = PluginInfo {
                    id: PluginId(0),
                    namespace: spec.namespace.clone(),
                    name: spec.name.clone(),
                    version: newest.as_ref().map_or(1, |newest| newest.version.saturating_add(1)),
                    sha256: sha256.to_owned(),
                    module_bytes: spec.module.len() as u64,
                    description: description.clone(),
                    limits: settings.limits.clone(),
                    config: settings.config.clone(),
                    grants: settings.grants.clone(),
                    suspended: None,
                    tables,
                    http_hosts: settings.http_hosts.clone(),
                    owner: newest.map_or_else(|| who.clone(), |newest| newest.owner.clone()),
                    created: Lsn(0),
                };
                match engine.record(who, vec![Change::PluginCreated(Box::new(info))]) {
                    Ok(lsn) => engine.rooms.ledger.plugin(PluginId(lsn.0)),
                    Err(Error::AlreadyExists { name, .. }) if replace => {
                        Err(Error::Busy(format!("plugin {name:?} was replaced meanwhile")))
                    }
                    Err(error) => Err(error),
                }
            })
        })
    }

    /// Refused while a topic or consumer calls any version of it, or a function is made of it.
    pub fn drop_plugin(&self, who: &Principal, namespace: &str, name: &str) -> Result<()> {
        let session = self.session(who)?;
        let plugin = session.plugin(Action::Define, namespace, name)?;
        session.veiled(namespace, self.record(who, vec![Change::PluginDropped { plugin: plugin.id }]))?;
        // A file that is held is swept with the next plugin, or at the next opening.
        if let Some(_deleting) = self.rooms.maintenance.deleting() {
            self.rooms.plugins.modules.sweep(&self.rooms.ledger.state, &self.rooms.ledger.events);
        }
        Ok(())
    }

    /// The newest version.
    pub fn plugin(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<PluginInfo>> {
        self.session(who)?.plugin(Action::See, namespace, name)
    }

    /// One version of a plugin. All of them stay until the plugin is dropped.
    pub fn plugin_version(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
        version: u32,
    ) -> Result<Arc<PluginInfo>> {
        self.session(who)?.plugin_version(Action::See, namespace, name, version)
    }

    /// One version, by its id.
    pub fn plugin_by_id(&self, who: &Principal, id: PluginId) -> Result<Arc<PluginInfo>> {
        self.session(who)?.plugin_by_id(Action::See, id)
    }

    /// The module of a plugin version.
    pub fn plugin_module(&self, who: &Principal, plugin: &PluginInfo) -> Result<Arc<[u8]>> {
        self.session(who)?.allow(Action::Use, plugin)?;
        self.rooms.plugins.modules.read(plugin).map(Arc::from)
    }

    /// Newest versions, by namespace and name.
    pub fn plugins(&self, who: &Principal) -> Result<Vec<Arc<PluginInfo>>> {
        let session = self.session(who)?;
        let state = self.rooms.ledger.state.read();
        let catalog = state.catalog();
        let is_newest = |plugin: &&Arc<PluginInfo>| {
            catalog.plugin_named(&plugin.namespace, &plugin.name).is_some_and(|newest| newest.id == plugin.id)
        };
        let newest: Vec<_> = catalog.plugins().filter(is_newest).cloned().collect();
        drop(state);
        let mut plugins = session.allowed_of(Action::See, newest, |plugin| plugin.as_ref().into());
        plugins.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(plugins)
    }

    /// One plugin version, callable. All callers share it, and so its pool of instances.
    pub fn load_plugin(&self, who: &Principal, id: PluginId) -> Result<LoadedPlugin> {
        let plugin = self.session(who)?.plugin_by_id(Action::Use, id)?;
        self.rooms.plugins.loaded_plugin(&plugin)
    }

    /// What a topic calls, at the versions that it records.
    pub fn topic_plugins(&self, who: &Principal, topic: &TopicInfo) -> Result<TopicPlugins> {
        self.session(who)?.allow(Action::See, topic)?;
        self.rooms.plugins.topic_plugins(topic)
    }

    fn plugin_named(&self, namespace: &str, name: &str) -> Option<Arc<PluginInfo>> {
        self.rooms.ledger.state.read().catalog().plugin_named(namespace, name).cloned()
    }
}
