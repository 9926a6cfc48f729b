//! What goes with a table or a topic: topics over it, their dead-letter tables, and topics over those.

use crate::front::Engine;
use crate::model::{
    ContinuousId, ContinuousInfo, Error, PluginConsumerInfo, Principal, Result, TableId, TableInfo, TopicId, TopicInfo,
};
use crate::state::Catalog;
use crate::state::Change;

/// Definitions to drop in one submission, in an order that each step allows the next.
#[derive(Debug, Default)]
pub(super) struct Drops {
    pub(super) topics: Vec<TopicId>,
    /// The dead-letter table of the topic that the drop began with.
    pub(super) letters: Option<TableId>,
    pub(super) continuous: Vec<ContinuousId>,
    tables: Vec<TableId>,
}

impl Drops {
    fn topic(&mut self, catalog: &Catalog, topic: &TopicInfo) {
        self.topics.push(topic.id);
        if let Some(letters) = catalog.letters_of(topic) {
            self.table(catalog, letters.id);
        }
    }

    fn table(&mut self, catalog: &Catalog, table: TableId) {
        for topic in catalog.topics_of_table(table) {
            self.topic(catalog, topic);
        }
        for reader in catalog.continuous_readers(table) {
            self.continuous(catalog, reader);
        }
        if !self.tables.contains(&table) {
            self.tables.push(table);
        }
    }

    fn continuous(&mut self, catalog: &Catalog, info: &ContinuousInfo) {
        if self.continuous.contains(&info.id) {
            return;
        }
        self.continuous.push(info.id);
        for table in [Some(info.output), info.late].into_iter().flatten() {
            self.table(catalog, table);
        }
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.iter().copied()
    }
}

impl Engine {
    pub(super) fn drops_of_table(&self, table: TableId) -> Drops {
        let mut drops = Drops::default();
        drops.table(self.rooms.ledger.state.read().catalog(), table);
        drops
    }

    pub(super) fn drops_of_topic(&self, topic: &TopicInfo) -> Drops {
        let state = self.rooms.ledger.state.read();
        let letters = state.catalog().letters_of(topic).map(|table| table.id);
        let mut drops = Drops { letters, ..Drops::default() };
        drops.topic(state.catalog(), topic);
        drops
    }

    pub(super) fn drops_of_continuous(&self, info: &ContinuousInfo) -> Drops {
        let mut drops = Drops::default();
        drops.continuous(self.rooms.ledger.state.read().catalog(), info);
        drops
    }

    /// What a continuous topic writes goes with the topic alone, forced or not.
    pub(super) fn refuse_continuous_table(&self, table: &TableInfo) -> Result<()> {
        match self.rooms.ledger.state.read().catalog().continuous_of_table(table.id) {
            None => Ok(()),
            Some(of) => {
                let by = format!("continuous topic {:?}, which writes it: DROP TOPIC", of.name);
                Err(Error::InUse { what: "table", name: table.name.clone(), by })
            }
        }
    }

    /// Does `changes` first. A topic that was created after the drops were listed makes the log refuse: then they are to be listed again. Gives
    /// the topics that are gone, those of tables among them.
    pub(super) fn drop_all(&self, who: &Principal, mut changes: Vec<Change>, drops: Drops) -> Result<Vec<TopicId>> {
        let Drops { topics, tables, continuous, .. } = drops;
        changes.extend(continuous.iter().map(|topic| Change::ContinuousDropped { topic: *topic }));
        changes.extend(topics.iter().map(|topic| Change::TopicDropped { topic: *topic }));
        changes.extend(tables.iter().map(|table| Change::TableDropped { table: *table }));
        match self.record(who, changes) {
            Ok(_) => Ok(topics.into_iter().chain(tables.into_iter().map(|table| TopicId(table.0))).collect()),
            Err(Error::InUse { by, .. }) => Err(Error::Busy(format!("{by} was created meanwhile"))),
            Err(Error::NotFound { what: "topic" | "continuous topic", .. }) => {
                Err(Error::Busy("a topic was dropped meanwhile".to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses what would go from under a plugin that consumes, writes or reads it, forced or not.
    pub(super) fn refuse_consumers(&self, drops: &Drops) -> Result<()> {
        let state = self.rooms.ledger.state.read();
        let catalog = state.catalog();
        let in_use = |what: &'static str, name: &str, by: String| Err(Error::InUse { what, name: name.to_owned(), by });
        let consumer = |by: &PluginConsumerInfo| format!("consumer {:?}", by.name);
        for table in drops.tables.iter().filter_map(|table| state.table(*table)) {
            if let Some(by) = catalog.consumer_of_table(table.id) {
                return in_use("table", &table.name, consumer(by));
            }
            if let Some(by) = catalog.checkback_of_table(table.id) {
                return in_use("table", &table.name, format!("checkback {:?}", by.name));
            }
            if let Some(by) = catalog.reader_of_table(table.id) {
                return in_use("table", &table.name, format!("plugin {:?}", by.name));
            }
        }
        for topic in drops.topics.iter().filter_map(|topic| state.topic(*topic)) {
            if let Some(by) = catalog.consumer_of_topic(topic.id) {
                return in_use("topic", &topic.name, consumer(by));
            }
        }
        Ok(())
    }

    pub(super) fn forget(&self, dropped: &[TopicId]) {
        for topic in dropped {
            self.rooms.evaluations.forget(*topic);
            self.rooms.appender.forget(TableId(topic.0));
            self.rooms.tables.forget(TableId(topic.0));
        }
    }
}
