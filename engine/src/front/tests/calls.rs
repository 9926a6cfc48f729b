//! Every call of the front with each object that it names, and every listing with what it may show.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::DataType;

use super::host::COPIES;
use super::message_calls;
use super::store::{
    NAMESPACE as NS, Store, append, consumer_spec, function_spec, group, identity, plugin_spec, row, table_spec,
    topic_spec,
};
use crate::access::{Action, ObjectKind};
use crate::contract::PluginSettings;
use crate::cursor::ScanRequest;
use crate::model::{
    Assignment, ColumnSpec, ConsumerReload, GroupRetryChanges, Lsn, NamespaceLimit, NamespaceLimitChanges, OffsetReset,
    PluginConsumerSettings, Principal, Result, SeekTo, TableId, TableInfo, TopicId, TopicSpec, VersionStart,
};
use Action::{Consume, Define, Follow, Operate, Produce, Read, See, Use};
use ObjectKind::{Checkback, Consumer, Function, Group, Namespace, Plugin, Server, Table, Topic};

type Made = dyn Fn(&Store, &Principal) -> Result<()>;
pub(super) type PlainCall = fn(&Store, &Principal) -> Result<()>;

/// A call that names an object.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) action: Action,
    pub(super) object: (ObjectKind, &'static str),
    pub(super) call: Box<Made>,
}

pub(super) fn call<T: 'static>(
    name: &'static str,
    action: Action,
    kind: ObjectKind,
    object: &'static str,
    call: fn(&Store, &Principal) -> Result<T>,
) -> Call {
    Call { name, action, object: (kind, object), call: Box::new(move |store, who| call(store, who).map(drop)) }
}

pub(super) fn calls() -> Vec<Call> {
    let mut all = definitions();
    all.extend(plugins());
    all.extend(rows());
    all.extend(standing());
    all.extend(message_calls::message_clients());
    all.extend(message_calls::unseen_messages());
    all.extend(message_calls::pops());
    all.extend(message_calls::consumers());
    all
}

fn standing() -> Vec<Call> {
    vec![
        call("check_appends", Produce, Table, "t", |s, who| s.engine.check_appends(who, &*table(s)?)),
        call("check_reads", Read, Table, "t", |s, who| s.engine.check_reads(who, &*table(s)?)),
        call("check_reads_topic", Read, Topic, "sel", |s, who| s.engine.check_reads_topic(who, &s.topic)),
        call("check_consumes", Consume, Group, "g", |s, who| s.engine.check_consumes(who, &group("g"), &s.topic)),
        call("check_consumes", Consume, Topic, "sel", |s, who| s.engine.check_consumes(who, &group("g"), &s.topic)),
        call("tell_resent", Read, Table, "t", |s, who| s.engine.tell_resent(who, &*table(s)?, 1, None)),
    ]
}

fn table(store: &Store) -> Result<Arc<TableInfo>> {
    store.engine.table(&Principal::anonymous(), NS, "t")
}

