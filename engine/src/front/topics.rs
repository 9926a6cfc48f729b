//! Topics.

use std::sync::Arc;

use arrow_schema::Schema;

use super::drops::Drops;
use super::names::{check_name, check_namespace};
use super::session::Session;
use crate::access::{Action, ObjectKind};
use crate::contract::BatchOperator;
use crate::front::Engine;
use crate::model::Principal;
use crate::model::letters_info;
use crate::model::types::{MAX_COLUMNS, is_stored};
use crate::model::{Error, Lsn, Offset, OnError, Result, TableInfo, TopicId, TopicInfo, TopicSource, TopicSpec};
use crate::state::Change;

/// Bytes of a topic's stored definition.
const MAX_DEFINITION_BYTES: usize = 1 << 20;

impl Engine {
    pub fn create_topic(&self, who: &Principal, spec: TopicSpec) -> Result<Arc<TopicInfo>> {
        let session = self.session(who)?;
        session.create(ObjectKind::Topic, &spec.namespace, &spec.name)?;
        check_namespace(&spec.namespace)?;
        check_name("topic", &spec.name)?;
        check_definition(&spec)?;
        session.used_by(&spec)?;
        let topic = topic_info(spec, who);
        let mut changes = vec![Change::TopicCreated(topic.clone())];
        if topic.on_error == OnError::DeadLetter {
            let source = self.rooms.ledger.table(topic.table)?;
            let letters = letters_info(&topic, &source)?;
            check_name("dead-letter table", &letters.name)?;
            changes.push(Change::TableCreated(letters));
        }
        // The topic's record comes first, and a definition takes one LSN.
        let others = changes.len() as u64 - 1;
        let count = changes.len();
        let of = (topic.namespace.as_str(), "topic", topic.name.as_str());
        let lsn = self.with_room_for_topics(who, of, (count, 1), || self.record(who, changes))?;
        self.rooms.ledger.topic(TopicId(lsn.0 - others))
    }

    /// Refused while groups have members or committed offsets on it, or topics or members are on its dead-letter table,
    /// which goes with it; `force` ends the members, forgets the offsets and drops those topics.
    pub fn drop_topic(&self, who: &Principal, namespace: &str, name: &str, force: bool) -> Result<()> {
        let session = self.session(who)?;
        let defined = self.define(|engine| {
            let topic = session.topic(Action::Define, namespace, name)?;
            let continuous = engine.continuous_of(&topic);
            let drops = match &continuous {
                Some(info) => engine.drops_of_continuous(info),
                None => engine.drops_of_topic(&topic),
            };
            engine.refuse_consumers(&drops)?;
            match &continuous {
                _ if force => {}
                Some(info) => engine.refuse_continuous_drop(info, &drops)?,
                None => engine.refuse_drop(&topic, &drops)?,
            }
            Ok((topic.table, engine.drop_all(who, Vec::new(), drops)?))
        });
        let (source, dropped) = session.veiled(namespace, defined)?;
        self.forget(&dropped);
        self.rooms.watchers.wake([source]);
        Ok(())
    }

