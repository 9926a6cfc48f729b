//! What records of definitions do to which objects. Each kind of change says here whether it is told of.

use std::fmt::Display;

use super::line::Deed;
use crate::identities::{IdentityChange, Scope, ScopeKind};
use crate::model::{TableId, TopicId};
use crate::state::{Change, ContinuousRecord, Record, State};

/// What a submission's records do, each thing once. `state` has what they name by ids.
pub(crate) fn deeds_of(records: &[Record], state: &State) -> Vec<Deed> {
    let deed = |record: &Record| match record {
        Record::Change(change) => of_change(change, state),
        Record::Continuous(ContinuousRecord::Advanced(advance)) => {
            let table = state.table(advance.table)?;
            let to = format!("to {} µs", advance.to_us);
            Some(Deed::new("advance_watermark", "table", &table.namespace, &table.name).with(to))
        }
        record => record.identity().map(of_identity),
    };
    let mut deeds: Vec<Deed> = records.iter().filter_map(deed).collect();
    deeds.dedup();
    deeds
}

fn of_change(change: &Change, state: &State) -> Option<Deed> {
    let catalog = state.catalog();
    let of_table = |action, id: TableId| match state.table(id) {
        Some(table) => Deed::new(action, "table", &table.namespace, &table.name),
        None => Deed::new(action, "table", "", ""),
    };
    let of_topic = |action, id: TopicId| match state.topic(id) {
        Some(topic) => Deed::new(action, "topic", &topic.namespace, &topic.name),
        None => Deed::new(action, "topic", "", ""),
    };
    Some(match change {
        Change::NamespaceCreated { name, .. } => Deed::new("create_namespace", "namespace", name, ""),
        Change::NamespaceLimited { name, limits } => {
            let limit = |(limit, value): (&crate::model::NamespaceLimit, &Option<u64>)| {
                format!("{} = {}", limit.name(), or_none(*value))
            };
            let limits: Vec<String> = limits.iter().map(limit).collect();
            Deed::new("alter_namespace", "namespace", name, "").with(limits.join(", "))
        }
        Change::NamespaceDropped { name } => Deed::new("drop_namespace", "namespace", name, ""),
        Change::TableCreated(table) => {
            let partitions = format!("partitions = {}", table.options.partitions);
            Deed::new("create_table", "table", &table.namespace, &table.name).with(partitions)
        }
        Change::ColumnsAdded { table, fields } => {
            let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            of_table("alter_table", *table).with(format!("columns {}", names.join(", ")))
        }
        Change::PartitionsAdded { table, partitions } => {
            of_table("alter_table", *table).with(format!("partitions = {partitions}"))
        }
        Change::RetentionSet { table, retention_ms } => {
            of_table("alter_table", *table).with(format!("retention_ms = {}", or_none(*retention_ms)))
        }
        Change::TableDropped { table } => of_table("drop_table", *table),
        Change::TopicCreated(topic) => Deed::new("create_topic", "topic", &topic.namespace, &topic.name),
        Change::TopicReplaced(topic) => {
            Deed::new("replace_topic", "topic", &topic.namespace, &topic.name).with(version(topic.version))
        }
        Change::TopicShadowed { topic, shadow } => {
            let shadow = shadow.and_then(|id| state.plugin(id));
            let shadow = shadow.map(|plugin| format!("shadow {} version {}", plugin.name, plugin.version));
            of_topic("alter_topic", *topic).with(shadow.unwrap_or_else(|| "no shadow".to_owned()))
        }
        Change::TopicDropped { topic } => of_topic("drop_topic", *topic),
        Change::PluginCreated(plugin) => {
            Deed::new("create_plugin", "plugin", &plugin.namespace, &plugin.name).with(version(plugin.version))
        }
        // The server's own doing.
        Change::PluginSuspended { suspended: Some(_), .. } => return None,
        Change::PluginSuspended { plugin, suspended: None } => {
            let plugin = catalog.plugin(*plugin)?;
            Deed::new("resume_plugin", "plugin", &plugin.namespace, &plugin.name)
        }
        Change::PluginDropped { plugin } => {
            let plugin = catalog.plugin(*plugin)?;
            Deed::new("drop_plugin", "plugin", &plugin.namespace, &plugin.name)
        }
        Change::FunctionCreated(function) => {
            let detail = format!("of plugin {}", function.plugin);
            Deed::new("create_function", "function", &function.namespace, &function.name).with(detail)
        }
        Change::FunctionDropped { function } => {
            let function = catalog.function(*function)?;
            Deed::new("drop_function", "function", &function.namespace, &function.name)
        }
        Change::CheckbackCreated(checkback) => {
            let detail = format!("of plugin {}", checkback.plugin);
            Deed::new("create_checkback", "checkback", &checkback.namespace, &checkback.name).with(detail)
        }
        Change::CheckbackDropped { checkback, .. } => {
            let checkback = catalog.checkback(*checkback)?;
            Deed::new("drop_checkback", "checkback", &checkback.namespace, &checkback.name)
        }
        Change::PluginConsumerCreated(consumer) => {
            Deed::new("create_consumer", "consumer", &consumer.namespace, &consumer.name)
        }
        Change::PluginConsumerReplaced(consumer) => {
            let paused = if consumer.paused { ", paused" } else { "" };
            Deed::new("alter_consumer", "consumer", &consumer.namespace, &consumer.name)
                .with(format!("{}{paused}", version(consumer.version)))
        }
        Change::PluginConsumerDropped { consumer } => {
            let consumer = catalog.consumers().find(|found| found.id == *consumer)?;
            Deed::new("drop_consumer", "consumer", &consumer.namespace, &consumer.name)
        }
        Change::ContinuousCreated(topic) => Deed::new("create_topic", "topic", &topic.namespace, &topic.name),
        Change::ContinuousReplaced(topic) => {
            let paused = if topic.paused { ", paused" } else { "" };
            Deed::new("alter_topic", "topic", &topic.namespace, &topic.name)
                .with(format!("{}{paused}", version(topic.version)))
        }
        Change::ContinuousDropped { topic } => {
            let topic = catalog.continuous(*topic)?;
            Deed::new("drop_topic", "topic", &topic.namespace, &topic.name)
        }
        Change::GroupCreated { namespace, group, .. } => Deed::new("create_group", "group", namespace, group),
        Change::GroupRetriesSet { namespace, group, .. } => Deed::new("alter_group", "group", namespace, group),
        Change::GroupDropped { namespace, group } => Deed::new("drop_group", "group", namespace, group),
        Change::SegmentsChanged { .. }
        | Change::SegmentBegun { .. }
        | Change::SegmentsDeleted { .. }
        | Change::StartMoved { .. }
        | Change::ProducersForgotten { .. }
        | Change::RowsLettered { .. } => return None,
    })
}

