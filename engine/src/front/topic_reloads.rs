//! RELOAD TOPIC: all rows anew, or other versions of the plugins that it calls from an offset on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::topics::{check_definition, topic_info};
use crate::access::Action;
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{
    EarlierVersion, Error, MAX_TOPIC_VERSIONS, Offset, PartitionId, Result, TopicId, TopicInfo, TopicSource, TopicSpec,
    VersionStart,
};
use crate::model::{letters_info, missing_columns};
use crate::state::Change;

impl Engine {
    /// RELOAD: the same name and id, the next version, a new output schema. Refused while members are subscribed.
    pub fn replace_topic(&self, who: &Principal, spec: TopicSpec) -> Result<Arc<TopicInfo>> {
        let session = self.session(who)?;
        check_definition(&spec)?;
        let id = self.define(|engine| {
            let topic = session.topic(Action::Define, &spec.namespace, &spec.name)?;
            session.used_by(&spec)?;
            engine.refuse_members("topic", &topic.name, topic.id)?;
            let info = next_version(&topic, &spec);
            let mut changes = Vec::new();
            let letters = engine.rooms.ledger.state.read().catalog().letters_of(&info).cloned();
            if let Some(letters) = letters {
                let fields =
                    missing_columns(&letters, &letters_info(&info, &*engine.rooms.ledger.table(info.table)?)?)?;
                changes.extend((!fields.is_empty()).then_some(Change::ColumnsAdded { table: letters.id, fields }));
            }
            changes.push(Change::TopicReplaced(info));
            engine.record(who, changes)?;
            Ok(topic.id)
        })?;
        self.rooms.evaluations.forget(id);
        self.rooms.ledger.topic(id)
    }

    /// RELOAD … AT: what `spec` says, which may differ from what stands in the versions of plugins alone, answers for the rows
    /// from an offset of each partition on, and what stands for those below, whenever they are read. Members that are
    /// subscribed go on.
    ///
    /// Refused where there are rows at the offset already, which may have been read; while another change is still to
    /// come; and if the columns would be others.
    pub fn replace_topic_from(&self, who: &Principal, spec: &TopicSpec, start: VersionStart) -> Result<Arc<TopicInfo>> {
        let session = self.session(who)?;
        check_definition(spec)?;
        let id = self.define(|engine| {
            let id = session.topic(Action::Define, &spec.namespace, &spec.name)?.id;
            session.used_by(spec)?;
            engine.rooms.evaluations.between_readers(id, || engine.begin_version(who, id, spec, start))?;
            Ok(id)
        })?;
        self.rooms.evaluations.forget_shadow(id);
        self.rooms.ledger.topic(id)
    }

    /// Called while no reader takes rows of the topic: what is durable now bounds what was read.
    fn begin_version(&self, who: &Principal, id: TopicId, spec: &TopicSpec, start: VersionStart) -> Result<()> {
        let topic = self.rooms.ledger.topic(id)?;
        let only_plugins_differ = match &topic.source {
            TopicSource::Identity => false,
            TopicSource::Select { definition, functions, .. } => {
                *definition == spec.definition
                    && *functions == spec.functions
                    && topic.output_schema == spec.output_schema
                    && (topic.table_schema_version, topic.on_error) == (spec.table_schema_version, spec.on_error)
            }
        };
        if !only_plugins_differ {
            return Err(Error::InvalidInput(format!(
                "topic {:?} would have other columns or call other functions, and from an offset on only the versions of \
                 plugins may change; RELOAD TOPIC without AT",
                topic.name
            )));
        }
        if topic.plugins_of(topic.version) == spec.plugins {
            return Ok(());
        }
        let until = self.version_end(&topic, start)?;
        let mut earlier = self.versions_with_rows(&topic);
        if earlier.len() >= MAX_TOPIC_VERSIONS {
            return Err(Error::FailedPrecondition(format!(
                "topic {:?} has changed at {MAX_TOPIC_VERSIONS} offsets, below which rows are still retained, and that is \
                 the limit; RELOAD TOPIC without AT makes one version of all of them",
                topic.name
            )));
        }
        let plugins = topic.plugins_of(topic.version).to_vec();
        earlier.push(EarlierVersion { version: topic.version, plugins, until });
        let base = Some(topic.base_version());
        self.record(who, vec![Change::TopicReplaced(TopicInfo { base, earlier, ..next_version(&topic, spec) })])
            .map(drop)
    }

    /// Where the rows of the newest version end, in each partition.
    fn version_end(&self, topic: &TopicInfo, start: VersionStart) -> Result<BTreeMap<PartitionId, Offset>> {
        let partitions = self.rooms.ledger.table(topic.table)?.options.partitions;
        let state = self.rooms.ledger.state.read();
        let end_of = |partition| {
            let end = state.partition(topic.table, partition).map_or(0, |partition| partition.end);
            let began = topic.earlier.last().and_then(|last| last.until.get(&partition)).copied().unwrap_or(0);
            if began > end {
                return Err(Error::FailedPrecondition(format!(
                    "topic {:?} is still to go on to its version {} at offset {began} of partition {partition}, which ends \
                     at {end}; wait for it, or RELOAD TOPIC without AT",
                    topic.name, topic.version
                )));
            }
            match start {
                VersionStart::Latest => Ok((partition, end)),
                VersionStart::Offset(offset) if offset >= end => Ok((partition, offset)),
                VersionStart::Offset(offset) => Err(Error::FailedPrecondition(format!(
                    "partition {partition} of topic {:?} has rows up to offset {end}: a version can't begin at {offset} \
                     there, as they may have been read; AT LATEST begins behind all rows",
                    topic.name
                ))),
            }
        };
        (0..partitions).map(end_of).collect()
    }

    /// Those that answer for rows which are retained, or are still to come.
    fn versions_with_rows(&self, topic: &TopicInfo) -> Vec<EarlierVersion> {
        let state = self.rooms.ledger.state.read();
        let start = |partition| state.partition(topic.table, partition).map_or(0, |partition| partition.start);
        let retained =
            |earlier: &&EarlierVersion| earlier.until.iter().any(|(partition, until)| *until > start(*partition));
        topic.earlier.iter().filter(retained).cloned().collect()
    }
}

/// What `spec` says, in the place of a topic that stands.
fn next_version(topic: &TopicInfo, spec: &TopicSpec) -> TopicInfo {
    let (id, version, created) = (topic.id, topic.version.saturating_add(1), topic.created);
    TopicInfo { id, version, created, ..topic_info(spec.clone(), &topic.owner) }
}
