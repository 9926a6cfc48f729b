//! What calls name, found and then checked for the principal who calls.

use std::sync::Arc;

use crate::access::{Action, Object, ObjectKind};
use crate::audit::Audit;
use crate::contract::{CheckbackInfo, FunctionInfo, PluginInfo};
use crate::front::Engine;
use crate::identities::{Rights, Scope};
use crate::log::Ledger;
use crate::model::{
    ConsumerConfig, ContinuousInfo, Error, FunctionId, NamespaceLimit, NamespaceLimitChanges, PluginConsumerInfo,
    PluginId, Principal, Result, TableId, TableInfo, TopicId, TopicInfo,
};

/// A principal's way to objects; every call of the front has one. An object is found first, so that its owner is known, and
/// then checked. What is to be created is checked by its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session<'a> {
    ledger: &'a Ledger,
    audit: &'a Audit,
    pub(super) who: &'a Principal,
}

impl Engine {
    pub(super) fn session<'a>(&'a self, who: &'a Principal) -> Result<Session<'a>> {
        self.rooms.ledger.check_open()?;
        self.rooms.ledger.access.check_login(who)?;
        Ok(self.observer(who))
    }

    /// As [`Self::session`], also of a store that is closed or has lost a thread, for calls that tell of just that.
    pub(super) fn observer<'a>(&'a self, who: &'a Principal) -> Session<'a> {
        Session { ledger: &self.rooms.ledger, audit: &self.rooms.audit, who }
    }
}