fn of_identity(change: &IdentityChange) -> Deed {
    let of = |action, kind, name: &str| Deed::new(action, kind, "", name);
    match change {
        IdentityChange::UserCreated { user, grants } => {
            let grants: Vec<String> = grants.iter().map(|(scope, rights)| format!("{rights} on {scope}")).collect();
            of("create_user", "user", &user.name).with(grants.join(", "))
        }
        IdentityChange::UserAltered { user, options } => {
            let certificate = options.certificate.as_deref().unwrap_or("none");
            let detail = format!("disabled = {}, certificate = {certificate}", options.disabled);
            of("alter_user", "user", user).with(detail)
        }
        IdentityChange::PasswordSet { user, password, .. } => {
            of("set_password", "user", user).with(if password.is_none() { "no password" } else { "" })
        }
        IdentityChange::UserDropped { user } => of("drop_user", "user", user),
        IdentityChange::RoleCreated(role) => of("create_role", "role", &role.name),
        IdentityChange::RoleDropped { role } => of("drop_role", "role", role),
        IdentityChange::RoleGiven { role, to } => of("grant_role", "role", role).with(format!("to {to}")),
        IdentityChange::RoleTaken { role, from } => of("revoke_role", "role", role).with(format!("from {from}")),
        IdentityChange::Granted { to, scope, rights } => on_scope("grant", scope, rights, "to", to),
        IdentityChange::Revoked { from, scope, rights } => on_scope("revoke", scope, rights, "from", from),
        IdentityChange::TokenCreated(token) => of("create_token", "token", &token.name).with(whose(&token.user)),
        IdentityChange::TokenRotated(token) => of("rotate_token", "token", &token.name).with(whose(&token.user)),
        IdentityChange::TokenDropped { user, name } => of("drop_token", "token", name).with(whose(user)),
        IdentityChange::KeyCreated(key) => of("create_access_key", "access_key", &key.id).with(whose(&key.user)),
        IdentityChange::KeyRotated(key) => of("rotate_access_key", "access_key", &key.id).with(whose(&key.user)),
        IdentityChange::KeyDropped { id } => of("drop_access_key", "access_key", id),
    }
}

fn on_scope(action: &'static str, scope: &Scope, rights: impl Display, way: &str, whom: &str) -> Deed {
    let kind = match scope.kind {
        ScopeKind::Server => "server",
        ScopeKind::Namespace => "namespace",
        ScopeKind::Table => "table",
        ScopeKind::Topic => "topic",
        ScopeKind::Group => "group",
        ScopeKind::Plugin => "plugin",
    };
    Deed::new(action, kind, &scope.namespace, &scope.name).with(format!("{rights} {way} {whom}"))
}

fn whose(user: &str) -> String {
    format!("of {user}")
}

fn version(version: u32) -> String {
    format!("version {version}")
}

fn or_none(value: Option<u64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
