//! Namespaces, tables, topics and plugins: what users define.

use std::sync::Arc;

use crate::*;

#[allow(unused_variables, clippy::unimplemented, reason = "signatures first: bodies land with their modules")]
impl Engine {
    pub fn create_namespace(&self, who: &Principal, name: &str) -> Result<()> {
        unimplemented!()
    }
    /// Refused while it holds anything.
    pub fn drop_namespace(&self, who: &Principal, name: &str) -> Result<()> {
        unimplemented!()
    }
    pub fn namespaces(&self, who: &Principal) -> Result<Vec<String>> {
        unimplemented!()
    }

    /// Creates a table and, with it, its identity topic.
    pub fn create_table(&self, who: &Principal, spec: TableSpec) -> Result<Arc<TableInfo>> {
        unimplemented!()
    }
    /// Adds nullable columns at the end: a new schema version.
    pub fn add_columns(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
        columns: Vec<ColumnSpec>,
    ) -> Result<Arc<TableInfo>> {
        unimplemented!()
    }
    /// Raises the number of partitions.
    pub fn set_partitions(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
        partitions: u32,
    ) -> Result<Arc<TableInfo>> {
        unimplemented!()
    }
    /// Refused while topics read it or a group has members on it; `force` drops those topics and ends those members too.
    pub fn drop_table(&self, who: &Principal, namespace: &str, name: &str, force: bool) -> Result<()> {
        unimplemented!()
    }
    pub fn table(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<TableInfo>> {
        unimplemented!()
    }
    pub fn table_by_id(&self, who: &Principal, id: TableId) -> Result<Arc<TableInfo>> {
        unimplemented!()
    }
    /// All tables of all namespaces, by namespace and name.
    pub fn tables(&self, who: &Principal) -> Result<Vec<Arc<TableInfo>>> {
        unimplemented!()
    }
    /// (start, end) offsets of every partition, in order.
    pub fn table_offsets(&self, who: &Principal, id: TableId) -> Result<Vec<(Offset, Offset)>> {
        unimplemented!()
    }

    pub fn create_topic(&self, who: &Principal, spec: TopicSpec) -> Result<Arc<TopicInfo>> {
        unimplemented!()
    }
    /// RELOAD: the same name and id, the next version, a new output schema. Refused while members are subscribed.
    pub fn replace_topic(&self, who: &Principal, spec: TopicSpec) -> Result<Arc<TopicInfo>> {
        unimplemented!()
    }
    /// Refused while groups have members or committed offsets on it; `force` ends the members and forgets the offsets.
    pub fn drop_topic(&self, who: &Principal, namespace: &str, name: &str, force: bool) -> Result<()> {
        unimplemented!()
    }
    /// Identity topics included.
    pub fn topic(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<TopicInfo>> {
        unimplemented!()
    }
    pub fn topic_by_id(&self, who: &Principal, id: TopicId) -> Result<Arc<TopicInfo>> {
        unimplemented!()
    }
    /// All topics but the identity ones, by namespace and name.
    pub fn topics(&self, who: &Principal) -> Result<Vec<Arc<TopicInfo>>> {
        unimplemented!()
    }
    /// The compiled topic; compiled once and kept while in use.
    pub fn topic_operator(&self, who: &Principal, id: TopicId) -> Result<Arc<dyn BatchOperator>> {
        unimplemented!()
    }

    /// Inspects, stores and records a module. `replace` makes the next version of a name that exists.
    pub fn create_plugin(&self, who: &Principal, spec: PluginSpec, replace: bool) -> Result<Arc<PluginInfo>> {
        unimplemented!()
    }
    /// Refused while a topic calls any version of it.
    pub fn drop_plugin(&self, who: &Principal, namespace: &str, name: &str) -> Result<()> {
        unimplemented!()
    }
    /// The newest version.
    pub fn plugin(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<PluginInfo>> {
        unimplemented!()
    }
    /// Newest versions, by namespace and name.
    pub fn plugins(&self, who: &Principal) -> Result<Vec<Arc<PluginInfo>>> {
        unimplemented!()
    }
    /// The callable function of one plugin version.
    pub fn plugin_function(&self, who: &Principal, id: PluginId) -> Result<Arc<dyn ScalarFunction>> {
        unimplemented!()
    }
}