    /// Identity topics included.
    pub fn topic(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<TopicInfo>> {
        self.session(who)?.topic(Action::See, namespace, name)
    }

    pub fn topic_by_id(&self, who: &Principal, id: TopicId) -> Result<Arc<TopicInfo>> {
        self.session(who)?.topic_by_id(Action::See, id)
    }

    /// The table that a topic is over, for whoever may read the topic.
    pub fn topic_source(&self, who: &Principal, id: TopicId) -> Result<Arc<TableInfo>> {
        self.rooms.ledger.table(self.session(who)?.topic_by_id(Action::See, id)?.table)
    }

    /// (start, end) offsets of every partition of a topic, in order: those of its source.
    pub fn topic_offsets(&self, who: &Principal, id: TopicId) -> Result<Vec<(Offset, Offset)>> {
        self.offsets_of(self.session(who)?.topic_by_id(Action::Follow, id)?.table)
    }

    /// All topics but the identity ones, by namespace and name.
    pub fn topics(&self, who: &Principal) -> Result<Vec<Arc<TopicInfo>>> {
        let session = self.session(who)?;
        let state = self.rooms.ledger.state.read();
        let all = state.catalog().topics().filter(|topic| topic.source != TopicSource::Identity);
        let all: Vec<_> = all.cloned().collect();
        drop(state);
        let mut topics = session.allowed_of(Action::See, all, |topic| topic.as_ref().into());
        topics.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(topics)
    }

    /// The compiled topic; compiled once and kept while in use.
    pub fn topic_operator(&self, who: &Principal, id: TopicId) -> Result<Arc<dyn BatchOperator>> {
        let topic = self.session(who)?.topic_by_id(Action::Follow, id)?;
        self.rooms.evaluations.operator(&topic)
    }

    /// Refuses what only `force` drops.
    fn refuse_drop(&self, topic: &TopicInfo, drops: &Drops) -> Result<()> {
        let in_use = |by: String| Err(Error::InUse { what: "topic", name: topic.name.clone(), by });
        self.refuse_members("topic", &topic.name, topic.id)?;
        let state = self.rooms.ledger.state.read();
        if let Some((_, group)) = state.groups_of_topic(topic.id).next() {
            return in_use(format!("the committed offsets of consumer group {group:?}"));
        }
        if let Some(over) = drops.topics.get(1).and_then(|over| state.topic(*over)) {
            return in_use(format!("topic {:?}, which reads its dead letters", over.name));
        }
        drop(state);
        drops.letters.map_or(Ok(()), |letters| self.refuse_members("topic", &topic.name, TopicId(letters.0)))
    }
}

impl Session<'_> {
    /// The table, the plugins and the functions of a topic's definition. Its readers are not asked for them again.
    pub(super) fn used_by(&self, spec: &TopicSpec) -> Result<()> {
        self.table_by_id(Action::Read, spec.table)?;
        spec.plugins.iter().try_for_each(|id| self.plugin_by_id(Action::Use, *id).map(drop))?;
        spec.functions.iter().try_for_each(|id| self.function_by_id(Action::Use, *id).map(drop))
    }
}

pub(super) fn check_definition(spec: &TopicSpec) -> Result<()> {
    check_defined(&spec.definition, &spec.output_schema)
}

/// A topic's text and columns.
pub(super) fn check_defined(definition: &str, output: &Schema) -> Result<()> {
    if definition.len() > MAX_DEFINITION_BYTES {
        return Err(Error::TooLarge {
            what: "a topic's definition",
            size: definition.len() as u64,
            limit: MAX_DEFINITION_BYTES as u64,
            hint: "split it into several topics",
        });
    }
    let fields = output.fields();
    if fields.is_empty() || fields.len() > MAX_COLUMNS {
        let count = fields.len();
        return Err(Error::InvalidInput(format!("a topic has 1 to {MAX_COLUMNS} columns, not {count}")));
    }
    match fields.iter().find(|field| !is_stored(field.data_type())) {
        Some(field) => Err(Error::Unsupported(format!(
            "column {:?} of the topic is of type {}, which is not delivered (docs/types.md lists what is)",
            field.name(),
            field.data_type()
        ))),
        None => Ok(()),
    }
}

/// A first version, without an id.
pub(super) fn topic_info(spec: TopicSpec, owner: &Principal) -> TopicInfo {
    TopicInfo {
        id: TopicId(0),
        namespace: spec.namespace,
        name: spec.name,
        table: spec.table,
        table_schema_version: spec.table_schema_version,
        source: TopicSource::Select { definition: spec.definition, plugins: spec.plugins, functions: spec.functions },
        output_schema: spec.output_schema,
        on_error: spec.on_error,
        shadow: None,
        version: 1,
        base: None,
        earlier: Vec::new(),
        owner: owner.clone(),
        created: Lsn(0),
    }
}