fn definitions() -> Vec<Call> {
    vec![
        call("create_namespace", Define, Namespace, "new", |s, who| {
            s.engine.create_namespace(who, "new", &no_limits())
        }),
        call("create_namespace", Operate, Namespace, "new", |s, who| s.engine.create_namespace(who, "new", &quota())),
        call("limit_namespace", Define, Namespace, NS, |s, who| s.engine.limit_namespace(who, NS, no_limits())),
        call("limit_namespace", Operate, Namespace, NS, |s, who| s.engine.limit_namespace(who, NS, quota())),
        call("drop_namespace", Define, Namespace, "other", |s, who| s.engine.drop_namespace(who, "other")),
        call("namespace_limits", See, Namespace, NS, |s, who| s.engine.namespace_limits(who, NS)),
        call("default_plugin_limits", See, Namespace, NS, |s, who| s.engine.default_plugin_limits(who, NS)),
        call("create_table", Define, Table, "new", |s, who| s.engine.create_table(who, table_spec("new"))),
        call("replace_table", Define, Table, "t", |s, who| s.engine.replace_table(who, table_spec("t"))),
        call("add_columns", Define, Table, "t", |s, who| s.engine.add_columns(who, NS, "t", new_column())),
        call("set_partitions", Define, Table, "t", |s, who| s.engine.set_partitions(who, NS, "t", 2)),
        call("drop_table", Define, Table, "t", |s, who| s.engine.drop_table(who, NS, "t", true)),
        call("table", See, Table, "t", |s, who| s.engine.table(who, NS, "t")),
        call("table_by_id", See, Table, "t", |s, who| s.engine.table_by_id(who, s.table)),
        call("create_topic", Define, Topic, "new", |s, who| s.engine.create_topic(who, new_topic(s))),
        call("create_topic", Read, Table, "t", |s, who| s.engine.create_topic(who, new_topic(s))),
        call("create_topic", Use, Plugin, "p", |s, who| s.engine.create_topic(who, new_topic(s))),
        call("create_topic", Use, Function, "f", |s, who| s.engine.create_topic(who, new_topic(s))),
        call("replace_topic", Define, Topic, "sel", |s, who| s.engine.replace_topic(who, sel(s))),
        call("replace_topic", Read, Table, "t", |s, who| s.engine.replace_topic(who, sel(s))),
        call("replace_topic_from", Define, Topic, "sel", |s, who| {
            s.engine.replace_topic_from(who, &sel(s), VersionStart::Latest)
        }),
        call("replace_topic_from", Use, Plugin, "p", |s, who| {
            s.engine.replace_topic_from(who, &sel(s), VersionStart::Latest)
        }),
        call("drop_topic", Define, Topic, "sel", |s, who| s.engine.drop_topic(who, NS, "sel", true)),
        call("topic", See, Topic, "sel", |s, who| s.engine.topic(who, NS, "sel")),
        call("topic", See, Table, "t", |s, who| s.engine.topic(who, NS, "t")),
        call("topic_by_id", See, Topic, "sel", |s, who| s.engine.topic_by_id(who, s.topic.id)),
        call("topic_by_id", See, Table, "t", |s, who| s.engine.topic_by_id(who, identity(s.table))),
        call("topic_source", See, Topic, "sel", |s, who| s.engine.topic_source(who, s.topic.id)),
        call("topic_offsets", Follow, Topic, "sel", |s, who| s.engine.topic_offsets(who, s.topic.id)),
        call("topic_operator", Follow, Topic, "sel", |s, who| s.engine.topic_operator(who, s.topic.id)),
        call("topic_plugins", See, Topic, "sel", |s, who| s.engine.topic_plugins(who, &s.topic)),
        call("shadow_topic", Define, Topic, "sel", |s, who| s.engine.shadow_topic(who, NS, "sel", ("p", 2))),
        call("shadow_topic", Use, Plugin, "p", |s, who| s.engine.shadow_topic(who, NS, "sel", ("p", 2))),
        call("unshadow_topic", Define, Topic, "sel", |s, who| s.engine.unshadow_topic(who, NS, "sel")),
    ]
}

