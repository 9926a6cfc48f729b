//! Consumers that are plugins.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::drops::Drops;
use super::names::{check_name, check_namespace};
use super::plugin_settings::check_settings;
use super::session::Session;
use crate::access::{Action, ObjectKind};
use crate::contract::{ConsumerOutput, PluginInfo, PluginKind};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::consumer_letters_info;
use crate::model::{
    ConsumerConfig, ConsumerId, Error, GroupMode, Lsn, OnError, PluginConsumerInfo, PluginConsumerSpec,
    PluginConsumerStatus, Result, TableInfo, TopicId,
};
use crate::runners::bind;
use crate::state::Submission;
use crate::state::{Change, GroupKey, OffsetsRecord};

impl Engine {
    /// Begins at once. The group is made if it is not there; of one that is, the committed offsets say where to begin.
    pub fn create_plugin_consumer(&self, who: &Principal, spec: PluginConsumerSpec) -> Result<Arc<PluginConsumerInfo>> {
        let session = self.session(who)?;
        session.create(ObjectKind::Consumer, &spec.namespace, &spec.name)?;
        check_namespace(&spec.namespace)?;
        check_name("consumer", &spec.name)?;
        check_settings(&spec.settings)?;
        let group = spec.group.as_ref().unwrap_or(&spec.name);
        ConsumerConfig { group_id: group.clone(), ..ConsumerConfig::default() }.validate()?;
        session.group(Action::Consume, &spec.namespace, group)?;
        if self.rooms.delivery.is_live(&spec.namespace, group) {
            let by = "live members; they must leave first".to_owned();
            return Err(Error::InUse { what: "consumer group", name: group.clone(), by });
        }
        self.define(|engine| {
            let plugin = session.plugin(Action::Use, &spec.namespace, &spec.plugin)?;
            let info = engine.plugin_consumer_info(&session, &spec, &plugin, group)?;
            let submission = engine.beginning(&spec, info)?;
            engine.submit_for(who, submission).map(drop).map_err(|error| match error {
                Error::AlreadyExists { what: "consumer group", name } => {
                    Error::Busy(format!("group {name:?} was made meanwhile"))
                }
                other => other,
            })
        })?;
        session.consumer(Action::See, &spec.namespace, &spec.name)
    }

