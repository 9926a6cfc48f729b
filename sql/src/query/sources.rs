//! What a plan reads, by name and id: a name may stand for something else by the time a prepared statement is executed.

use std::any::Any;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use millstream_engine::{TableId, TopicId};

use super::catalog::{Reader, Relation};
use super::stream_table::StreamTable;
use crate::names::Name;

/// A table or topic that a plan reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) name: Name,
    pub(crate) table: TableId,
    pub(crate) topic: Option<TopicId>,
}

impl Source {
    /// Whether the name stands for another table or topic now, or for none.
    pub(crate) fn is_stale(&self, reader: &Reader) -> bool {
        match reader.relation(&self.name) {
            Ok(Some(Relation::Table(table))) => (table.id, None) != (self.table, self.topic),
            Ok(Some(Relation::Topic(topic, table))) => (table.id, Some(topic.id)) != (self.table, self.topic),
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

/// The tables and topics that a plan reads.
pub(crate) fn sources(plan: &LogicalPlan) -> Vec<Source> {
    found(plan, StreamTable::source)
}

/// The same, as rights on them are asked for.
pub(crate) fn relations(plan: &LogicalPlan) -> Vec<Relation> {
    found(plan, StreamTable::relation)
}

fn found<T>(plan: &LogicalPlan, what: impl Fn(&StreamTable) -> T) -> Vec<T> {
    let mut found = Vec::new();
    let walked = plan.apply_with_subqueries(|step| {
        if let LogicalPlan::TableScan(scan) = step
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            let provider: &dyn Any = provider.as_ref();
            found.extend(provider.downcast_ref::<StreamTable>().map(&what));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "the walk itself cannot fail");
    found
}