fn plugins() -> Vec<Call> {
    vec![
        call("create_plugin", Define, Plugin, "new", |s, who| s.engine.create_plugin(who, plugin_spec("new"), false)),
        call("create_plugin", Define, Plugin, "p", |s, who| s.engine.create_plugin(who, plugin_spec("p"), true)),
        call("create_plugin", Read, Table, "t", |s, who| {
            let tables = vec![("known".to_owned(), "t".to_owned())];
            let mut spec = plugin_spec("new");
            spec.settings = PluginSettings { tables, ..PluginSettings::default() };
            s.engine.create_plugin(who, spec, false)
        }),
        call("create_plugin", Operate, Namespace, NS, |s, who| {
            let mut spec = plugin_spec("new");
            spec.settings.http_hosts = vec!["example.com".to_owned()];
            s.engine.create_plugin(who, spec, false)
        }),
        call("drop_plugin", Define, Plugin, "p", |s, who| s.engine.drop_plugin(who, NS, "p")),
        call("plugin", See, Plugin, "p", |s, who| s.engine.plugin(who, NS, "p")),
        call("plugin_version", See, Plugin, "p", |s, who| s.engine.plugin_version(who, NS, "p", 1)),
        call("plugin_by_id", See, Plugin, "p", |s, who| s.engine.plugin_by_id(who, s.plugin.id)),
        call("plugin_module", Use, Plugin, "p", |s, who| s.engine.plugin_module(who, &s.plugin)),
        call("load_plugin", Use, Plugin, "p", |s, who| s.engine.load_plugin(who, s.plugin.id)),
        call("resume_plugin", Define, Plugin, "p", |s, who| s.engine.resume_plugin(who, NS, "p")),
        call("check_half_messages", Use, Plugin, "p", |s, who| s.engine.check_half_messages(who, NS, "p", &row())),
        call("create_function", Define, Function, "new", |s, who| s.engine.create_function(who, function_spec("new"))),
        call("create_function", Use, Plugin, "p", |s, who| s.engine.create_function(who, function_spec("new"))),
        call("drop_function", Define, Function, "f", |s, who| s.engine.drop_function(who, NS, "f")),
        call("function", See, Function, "f", |s, who| s.engine.function(who, NS, "f")),
        call("create_plugin_consumer", Define, Consumer, "new", create_consumer),
        call("create_plugin_consumer", Consume, Group, "new", create_consumer),
        call("create_plugin_consumer", Consume, Table, "t", create_consumer),
        call("create_plugin_consumer", Produce, Table, "out", create_consumer),
        call("create_plugin_consumer", Use, Plugin, COPIES, create_consumer),
        call("plugin_consumer", See, Consumer, "c", |s, who| s.engine.plugin_consumer(who, NS, "c")),
        call("drop_plugin_consumer", Define, Consumer, "c", |s, who| s.engine.drop_plugin_consumer(who, NS, "c", true)),
        call("reload_plugin_consumer", Define, Consumer, "c", |s, who| {
            s.engine.reload_plugin_consumer(who, NS, "c", ConsumerReload::default())
        }),
        call("alter_plugin_consumer", Define, Consumer, "c", |s, who| {
            let found = s.engine.plugin_consumer(&Principal::anonymous(), NS, "c")?;
            s.engine.alter_plugin_consumer(who, &found, PluginConsumerSettings::default())
        }),
        call("pause_plugin_consumer", Define, Consumer, "c", |s, who| {
            s.engine.pause_plugin_consumer(who, NS, "c", true)
        }),
    ]
}