    /// A consumer as it is defined.
    pub fn plugin_consumer(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<PluginConsumerInfo>> {
        self.session(who)?.consumer(Action::See, namespace, name)
    }

    /// Its state, its group, the group's offsets and its dead letters go with it; what it has written to its outputs stays.
    /// Refused while topics or members are on its dead letters; `force` drops those topics and ends those members.
    pub fn drop_plugin_consumer(&self, who: &Principal, namespace: &str, name: &str, force: bool) -> Result<()> {
        let session = self.session(who)?;
        let dropped = self.define(|engine| {
            let found = session.consumer(Action::Define, namespace, name)?;
            let group = Change::GroupDropped { namespace: namespace.to_owned(), group: found.group.clone() };
            let changes = vec![Change::PluginConsumerDropped { consumer: found.id }, group];
            let letters = engine.rooms.ledger.state.read().catalog().letters_of_consumer(&found).cloned();
            let Some(letters) = letters else { return engine.record(who, changes).map(|_| Vec::new()) };
            let drops = engine.drops_of_table(letters.id);
            engine.refuse_consumers(&drops)?;
            if !force {
                engine.refuse_members("consumer", name, TopicId(letters.id.0))?;
                engine.refuse_readers(name, &drops)?;
            }
            engine.drop_all(who, changes, drops)
        });
        let dropped = session.veiled(namespace, dropped)?;
        self.forget(&dropped);
        Ok(())
    }

    /// All of them with how they fare, by namespace and name.
    pub fn plugin_consumers(&self, who: &Principal) -> Result<Vec<PluginConsumerStatus>> {
        let session = self.session(who)?;
        let all: Vec<_> = self.rooms.ledger.state.read().catalog().consumers().cloned().collect();
        let mut found = session.allowed_of(Action::See, all, |consumer| consumer.as_ref().into());
        found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(found.into_iter().filter_map(|info| self.plugin_consumer_status(info)).collect())
    }

    /// `None` if it was dropped meanwhile.
    fn plugin_consumer_status(&self, info: Arc<PluginConsumerInfo>) -> Option<PluginConsumerStatus> {
        let standing = self.rooms.runners.standing(info.id);
        let (running, error) = match (&standing, info.paused) {
            (_, true) => ("paused", None),
            (Some(standing), false) => standing.state(),
            (None, false) => ("waiting", None),
        };
        let state = self.rooms.ledger.state.read();
        let (topic, plugin) = (state.topic(info.topic)?, state.plugin(info.plugin)?);
        let group = group_key(&info.namespace, &info.group);
        let partitions = (0..).zip(state.catalog().partitions(topic.table)?);
        let next = info.upcoming.as_ref().and_then(|upcoming| state.plugin(upcoming.plugin));
        let passed = next.is_some() && info.below(&state).is_none();
        let (plugin, next) = match next {
            Some(next) if passed => (next, None),
            next => (plugin, next),
        };
        let outputs = info.outputs.iter().filter_map(|table| Some(state.table(*table)?.name.clone()));
        let left = partitions.map(|(partition, found)| {
            found.end.saturating_sub(state.committed(&group, topic.id, partition).unwrap_or(found.start))
        });
        Some(PluginConsumerStatus {
            topic: topic.name.clone(),
            plugin: plugin.name.clone(),
            plugin_version: plugin.version,
            next_version: next.map(|next| next.version),
            outputs: outputs.collect(),
            state: running,
            error,
            stopped_partitions: standing.as_ref().map(|standing| standing.stopped_partitions()).unwrap_or_default(),
            lag: left.sum(),
            figures: standing.map(|standing| standing.figures()).unwrap_or_default(),
            state_bytes: state.kept_bytes(info.id),
            info,
        })
    }

    /// Topics over the dead letters of a consumer to be dropped.
    fn refuse_readers(&self, name: &str, drops: &Drops) -> Result<()> {
        let state = self.rooms.ledger.state.read();
        let Some(over) = drops.topics.first().and_then(|topic| state.topic(*topic)) else { return Ok(()) };
        let by = format!("topic {:?}, which reads its dead letters", over.name);
        Err(Error::InUse { what: "consumer", name: name.to_owned(), by })
    }

    /// Checks that plugin, topic and tables fit. `owner` is the session of whom the consumer reads and writes as.
    pub(super) fn plugin_consumer_info(
        &self,
        owner: &Session<'_>,
        spec: &PluginConsumerSpec,
        plugin: &PluginInfo,
        group: &str,
    ) -> Result<PluginConsumerInfo> {
        let topic = owner.topic(Action::Consume, &spec.namespace, &spec.topic)?;
        if plugin.description.kind != PluginKind::Consumer {
            let kind = plugin.description.kind.name();
            return Err(Error::InvalidInput(format!("plugin {:?} is a {kind}, not a consumer", plugin.name)));
        }
        bind(&topic, &plugin.description.parameters)?;
        let declared = &plugin.description.outputs;
        let known = |name: &String| declared.iter().any(|output| output.name == *name);
        if let Some((name, _)) = spec.outputs.iter().find(|(name, _)| !known(name)) {
            let has: Vec<&str> = declared.iter().map(|output| output.name.as_str()).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            return Err(Error::InvalidInput(format!("plugin {:?} has no output {name:?}; it has {has}", plugin.name)));
        }
        let outputs = declared.iter().map(|output| self.output_table(owner, spec, output).map(|table| table.id));
        Ok(PluginConsumerInfo {
            id: ConsumerId(0),
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
            topic: topic.id,
            plugin: plugin.id,
            group: group.to_owned(),
            outputs: outputs.collect::<Result<Vec<_>>>()?,
            settings: spec.settings,
            upcoming: None,
            paused: false,
            version: 1,
            owner: owner.who.clone(),
            created: Lsn(0),
        })
    }

    fn output_table(
        &self,
        owner: &Session<'_>,
        spec: &PluginConsumerSpec,
        output: &ConsumerOutput,
    ) -> Result<Arc<TableInfo>> {
        let named = spec.outputs.iter().find(|(name, _)| *name == output.name);
        let (_, name) = named.ok_or_else(|| {
            let (plugin, output) = (&spec.plugin, &output.name);
            Error::InvalidInput(format!("plugin {plugin:?} writes to {output:?}: say which table that is"))
        })?;
        let table = owner.table(Action::Produce, &spec.namespace, name)?;
        // Nulls in columns that may hold none show only in rows: a column that is missing is seen here all the same.
        let missing = table
            .schema()
            .fields()
            .iter()
            .find(|field| !field.is_nullable() && output.schema.index_of(field.name()).is_err());
        if let Some(field) = missing {
            let (plugin, output, column) = (&spec.plugin, &output.name, field.name());
            return Err(Error::InvalidInput(format!(
                "column {column:?} of table {name:?} is NOT NULL, and output {output:?} of plugin {plugin:?} has no such \
                 column"
            )));
        }
        let none = RecordBatch::new_empty(output.schema.clone());
        crate::model::types::conform(&none, table.schema(), self.rooms.ledger.options.max_commit_bytes).map_err(
            |error| {
                let (plugin, output) = (&spec.plugin, &output.name);
                Error::InvalidInput(format!(
                    "output {output:?} of plugin {plugin:?} does not fit table {name:?}: {error}"
                ))
            },
        )?;
        Ok(table)
    }

    /// The consumer with its group, and the offsets it begins at.
    fn beginning(&self, spec: &PluginConsumerSpec, info: PluginConsumerInfo) -> Result<Submission> {
        let state = self.rooms.ledger.state.read();
        let topic = state.topic(info.topic).ok_or_else(|| Error::Busy("the topic was dropped".to_owned()))?;
        let key = group_key(&info.namespace, &info.group);
        let (namespace, group) = (info.namespace.clone(), info.group.clone());
        let mut submission = Submission::default();
        if state.group(&namespace, &group).is_none() {
            submission.records.push(Change::GroupCreated { namespace, group, mode: GroupMode::Shared }.into());
        }
        if !crate::delivery::has_offsets(&state, &key, topic.id) {
            let limit = self.rooms.ledger.options.max_groups_per_topic;
            if state.groups_of_topic(topic.id).take(limit).count() >= limit {
                return Err(Error::FailedPrecondition(format!(
                    "topic {:?} has {limit} consumer groups, which is the limit (max_groups_per_topic)",
                    topic.name
                )));
            }
            let config = ConsumerConfig {
                group_id: info.group.clone(),
                auto_offset_reset: spec.from,
                ..ConsumerConfig::default()
            };
            let starts = crate::delivery::starts(&state, &config, topic)?;
            let entries = starts.into_iter().map(|(partition, offset)| (topic.id, partition, offset)).collect();
            submission.records.push(OffsetsRecord { group: key, entries }.into());
        }
        drop(state);
        let keeps = info.settings.on_error == OnError::DeadLetter;
        let letters = keeps.then(|| self.letters_of(&info)).transpose()?;
        submission.records.push(Change::PluginConsumerCreated(info).into());
        submission.records.extend(letters.map(|letters| Change::TableCreated(letters).into()));
        Ok(submission)
    }

    /// The dead-letter table of a consumer that gets one.
    pub(super) fn letters_of(&self, info: &PluginConsumerInfo) -> Result<TableInfo> {
        let topic = self.rooms.ledger.topic(info.topic)?;
        let letters = consumer_letters_info(info, &topic, &*self.rooms.ledger.table(topic.table)?)?;
        check_name("dead-letter table", &letters.name)?;
        Ok(letters)
    }
}

fn group_key(namespace: &str, group: &str) -> GroupKey {
    GroupKey { namespace: namespace.into(), group: group.into(), client: None }
}
