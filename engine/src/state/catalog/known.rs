//! What is defined, or a refusal that names what is not.

use super::Catalog;
use crate::contract::CheckbackInfo;
use crate::model::{CheckbackId, ConsumerId, Error, PartitionId, PluginConsumerInfo, Result, TableId, TableInfo};
use crate::state::partition::PartitionState;

impl Catalog {
    pub(in crate::state) fn known_namespace(&self, name: &str) -> Result<()> {
        if self.has_namespace(name) {
            return Ok(());
        }
        Err(Error::NotFound { what: "namespace", name: name.to_owned() })
    }

    pub(in crate::state) fn known_table(&self, id: TableId) -> Result<&TableInfo> {
        let found = self.table(id).map(AsRef::as_ref);
        found.ok_or_else(|| Error::gone("table"))
    }

    pub(in crate::state) fn known_partition(&self, table: TableId, partition: PartitionId) -> Result<&PartitionState> {
        let info = self.known_table(table)?;
        self.partition(table, partition).ok_or_else(|| Error::NotFound {
            what: "partition",
            name: format!("{partition} of {} ({} partitions)", info.name, info.options.partitions),
        })
    }

    pub(in crate::state) fn known_checkback(&self, id: CheckbackId) -> Result<&CheckbackInfo> {
        let found = self.checkback(id).map(AsRef::as_ref);
        found.ok_or_else(|| Error::gone("checkback"))
    }

    pub(in crate::state) fn known_consumer(&self, id: ConsumerId) -> Result<&PluginConsumerInfo> {
        let found = self.consumer(id).map(AsRef::as_ref);
        found.ok_or_else(|| Error::gone("consumer"))
    }
}