fn rows() -> Vec<Call> {
    vec![
        call("append", Produce, Table, "t", |s, who| s.engine.append(who, append(s.table), None)),
        call("append_all", Produce, Table, "t", |s, who| s.engine.append_all(who, vec![append(s.table)], None)),
        call("enqueue", Produce, Table, "t", |s, who| s.engine.enqueue(who, append(s.table), None)),
        call("enqueue_paced", Produce, Table, "t", |s, who| s.engine.enqueue_paced(who, append(s.table), None)),
        call("check_columns", Produce, Table, "t", |s, who| s.engine.check_columns(who, s.table, &row().schema())),
        call("scan", Read, Table, "t", |s, who| {
            let topic = identity(s.table);
            let operator = s.engine.topic_operator(&Principal::anonymous(), topic)?;
            s.engine.scan(who, ScanRequest { topic, ranges: None, event_time_us: None, operator })
        }),
        call("scan", Read, Topic, "sel", |s, who| {
            let operator = s.engine.topic_operator(&Principal::anonymous(), identity(s.table))?;
            s.engine.scan(who, ScanRequest { topic: s.topic.id, ranges: None, event_time_us: None, operator })
        }),
        call("table_offsets", Follow, Table, "t", |s, who| s.engine.table_offsets(who, s.table)),
        call("offset_at", Follow, Table, "t", |s, who| s.engine.offset_at(who, identity(s.table), 0, 0)),
        call("offset_at", Follow, Topic, "sel", |s, who| s.engine.offset_at(who, s.topic.id, 0, 0)),
        call("lsn_of", Follow, Table, "t", |s, who| s.engine.lsn_of(who, identity(s.table), 0, 0)),
        call("lsn_of", Follow, Topic, "sel", |s, who| s.engine.lsn_of(who, s.topic.id, 0, 0)),
        call("row_at", Follow, Table, "t", |s, who| s.engine.row_at(who, first_row(s)?)),
        call("topic_row_at", Follow, Topic, "sel", |s, who| s.engine.topic_row_at(who, s.topic.id, first_row(s)?)),
        call("watch_topic", Follow, Table, "t", |s, who| s.engine.watch_topic(who, identity(s.table))),
        call("watch_topic", Follow, Topic, "sel", |s, who| s.engine.watch_topic(who, s.topic.id)),
        call("read_topic", Consume, Table, "t", |s, who| s.engine.read_topic(who, at(identity(s.table)), 0, 1, 1)),
        call("read_topic", Consume, Topic, "sel", |s, who| s.engine.read_topic(who, at(s.topic.id), 0, 1, 1)),
        call("cut_segments", Operate, Table, "t", |s, who| s.engine.cut_segments(who, s.table)),
        call("check_files", Operate, Server, "", |s, who| s.engine.check_files(who)),
        call("backup", Operate, Server, "", |s, who| s.engine.backup(who, &s.unused_path())),
        call("maintain", Operate, Server, "", |s, who| s.engine.maintain(who)),
        call("stats", Operate, Server, "", |s, who| s.engine.stats(who)),
        call("events", Operate, Server, "", |s, who| s.engine.events(who)),
        call("join", Consume, Group, "g", |s, who| s.engine.join(who, group("g"), &both())),
        call("join", Consume, Table, "t", |s, who| s.engine.join(who, group("g"), &both())),
        call("join", Consume, Topic, "sel", |s, who| s.engine.join(who, group("g"), &both())),
        call("group_offsets", See, Group, "g", |s, who| s.engine.group_offsets(who, NS, "g")),
        call("reset_offsets", Consume, Group, "g", |s, who| s.engine.reset_offsets(who, NS, "g", reset())),
        call("reset_offsets", Consume, Table, "t", |s, who| s.engine.reset_offsets(who, NS, "g", reset())),
        call("create_group", Consume, Group, "new", |s, who| s.engine.create_group(who, NS, "new", no_retries())),
        call("set_group_retries", Consume, Group, "g", |s, who| s.engine.set_group_retries(who, NS, "g", no_retries())),
        call("group_retries", See, Group, "g", |s, who| s.engine.group_retries(who, NS, "g")),
        call("drop_group", Consume, Group, "g", |s, who| s.engine.drop_group(who, NS, "g", true)),
        call("poll_named", Consume, Group, "g", |s, who| s.engine.poll_named(who, group("g"), "t", 1, Duration::ZERO)),
        call("begin_poll_named", Consume, Table, "t", |s, who| {
            s.engine.begin_poll_named(who, group("g"), "t", 1, Duration::ZERO)
        }),
        call("commit_polled", Consume, Group, "g", |s, who| s.engine.commit_polled(who, NS, "t", "g", "")),
        call("commit_polled", Consume, Table, "t", |s, who| s.engine.commit_polled(who, NS, "t", "g", "")),
    ]
}

/// The first partition.
pub(super) fn at(topic: TopicId) -> Assignment {
    Assignment { topic, partition: 0 }
}

fn first_row(store: &Store) -> Result<Lsn> {
    store.engine.lsn_of(&Principal::anonymous(), identity(store.table), 0, 0)
}

fn no_retries() -> GroupRetryChanges {
    GroupRetryChanges::default()
}

fn quota() -> NamespaceLimitChanges {
    [(NamespaceLimit::Topics, Some(1_000))].into()
}

fn no_limits() -> NamespaceLimitChanges {
    NamespaceLimitChanges::new()
}

fn new_column() -> Vec<ColumnSpec> {
    vec![ColumnSpec { name: "new".to_owned(), data_type: DataType::Utf8 }]
}

fn new_topic(store: &Store) -> TopicSpec {
    TopicSpec { name: "new".to_owned(), ..sel(store) }
}

fn sel(store: &Store) -> TopicSpec {
    TopicSpec { plugins: vec![store.plugin.id], functions: vec![store.function], ..topic_spec(store.table, "sel") }
}

fn create_consumer(store: &Store, who: &Principal) -> Result<()> {
    store.engine.create_plugin_consumer(who, consumer_spec("new")).map(drop)
}

fn both() -> [String; 2] {
    ["t".to_owned(), "sel".to_owned()]
}

fn reset() -> OffsetReset {
    OffsetReset { to: SeekTo::Start, topic: Some("t".to_owned()), partition: None }
}

