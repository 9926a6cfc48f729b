//! What calls are about.

use crate::contract::{CheckbackInfo, FunctionInfo, PluginInfo};
use crate::model::{
    ConsumerConfig, GroupInfo, PluginConsumerInfo, Principal, SYSTEM_NAMESPACE, TableInfo, TopicInfo, TopicSource,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ObjectKind {
    /// The whole store.
    Server,
    Namespace,
    /// Its identity topic is the same object.
    Table,
    Topic,
    Group,
    /// All versions of a plugin.
    Plugin,
    Function,
    /// A consumer that is a plugin.
    Consumer,
    Checkback,
}

impl ObjectKind {
    /// In the audit table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ObjectKind::Server => "server",
            ObjectKind::Namespace => "namespace",
            ObjectKind::Table => "table",
            ObjectKind::Topic => "topic",
            ObjectKind::Group => "group",
            ObjectKind::Plugin => "plugin",
            ObjectKind::Function => "function",
            ObjectKind::Consumer => "consumer",
            ObjectKind::Checkback => "checkback",
        }
    }
}

/// Tables of a group's own begin so.
const OF_GROUPS: [&str; 2] = ["%RETRY%", "%DLQ%"];

/// What a principal is about to do something to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object<'a> {
    pub kind: ObjectKind,
    /// Empty for the server.
    pub namespace: &'a str,
    /// Empty for the server; a namespace's own.
    pub name: &'a str,
    /// Who created it; `None` of what is not there yet, and of what records nobody: the server, namespaces, groups.
    pub owner: Option<&'a Principal>,
}

impl<'a> Object<'a> {
    pub(crate) const SERVER: Object<'static> =
        Object { kind: ObjectKind::Server, namespace: "", name: "", owner: None };

    pub(crate) fn unowned(kind: ObjectKind, namespace: &'a str, name: &'a str) -> Object<'a> {
        Object { kind, namespace, name, owner: None }
    }

    pub(crate) fn namespace(name: &'a str) -> Object<'a> {
        Object::unowned(ObjectKind::Namespace, name, name)
    }

    /// For messages: as SQL has it.
    pub(crate) fn shown(&self) -> String {
        let Object { kind, namespace, name, .. } = self;
        match kind {
            ObjectKind::Server => "SERVER".to_owned(),
            ObjectKind::Namespace => format!("NAMESPACE {namespace}"),
            kind => format!("{} {namespace}.{name}", format!("{kind:?}").to_uppercase()),
        }
    }

    pub(crate) fn group(namespace: &'a str, name: &'a str) -> Object<'a> {
        Object::unowned(ObjectKind::Group, namespace, name)
    }

    /// Whether it is the server's own, or a group that reads that.
    pub(super) fn is_of_the_server(&self) -> bool {
        let is_there = self.owner.is_some() || self.kind == ObjectKind::Group;
        self.namespace == SYSTEM_NAMESPACE && self.kind != ObjectKind::Namespace && is_there
    }

    /// Of a table in which a group keeps messages that it is to be handed again, or has given up: the group.
    pub(super) fn kept_for(&self) -> Option<Object<'a>> {
        let group = OF_GROUPS.iter().find_map(|prefix| self.name.strip_prefix(prefix))?;
        (self.kind == ObjectKind::Table).then(|| Object::group(self.namespace, group))
    }
}

impl<'a> From<&'a TableInfo> for Object<'a> {
    fn from(table: &'a TableInfo) -> Object<'a> {
        let TableInfo { namespace, name, owner, .. } = table;
        Object { kind: ObjectKind::Table, namespace, name, owner: Some(owner) }
    }
}

impl<'a> From<&'a TopicInfo> for Object<'a> {
    fn from(topic: &'a TopicInfo) -> Object<'a> {
        let TopicInfo { namespace, name, owner, .. } = topic;
        let kind = if topic.source == TopicSource::Identity { ObjectKind::Table } else { ObjectKind::Topic };
        Object { kind, namespace, name, owner: Some(owner) }
    }
}

impl<'a> From<&'a PluginInfo> for Object<'a> {
    fn from(plugin: &'a PluginInfo) -> Object<'a> {
        let PluginInfo { namespace, name, owner, .. } = plugin;
        Object { kind: ObjectKind::Plugin, namespace, name, owner: Some(owner) }
    }
}

impl<'a> From<&'a FunctionInfo> for Object<'a> {
    fn from(function: &'a FunctionInfo) -> Object<'a> {
        let FunctionInfo { namespace, name, owner, .. } = function;
        Object { kind: ObjectKind::Function, namespace, name, owner: Some(owner) }
    }
}

impl<'a> From<&'a PluginConsumerInfo> for Object<'a> {
    fn from(consumer: &'a PluginConsumerInfo) -> Object<'a> {
        let PluginConsumerInfo { namespace, name, owner, .. } = consumer;
        Object { kind: ObjectKind::Consumer, namespace, name, owner: Some(owner) }
    }
}

impl<'a> From<&'a CheckbackInfo> for Object<'a> {
    fn from(checkback: &'a CheckbackInfo) -> Object<'a> {
        let CheckbackInfo { namespace, name, owner, .. } = checkback;
        Object { kind: ObjectKind::Checkback, namespace, name, owner: Some(owner) }
    }
}

impl<'a> From<&'a GroupInfo> for Object<'a> {
    fn from(group: &'a GroupInfo) -> Object<'a> {
        Object::group(&group.namespace, &group.group_id)
    }
}

impl<'a> From<&'a ConsumerConfig> for Object<'a> {
    fn from(config: &'a ConsumerConfig) -> Object<'a> {
        Object::group(&config.namespace, &config.group_id)
    }
}
