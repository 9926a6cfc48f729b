//! `system.*`: what the engine knows, as tables. Each is computed when it is read.

mod callable;
mod called;
mod checkbacks;
mod consumers;
mod continuous;
mod data;
mod defined;
mod delivered;
mod identities;
mod messages;
mod namespaces;
mod settings;
mod shadows;
mod stored;
mod versions;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::Result;
use crate::convert::into_datafusion;
use crate::query::Reader;
use data::{Columns, Rows};

/// One of the tables.
#[derive(Debug)]
pub(crate) struct SystemTable {
    pub(crate) name: &'static str,
    columns: Columns,
    rows: fn(&Reader) -> Result<Rows>,
}

impl SystemTable {
    pub(crate) fn schema(&self) -> SchemaRef {
        data::schema(self.columns)
    }
}

/// All of them, by name.
pub(crate) static TABLES: [SystemTable; 39] = [
    SystemTable { name: "access_keys", columns: identities::ACCESS_KEYS, rows: identities::access_keys },
    SystemTable { name: "assignments", columns: delivered::ASSIGNMENTS, rows: delivered::assignments },
    SystemTable { name: "checkbacks", columns: checkbacks::CHECKBACKS, rows: checkbacks::checkbacks },
    SystemTable { name: "columns", columns: defined::COLUMNS, rows: defined::columns },
    SystemTable { name: "consumer_groups", columns: delivered::GROUPS, rows: delivered::groups },
    SystemTable { name: "continuous_topics", columns: continuous::TOPICS, rows: continuous::topics },
    SystemTable { name: "delayed_messages", columns: messages::DELAYED_MESSAGES, rows: messages::delayed_messages },
    SystemTable { name: "deliveries", columns: messages::DELIVERIES, rows: messages::deliveries },
    SystemTable { name: "functions", columns: callable::FUNCTIONS, rows: callable::functions },
    SystemTable { name: "grants", columns: identities::GRANTS, rows: identities::grants },
    SystemTable { name: "groups", columns: delivered::GROUPS, rows: delivered::groups },
    SystemTable { name: "log", columns: stored::LOG, rows: stored::log },
    SystemTable { name: "members", columns: delivered::MEMBERS, rows: delivered::members },
    SystemTable { name: "message_clients", columns: messages::CLIENTS, rows: messages::clients },
    SystemTable { name: "namespaces", columns: namespaces::NAMESPACES, rows: namespaces::namespaces },
    SystemTable { name: "offsets", columns: delivered::OFFSETS, rows: delivered::offsets },
    SystemTable { name: "partitions", columns: stored::PARTITIONS, rows: stored::partitions },
    SystemTable { name: "plugin_calls", columns: called::CALLS, rows: called::calls },
    SystemTable { name: "plugin_consumers", columns: consumers::CONSUMERS, rows: consumers::consumers },
    SystemTable { name: "plugin_logs", columns: called::LOGS, rows: called::logs },
    SystemTable { name: "plugin_namespaces", columns: namespaces::USAGE, rows: namespaces::usage },
    SystemTable { name: "plugin_shadow_differences", columns: shadows::DIFFERENCES, rows: shadows::differences },
    SystemTable { name: "plugin_shadows", columns: shadows::SHADOWS, rows: shadows::shadows },
    SystemTable { name: "plugin_uses", columns: called::USES, rows: called::uses },
    SystemTable { name: "plugins", columns: callable::PLUGINS, rows: callable::plugins },
    SystemTable { name: "quotas", columns: namespaces::QUOTAS, rows: namespaces::quotas },
    SystemTable { name: "role_members", columns: identities::ROLE_MEMBERS, rows: identities::role_members },
    SystemTable { name: "roles", columns: identities::ROLES, rows: identities::roles },
    SystemTable { name: "segments", columns: stored::SEGMENTS, rows: stored::segments },
    SystemTable { name: "settings", columns: settings::SETTINGS, rows: settings::settings },
    SystemTable { name: "stats", columns: stored::STATS, rows: stored::stats },
    SystemTable { name: "subscriptions", columns: messages::SUBSCRIPTIONS, rows: messages::subscriptions },
    SystemTable { name: "tables", columns: defined::TABLES, rows: defined::tables },
    SystemTable { name: "tokens", columns: identities::TOKENS, rows: identities::tokens },
    SystemTable { name: "topic_versions", columns: versions::TOPIC_VERSIONS, rows: versions::topic_versions },
    SystemTable { name: "topics", columns: defined::TOPICS, rows: defined::topics },
    SystemTable { name: "transactions", columns: messages::TRANSACTIONS, rows: messages::transactions },
    SystemTable { name: "users", columns: identities::USERS, rows: identities::users },
    SystemTable { name: "watermarks", columns: continuous::WATERMARKS, rows: continuous::watermarks },
];

/// The table of a name.
pub(crate) fn find(name: &str) -> Option<&'static SystemTable> {
    TABLES.iter().find(|table| table.name == name)
}

/// A table as DataFusion reads it.
pub(crate) fn provider(table: &'static SystemTable, reader: Reader) -> Arc<dyn TableProvider> {
    Arc::new(SystemProvider { table, reader })
}

#[derive(Debug)]
struct SystemProvider {
    table: &'static SystemTable,
    reader: Reader,
}

#[async_trait]
impl TableProvider for SystemProvider {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = self.table.schema();
        let rows = (self.table.rows)(&self.reader).map_err(into_datafusion)?;
        let batch = data::batch(&schema, rows)?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, projection.cloned())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_schemas_are_well_formed() {
        assert!(TABLES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for table in &TABLES {
            let schema = table.schema();
            assert!(!schema.fields().is_empty(), "{}", table.name);
            data::batch(&schema, Vec::new()).unwrap_or_else(|error| panic!("{}: {error}", table.name));
        }
    }
}