/// A listing, an object that it shows, and the names that it has.
pub(super) struct Listing {
    pub(super) name: &'static str,
    pub(super) action: Action,
    pub(super) object: (ObjectKind, &'static str),
    pub(super) names: fn(&Store, &Principal) -> Result<Vec<String>>,
}

/// The message table's name, if it is among these.
fn messages_of(store: &Store, counts: &[(TableId, u64)]) -> Vec<String> {
    counts.iter().filter(|(table, _)| *table == store.messages).map(|_| "m".to_owned()).collect()
}

pub(super) fn listings() -> Vec<Listing> {
    let listing = |name, action, kind, object, names| Listing { name, action, object: (kind, object), names };
    vec![
        listing("namespaces", See, Namespace, "other", |s, who| s.engine.namespaces(who)),
        listing("namespace_usage", See, Namespace, "other", |s, who| {
            Ok(s.engine.namespace_usage(who)?.into_iter().map(|usage| usage.namespace).collect())
        }),
        listing("quotas", See, Namespace, "other", |s, who| {
            Ok(s.engine.quotas(who)?.into_iter().map(|quota| quota.name).collect())
        }),
        listing("tables", See, Table, "t", |s, who| {
            Ok(s.engine.tables(who)?.iter().map(|table| table.name.clone()).collect())
        }),
        listing("all_message_clients", See, Group, "g", |s, who| {
            Ok(s.engine.all_message_clients(who)?.into_iter().map(|(_, group, _)| group).collect())
        }),
        listing("message_subscriptions", See, Group, "g", |s, who| {
            Ok(s.engine.message_subscriptions(who)?.into_iter().map(|one| one.group).collect())
        }),
        listing("delayed_counts", See, Table, "m", |s, who| Ok(messages_of(s, &s.engine.delayed_counts(who)?))),
        listing("half_counts", See, Table, "m", |s, who| Ok(messages_of(s, &s.engine.half_counts(who)?))),
        listing("segments", Operate, Table, "t", |s, who| {
            let segments = s.engine.segments(who)?.into_iter().filter(|segment| segment.table == s.table);
            Ok(segments.map(|_| "t".to_owned()).collect())
        }),
        listing("topics", See, Topic, "sel", |s, who| {
            Ok(s.engine.topics(who)?.iter().map(|topic| topic.name.clone()).collect())
        }),
        listing("plugin_shadows", See, Topic, "sel", |s, who| {
            Ok(s.engine.plugin_shadows(who)?.iter().map(|shadow| shadow.topic.name.clone()).collect())
        }),
        listing("shadow_differences", See, Topic, "sel", |s, who| {
            Ok(s.engine.shadow_differences(who)?.iter().map(|(topic, _)| topic.name.clone()).collect())
        }),
        listing("plugins", See, Plugin, "p", |s, who| {
            Ok(s.engine.plugins(who)?.iter().map(|plugin| plugin.name.clone()).collect())
        }),
        listing("plugin_calls", See, Plugin, COPIES, |s, who| {
            Ok(s.engine.plugin_calls(who)?.iter().map(|(plugin, _)| plugin.name.clone()).collect())
        }),
        listing("plugin_log", Operate, Plugin, COPIES, |s, who| {
            Ok(s.engine.plugin_log(who)?.into_iter().map(|line| line.plugin).collect())
        }),
        listing("suspended_plugins", See, Plugin, COPIES, |s, who| {
            Ok(s.engine.suspended_plugins(who)?.iter().map(|(plugin, _)| plugin.name.clone()).collect())
        }),
        listing("functions", See, Function, "f", |s, who| {
            Ok(s.engine.functions(who)?.iter().map(|function| function.name.clone()).collect())
        }),
        listing("plugin_consumers", See, Consumer, "c", |s, who| {
            Ok(s.engine.plugin_consumers(who)?.iter().map(|status| status.info.name.clone()).collect())
        }),
        listing("checkbacks", See, Checkback, "k", |s, who| {
            Ok(s.engine.checkbacks(who)?.iter().map(|status| status.info.name.clone()).collect())
        }),
        listing("groups", See, Group, "g", |s, who| {
            Ok(s.engine.groups(who)?.into_iter().map(|group| group.group_id).collect())
        }),
        listing("group_offsets", See, Table, "t", |s, who| {
            Ok(s.engine.group_offsets(who, NS, "g")?.into_iter().map(|at| at.topic).collect())
        }),
    ]
}