impl Session<'_> {
    pub(super) fn allow<'o>(&self, action: Action, object: impl Into<Object<'o>>) -> Result<()> {
        self.check(action, &object.into())
    }

    /// All that is refused to callers is refused here, and told of.
    fn check(&self, action: Action, object: &Object<'_>) -> Result<()> {
        let access = &self.ledger.access;
        let answer = access.check(self.who, action, object);
        self.audit.checked(access, self.who, action, object, &answer);
        answer
    }

    /// What the principal may do this to, of a list. Not to be called while the state is locked.
    pub(super) fn allowed_of<T>(
        &self,
        action: Action,
        list: impl IntoIterator<Item = T>,
        object: impl Fn(&T) -> Object<'_>,
    ) -> Vec<T> {
        list.into_iter().filter(|item| self.ledger.access.check(self.who, action, &object(item)).is_ok()).collect()
    }

    /// Refuses rights that the principal may not hand on.
    pub(super) fn grant(&self, scope: &Scope, rights: Rights) -> Result<()> {
        let answer = self.ledger.access.check_grant(self.who, scope, rights);
        self.audit.not_granted(&self.ledger.access, self.who, &answer);
        answer
    }

    pub(super) fn server(&self, action: Action) -> Result<()> {
        self.allow(action, Object::SERVER)
    }

    pub(super) fn namespace(&self, action: Action, name: &str) -> Result<()> {
        self.allow(action, Object::namespace(name))
    }

    /// A namespace whose limits are to be set.
    pub(super) fn limited_namespace(&self, name: &str, limits: &NamespaceLimitChanges) -> Result<()> {
        if NamespaceLimit::QUOTAS.iter().any(|limit| limits.contains_key(limit)) {
            self.namespace(Action::Operate, name)?;
        }
        self.namespace(Action::Define, name)
    }

    pub(super) fn group(&self, action: Action, namespace: &str, name: &str) -> Result<()> {
        self.allow(action, Object::group(namespace, name))
    }

    /// For what is to be created.
    pub(super) fn create(&self, kind: ObjectKind, namespace: &str, name: &str) -> Result<()> {
        self.allow(Action::Define, Object::unowned(kind, namespace, name))
    }

    pub(super) fn table(&self, action: Action, namespace: &str, name: &str) -> Result<Arc<TableInfo>> {
        let found = self.ledger.state.read().catalog().table_named(namespace, name).cloned();
        self.allowed(action, "table", found, name)
    }

    pub(super) fn table_by_id(&self, action: Action, id: TableId) -> Result<Arc<TableInfo>> {
        self.allowed_by_id(action, "table", self.ledger.table(id)?)
    }

    /// Identity topics included.
    pub(super) fn topic(&self, action: Action, namespace: &str, name: &str) -> Result<Arc<TopicInfo>> {
        let found = self.ledger.state.read().catalog().topic_named(namespace, name).cloned();
        self.standing(action, self.allowed(action, "topic", found, name)?)
    }

    /// Whether there is a topic of that name at all.
    pub(super) fn has_topic(&self, namespace: &str, name: &str) -> bool {
        self.ledger.state.read().catalog().topic_named(namespace, name).is_some()
    }

    pub(super) fn topic_by_id(&self, action: Action, id: TopicId) -> Result<Arc<TopicInfo>> {
        self.standing(action, self.allowed_by_id(action, "topic", self.ledger.topic(id)?)?)
    }

    /// A topic whose rows are looked for, for whoever reads it or consumes of it.
    pub(super) fn followed(&self, id: TopicId) -> Result<Arc<TopicInfo>> {
        let topic = self.topic_by_id(Action::Follow, id)?;
        self.ledger.check_topic(&topic)?;
        Ok(topic)
    }

    /// A topic whose rows are asked for gives them by its owner's right to its table.
    fn standing(&self, action: Action, topic: Arc<TopicInfo>) -> Result<Arc<TopicInfo>> {
        if matches!(action, Action::Read | Action::Consume) {
            self.ledger.check_topic(&topic)?;
        }
        Ok(topic)
    }

    /// What stands in the way is named to whoever sees all of the namespace.
    pub(super) fn veiled<T>(&self, namespace: &str, answer: Result<T>) -> Result<T> {
        match answer {
            Err(Error::InUse { what, name, .. }) if !self.ledger.access.sees_all_in(self.who, namespace) => {
                Err(Error::InUse { what, name, by: "what you may not see".to_owned() })
            }
            answer => answer,
        }
    }

    /// Topics that a member is to read.
    pub(super) fn subscribed(&self, config: &ConsumerConfig, names: &[String]) -> Result<Vec<Arc<TopicInfo>>> {
        self.allow(Action::Consume, config)?;
        names.iter().map(|name| self.topic(Action::Consume, &config.namespace, name)).collect()
    }

    /// The newest version.
    pub(super) fn plugin(&self, action: Action, namespace: &str, name: &str) -> Result<Arc<PluginInfo>> {
        let found = self.ledger.state.read().catalog().plugin_named(namespace, name).cloned();
        self.allowed(action, "plugin", found, name)
    }

    pub(super) fn plugin_version(
        &self,
        action: Action,
        namespace: &str,
        name: &str,
        version: u32,
    ) -> Result<Arc<PluginInfo>> {
        let newest = self.plugin(action, namespace, name)?.version;
        let state = self.ledger.state.read();
        let mut versions = state.catalog().plugin_versions(namespace, name);
        versions.find(|plugin| plugin.version == version).cloned().ok_or_else(|| {
            let message = format!("plugin {name:?} has no version {version}; it has versions 1 to {newest}");
            Error::InvalidInput(message)
        })
    }

    pub(super) fn plugin_by_id(&self, action: Action, id: PluginId) -> Result<Arc<PluginInfo>> {
        self.allowed_by_id(action, "plugin", self.ledger.plugin(id)?)
    }

    pub(super) fn function(&self, action: Action, namespace: &str, name: &str) -> Result<Arc<FunctionInfo>> {
        let found = self.ledger.state.read().catalog().function_named(namespace, name).cloned();
        self.allowed(action, "function", found, name)
    }

    pub(super) fn function_by_id(&self, action: Action, id: FunctionId) -> Result<Arc<FunctionInfo>> {
        self.allowed_by_id(action, "function", self.ledger.function(id)?)
    }

    pub(super) fn consumer(&self, action: Action, namespace: &str, name: &str) -> Result<Arc<PluginConsumerInfo>> {
        let found = self.ledger.state.read().catalog().consumer_named(namespace, name).cloned();
        self.allowed(action, "consumer", found, name)
    }

    /// Whoever asks has checked its output.
    pub(super) fn continuous_named(&self, namespace: &str, name: &str) -> Option<Arc<ContinuousInfo>> {
        self.ledger.state.read().catalog().continuous_named(namespace, name).cloned()
    }

    pub(super) fn checkback(&self, action: Action, namespace: &str, name: &str) -> Result<Arc<CheckbackInfo>> {
        let found = self.ledger.state.read().catalog().checkback_named(namespace, name).cloned();
        self.allowed(action, "checkback", found, name)
    }

    /// What there is by a name, if the principal may do this to it. What he may not even see is not there.
    fn allowed<T>(&self, action: Action, what: &'static str, found: Option<Arc<T>>, name: &str) -> Result<Arc<T>>
    where
        for<'o> Object<'o>: From<&'o T>,
    {
        let missing = || Error::NotFound { what, name: name.to_owned() };
        let found = found.ok_or_else(missing)?;
        self.seen(action, found.as_ref(), missing)?;
        Ok(found)
    }

    fn allowed_by_id<T>(&self, action: Action, what: &'static str, found: Arc<T>) -> Result<Arc<T>>
    where
        for<'o> Object<'o>: From<&'o T>,
    {
        self.seen(action, found.as_ref(), || Error::gone(what))?;
        Ok(found)
    }

    fn seen<'o>(&self, action: Action, found: impl Into<Object<'o>>, missing: impl FnOnce() -> Error) -> Result<()> {
        let object = found.into();
        match self.check(action, &object) {
            Err(Error::PermissionDenied(_)) if !self.ledger.access.sees(self.who, &object) => Err(missing()),
            checked => checked,
        }
    }
}
