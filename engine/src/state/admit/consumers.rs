//! Whether a consumer fits what is defined, and whether its state has room.

use super::Admitting;
use crate::contract::PluginKind;
use crate::model::{Error, GroupMode, PluginConsumerInfo, Result, TableId};
use crate::state::earlier::{Earlier, free};
use crate::state::group_key::GroupKey;

impl Admitting<'_> {
    pub(super) fn admit_consumer(&self, info: &PluginConsumerInfo, earlier: &Earlier<'_>) -> Result<()> {
        self.catalog.known_namespace(&info.namespace)?;
        free(self.catalog.consumer_named(&info.namespace, &info.name).is_none(), "consumer", &info.name)?;
        let topic = self.catalog.topic(info.topic).filter(|topic| topic.namespace == info.namespace);
        let topic = topic.ok_or_else(|| Error::gone("topic"))?;
        let plugin = self.catalog.plugin(info.plugin).filter(|plugin| plugin.namespace == info.namespace);
        let plugin = plugin.ok_or_else(|| Error::gone("plugin"))?;
        if plugin.description.kind != PluginKind::Consumer {
            let kind = plugin.description.kind.name();
            return Err(Error::InvalidInput(format!("plugin {:?} is a {kind}, not a consumer", plugin.name)));
        }
        if plugin.description.outputs.len() != info.outputs.len() {
            return Err(Error::InvalidInput(format!("plugin {:?} has other outputs now", plugin.name)));
        }
        for output in &info.outputs {
            let table = self.catalog.known_table(*output)?;
            if table.namespace != info.namespace {
                return Err(Error::InvalidInput("a consumer writes to tables of its own namespace".to_owned()));
            }
            if let Some(owner) = self.catalog.owner_of_letters(table) {
                return Err(Error::InvalidInput(format!(
                    "table {:?} holds the dead letters of {owner}: nothing else is written to it",
                    table.name
                )));
            }
            if let Some(of) = self.catalog.continuous_of_table(*output) {
                return Err(Error::InvalidInput(format!(
                    "table {:?} holds the rows of continuous topic {:?}: nothing else is written to it",
                    table.name, of.name
                )));
            }
            if *output == topic.table {
                return Err(Error::InvalidInput(format!(
                    "consumer {:?} would read what it writes: topic {:?} is over table {:?}",
                    info.name, topic.name, table.name
                )));
            }
        }
        self.admit_group_of(info, earlier)
    }

    /// Each group belongs to members or to one consumer.
    fn admit_group_of(&self, info: &PluginConsumerInfo, earlier: &Earlier<'_>) -> Result<()> {
        let (namespace, group) = (info.namespace.as_str(), info.group.as_str());
        if let Some(other) = self.catalog.consumer_of_group(namespace, group) {
            let by = format!("consumer {:?}", other.name);
            return Err(Error::InUse { what: "consumer group", name: group.to_owned(), by });
        }
        match self.groups.get(namespace, group) {
            Some(found) if found.mode != GroupMode::Shared => {
                Err(Error::InvalidInput(format!("group {group:?} is a broadcast group: a consumer needs a shared one")))
            }
            None if !earlier.created_groups.contains(&(namespace, group)) => {
                Err(Error::NotFound { what: "consumer group", name: group.to_owned() })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn admit_consumer_replacement(&self, info: &PluginConsumerInfo) -> Result<()> {
        let found = self.catalog.known_consumer(info.id)?;
        if found.version.checked_add(1) != Some(info.version) {
            return Err(Error::Busy(format!("consumer {:?} was altered meanwhile", info.name)));
        }
        // An older version may look rows up in a table that is gone by now.
        for plugin in info.plugins().filter_map(|plugin| self.catalog.plugin(plugin)) {
            plugin.tables.iter().try_for_each(|table| self.catalog.known_table(*table).map(drop))?;
        }
        self.admit_upcoming(info)
    }

    /// A version begins where rows have not been read yet: commits of the old one are ahead of this, or refused.
    fn admit_upcoming(&self, info: &PluginConsumerInfo) -> Result<()> {
        let Some(upcoming) = &info.upcoming else { return Ok(()) };
        if info.plugins().any(|plugin| self.catalog.plugin(plugin).is_none()) {
            return Err(Error::Busy("the plugin was dropped meanwhile".to_owned()));
        }
        let (namespace, group) = (info.namespace.as_str().into(), info.group.as_str().into());
        let group = GroupKey { namespace, group, client: None };
        // Of one that had begun before, offsets that were passed stay where they are.
        let before = self.catalog.known_consumer(info.id)?.upcoming.as_ref();
        if before == Some(upcoming) {
            return Ok(());
        }
        for (partition, from) in &upcoming.from {
            let committed = self.groups.committed(&group, info.topic, *partition).unwrap_or(0);
            if committed > *from {
                return Err(Error::Busy(format!(
                    "consumer {:?} has read partition {partition} up to offset {committed}, past {from}",
                    info.name
                )));
            }
        }
        Ok(())
    }

    pub(super) fn refuse_consumer_of_table(&self, id: TableId, name: &str) -> Result<()> {
        let consumer = self.catalog.consumer_of_table(id).map(|consumer| format!("consumer {:?}", consumer.name));
        let by =
            consumer.or_else(|| self.catalog.reader_of_table(id).map(|plugin| format!("plugin {:?}", plugin.name)));
        by.map_or(Ok(()), |by| Err(Error::InUse { what: "table", name: name.to_owned(), by }))
    }
}
