//! Other versions of the plugins that consumers call: at once, or from given offsets on.

use std::collections::BTreeMap;

use crate::access::Action;
use crate::contract::PluginInfo;
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{
    AutoOffsetReset, ConsumerReload, Error, Offset, PartitionId, PluginConsumerInfo, PluginConsumerSpec, PluginId,
    Result, SeekTo, TableId, TopicInfo, UpcomingVersion,
};
use crate::model::{consumer_letters_info, missing_columns};
use crate::state::State;
use crate::state::{Change, GroupKey};

impl Engine {
    /// Goes on with the newest version of its plugin or another one, with its state and at its offsets: at once, so that one
    /// commit is the last of the old version and the next the first of the new one, or from given offsets on. Refused if the
    /// new version takes other columns than the topic has, or writes to outputs that have no table yet; if a partition was
    /// read past its offset; and while an earlier change at offsets is under way, unless it is to go on at once.
    pub fn reload_plugin_consumer(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
        reload: ConsumerReload,
    ) -> Result<()> {
        let session = self.session(who)?;
        self.define(|engine| {
            let found = session.consumer(Action::Define, namespace, name)?;
            let owner = engine.session(&found.owner)?;
            let topic = engine.rooms.ledger.topic(found.topic)?;
            let (old_plugin, old_outputs) = engine.version_now(&found, &topic, reload.at.is_some())?;
            let old = engine.rooms.ledger.plugin(old_plugin)?;
            let plugin = match reload.version {
                Some(version) => owner.plugin_version(Action::Use, namespace, &old.name, version)?,
                None => owner.plugin(Action::Use, namespace, &old.name)?,
            };
            let spec = PluginConsumerSpec {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                topic: topic.name.clone(),
                plugin: old.name.clone(),
                group: Some(found.group.clone()),
                outputs: engine.named_outputs(&old_outputs, &old, &plugin)?,
                from: AutoOffsetReset::None,
                settings: found.settings,
            };
            let fresh = engine.plugin_consumer_info(&owner, &spec, &plugin, &found.group)?;
            let version = found.version.saturating_add(1);
            let (id, paused, created) = (found.id, found.paused, found.created);
            let mut info = PluginConsumerInfo { id, paused, version, created, ..fresh };
            if let Some(at) = reload.at {
                let from = engine.beginnings(&info, &topic, at)?;
                info.upcoming = Some(UpcomingVersion { plugin: info.plugin, outputs: info.outputs, from });
                (info.plugin, info.outputs) = (old_plugin, old_outputs);
            }
            let mut changes = engine.new_letter_columns(&info, &topic)?;
            changes.push(Change::PluginConsumerReplaced(info));
            engine.record(who, changes).map(drop)
        })
    }

    /// The plugin version and tables that a change begins from. `in_turn`: partitions that are still below the offsets of an
    /// earlier change are to come to them first.
    fn version_now(
        &self,
        info: &PluginConsumerInfo,
        topic: &TopicInfo,
        in_turn: bool,
    ) -> Result<(PluginId, Vec<TableId>)> {
        let Some(upcoming) = &info.upcoming else { return Ok((info.plugin, info.outputs.clone())) };
        let below = info.below(&self.rooms.ledger.state.read());
        match below {
            None => Ok((upcoming.plugin, upcoming.outputs.clone())),
            Some(_) if !in_turn => Ok((info.plugin, info.outputs.clone())),
            Some((partition, from)) => Err(Error::FailedPrecondition(format!(
                "consumer {:?} still goes on to another version: partition {partition} of topic {:?} is below offset {from}; \
                 wait for it, or RELOAD CONSUMER without AT",
                info.name, topic.name
            ))),
        }
    }

    /// The offset of each partition at which a version begins.
    fn beginnings(
        &self,
        info: &PluginConsumerInfo,
        topic: &TopicInfo,
        at: SeekTo,
    ) -> Result<BTreeMap<PartitionId, Offset>> {
        let partitions = self.rooms.ledger.table(topic.table)?.options.partitions;
        let mut from = BTreeMap::new();
        for partition in 0..partitions {
            let committed = self.rooms.ledger.state.read().committed(&group_of(info), topic.id, partition).unwrap_or(0);
            let offset = match at {
                // Rows that are not there yet may be named.
                SeekTo::Offset(offset) if offset < committed => {
                    return Err(Error::FailedPrecondition(format!(
                        "consumer {:?} has read partition {partition} up to offset {committed}: a version can't begin at \
                         {offset} there",
                        info.name
                    )));
                }
                SeekTo::Offset(offset) => offset,
                at => crate::delivery::resolve(&self.rooms.delivery, topic.table, partition, at)?.max(committed),
            };
            from.insert(partition, offset);
        }
        Ok(from)
    }

    /// The tables of a consumer by what its plugin calls them. What the new version has left out is no error there.
    fn named_outputs(&self, tables: &[TableId], old: &PluginInfo, new: &PluginInfo) -> Result<Vec<(String, String)>> {
        let has = |name: &str| new.description.outputs.iter().any(|output| output.name == name);
        let outputs = old.description.outputs.iter().zip(tables);
        let outputs = outputs.filter(|(output, _)| has(&output.name));
        outputs
            .map(|(output, table)| Ok((output.name.clone(), self.rooms.ledger.table(*table)?.name.clone())))
            .collect()
    }

    /// Columns that the topic has and the consumer's dead-letter table does not have yet.
    fn new_letter_columns(&self, info: &PluginConsumerInfo, topic: &TopicInfo) -> Result<Vec<Change>> {
        let letters = self.rooms.ledger.state.read().catalog().letters_of_consumer(info).cloned();
        let Some(letters) = letters else { return Ok(Vec::new()) };
        let wanted = consumer_letters_info(info, topic, &*self.rooms.ledger.table(topic.table)?)?;
        let fields = missing_columns(&letters, &wanted)?;
        Ok((!fields.is_empty()).then_some(Change::ColumnsAdded { table: letters.id, fields }).into_iter().collect())
    }
}

impl PluginConsumerInfo {
    /// A partition that has not come to the offset at which it goes on with another version.
    pub(super) fn below(&self, state: &State) -> Option<(PartitionId, Offset)> {
        let (group, upcoming) = (group_of(self), self.upcoming.as_ref()?);
        let mut from = upcoming.from.iter().map(|(partition, from)| (*partition, *from));
        from.find(|(partition, from)| state.committed(&group, self.topic, *partition).unwrap_or(0) < *from)
    }
}

fn group_of(info: &PluginConsumerInfo) -> GroupKey {
    GroupKey { namespace: info.namespace.as_str().into(), group: info.group.as_str().into(), client: None }
}
