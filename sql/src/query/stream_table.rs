//! A table or topic as a provider: filters and projection are compiled into the operator that the cursor runs.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator as Op, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use millstream_engine::{BatchOperator, OnError, TableInfo, TopicId, TopicInfo, VersionRange};

use super::catalog::{Reader, Relation};
use super::growth::terms;
use super::scan_exec::{Part, ScanExec};
use super::sources::Source;
use crate::convert::into_datafusion;
use crate::names::Name;
use crate::pseudo;
use crate::topic::{Layered, Operator, TopicPlan};

/// A readable stream of rows: the identity over a table, or a topic.
#[derive(Debug)]
pub(super) struct StreamTable {
    reader: Reader,
    /// The newest version's.
    plan: TopicPlan,
    /// Of versions that answer for earlier rows. They have the same columns and conditions, and call other plugins.
    earlier: Vec<(u32, TopicPlan)>,
    topic: Option<Arc<TopicInfo>>,
    table: Arc<TableInfo>,
    schema: SchemaRef,
    with_pseudo: bool,
    /// Rows that fail in the topic itself are left out.
    skip: bool,
}

impl StreamTable {
    pub(super) fn of_table(reader: Reader, table: Arc<TableInfo>, with_pseudo: bool) -> StreamTable {
        let plan = TopicPlan::identity(table.schema());
        StreamTable::new(reader, vec![(0, plan)], None, table, with_pseudo)
    }

    /// `plans` are those of the topic's versions, the newest last.
    pub(super) fn of_topic(
        reader: Reader,
        topic: Arc<TopicInfo>,
        plans: Vec<(u32, TopicPlan)>,
        table: Arc<TableInfo>,
        with_pseudo: bool,
    ) -> StreamTable {
        StreamTable::new(reader, plans, Some(topic), table, with_pseudo)
    }

    fn new(
        reader: Reader,
        mut plans: Vec<(u32, TopicPlan)>,
        topic: Option<Arc<TopicInfo>>,
        table: Arc<TableInfo>,
        with_pseudo: bool,
    ) -> StreamTable {
        for (_, plan) in plans.iter_mut().filter(|(_, plan)| with_pseudo && plan.transform.is_none()) {
            plan.select.add_pseudo();
        }
        let (_, plan) = plans.pop().unwrap_or_else(|| (0, TopicPlan::identity(table.schema())));
        let mut schema = plan.output_schema();
        if with_pseudo && plan.transform.is_some() {
            schema = Arc::new(pseudo::extend(&schema));
        }
        let skip = topic.as_ref().is_some_and(|topic| topic.on_error != OnError::Stop);
        StreamTable { reader, plan, earlier: plans, topic, table, schema, with_pseudo, skip }
    }

    /// What it reads, by name and id.
    pub(super) fn source(&self) -> Source {
        let (namespace, name) = match &self.topic {
            Some(topic) => (&topic.namespace, &topic.name),
            None => (&self.table.namespace, &self.table.name),
        };
        let name = Name { namespace: namespace.clone(), name: name.clone() };
        Source { name, table: self.table.id, topic: self.topic.as_ref().map(|topic| topic.id) }
    }

    /// What its rows are read from.
    pub(super) fn relation(&self) -> Relation {
        let table = Arc::clone(&self.table);
        match &self.topic {
            Some(topic) => Relation::Topic(Arc::clone(topic), table),
            None => Relation::Table(table),
        }
    }

    /// Of a table its identity topic.
    fn topic_id(&self) -> TopicId {
        self.topic.as_ref().map_or(TopicId(self.table.id.0), |topic| topic.id)
    }

    /// Whether conditions and columns of a query can become part of the topic's own SELECT.
    fn is_mergeable(&self) -> bool {
        !self.skip && self.plan.transform.is_none()
    }

    /// For each column the number of terms that it is computed from.
    pub(super) fn terms(&self) -> Vec<usize> {
        if self.plan.transform.is_some() {
            return vec![1; self.schema.fields().len()];
        }
        let none = DFSchema::empty();
        self.plan.select.outputs.iter().map(|output| terms(&output.expr, &none, &[])).collect()
    }

    fn operator(
        &self,
        plan: &TopicPlan,
        filters: &[Expr],
        projection: Option<&Vec<usize>>,
    ) -> DfResult<Arc<dyn BatchOperator>> {
        let (state, projection) = (&self.reader.state, projection.map(Vec::as_slice));
        if self.is_mergeable() {
            let narrowed = plan.select.narrow(filters, projection)?;
            return Ok(Arc::new(Operator::compile(&narrowed, false, state)?));
        }
        let topic = plan.compile_for_query(self.with_pseudo, state)?;
        Ok(Arc::new(Layered::compile(topic, self.skip, filters, projection, state)?))
    }

    /// What there is to read, each run of rows with the operator of the version that answers for it.
    fn parts(
        &self,
        newest: &Arc<dyn BatchOperator>,
        filters: &[Expr],
        projection: Option<&Vec<usize>>,
    ) -> DfResult<Vec<Part>> {
        let Reader { engine, who, .. } = &self.reader;
        let mut operators: HashMap<u32, Arc<dyn BatchOperator>> = HashMap::new();
        for (version, plan) in &self.earlier {
            operators.insert(*version, self.operator(plan, filters, projection)?);
        }
        let offsets = engine.topic_offsets(who, self.topic_id()).map_err(into_datafusion)?;
        // A version that has begun since this was planned has rows that are not this query's: it sees those before.
        let topic = self.topic.as_ref().map(|planned| {
            let now = engine.topic_by_id(who, planned.id).ok();
            now.filter(|now| now.base_version() == planned.base_version()).unwrap_or_else(|| Arc::clone(planned))
        });
        let mut parts = Vec::new();
        for (partition, (start, end)) in (0..).zip(offsets) {
            let mut runs = Vec::new();
            match (&topic, &self.topic) {
                (Some(topic), Some(planned)) => {
                    for VersionRange { version, offsets } in topic.versions_of(partition) {
                        let operator = if version == planned.version { Some(newest) } else { operators.get(&version) };
                        let range = offsets.start.max(start)..offsets.end.min(end);
                        runs.extend(operator.map(|operator| (range, Arc::clone(operator))));
                    }
                }
                _ => runs.push((start..end, Arc::clone(newest))),
            }
            runs.retain(|(range, _)| !range.is_empty());
            if !runs.is_empty() {
                parts.push(Part { partition, runs });
            }
        }
        Ok(parts)
    }

    /// The conditions on the table's own columns that every row must pass.
    fn conditions(&self, filters: &[Expr]) -> DfResult<Vec<Expr>> {
        let mut conditions = self.plan.select.filters.clone();
        if self.plan.transform.is_none() {
            for filter in filters {
                conditions.push(self.plan.select.inline(filter.clone())?);
            }
        }
        Ok(conditions)
    }
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match is_row_wise(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let operator = self.operator(&self.plan, filters, projection)?;
        let conditions = self.conditions(filters)?;
        let all: Vec<&Expr> = conditions.iter().collect();
        let event_time_us = self.table.options.time_column.as_ref().and_then(|column| time_bounds(column, &all));
        let parts = self.parts(&operator, filters, projection)?;
        let id = self.topic_id();
        let exact = all.is_empty() && self.is_mergeable();
        let threads = self.reader.state.config().target_partitions();
        let name = Arc::from(self.source().name.name);
        let reader = self.reader.clone();
        Ok(Arc::new(ScanExec::new(reader, name, id, operator, parts, event_time_us, limit, threads, exact)))
    }
}

/// Whether an expression's answer depends on its row and nothing else.
fn is_row_wise(expr: &Expr) -> bool {
    let strange = expr.exists(|node| {
        Ok(matches!(
            node,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::Placeholder(_)
                | Expr::Unnest(_)
                | Expr::ScalarVariable(..)
        ))
    });
    !expr.is_volatile() && !strange.unwrap_or(true)
}

/// The range of event time, in µs and end exclusive, that rows passing all of `filters` lie in; `None` if the filters
/// say nothing of the time column.
fn time_bounds(time_column: &str, filters: &[&Expr]) -> Option<Range<i64>> {
    let (mut start, mut end) = (i64::MIN, i64::MAX);
    for condition in filters.iter().flat_map(|filter| split_conjunction(filter)) {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { continue };
        let (op, literal) = match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(literal, _)) if column.name == time_column => (*op, literal),
            (Expr::Literal(literal, _), Expr::Column(column)) if column.name == time_column => {
                (op.swap().unwrap_or(Op::IsDistinctFrom), literal)
            }
            _ => continue,
        };
        let Some((floor, ceil)) = micros(literal) else { continue };
        match op {
            Op::Gt | Op::GtEq => start = start.max(floor),
            Op::Lt | Op::LtEq => end = end.min(ceil.saturating_add(1)),
            Op::Eq => {
                start = start.max(floor);
                end = end.min(ceil.saturating_add(1));
            }
            _ => {}
        }
    }
    ((start, end) != (i64::MIN, i64::MAX)).then(|| start..end.max(start))
}

/// A timestamp literal in µs, rounded down and up.
fn micros(literal: &ScalarValue) -> Option<(i64, i64)> {
    Some(match literal {
        ScalarValue::TimestampSecond(Some(value), _) => {
            let value = value.saturating_mul(1_000_000);
            (value, value)
        }
        ScalarValue::TimestampMillisecond(Some(value), _) => {
            let value = value.saturating_mul(1_000);
            (value, value)
        }
        ScalarValue::TimestampMicrosecond(Some(value), _) => (*value, *value),
        ScalarValue::TimestampNanosecond(Some(value), _) => {
            let floor = value.div_euclid(1_000);
            (floor, floor + i64::from(value.rem_euclid(1_000) != 0))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn at(micros: i64) -> Expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), None)
    }

    #[test]
    fn bounds_of_event_time() {
        let check = |filter: Expr, expected: Option<Range<i64>>| {
            assert_eq!(time_bounds("ts", &[&filter]), expected, "{filter}");
        };
        check(col("ts").gt_eq(at(5)), Some(5..i64::MAX));
        check(col("ts").lt(at(9)), Some(i64::MIN..10));
        check(at(5).lt_eq(col("ts")).and(col("ts").lt_eq(at(9))), Some(5..10));
        check(col("ts").eq(at(7)), Some(7..8));
        check(col("ts").gt(at(9)).and(col("ts").lt(at(3))), Some(9..9));
        check(col("other").gt(at(9)), None);
        check(col("ts").gt(at(9)).or(col("x").gt(lit(3))), None);
        let nanos = Expr::Literal(ScalarValue::TimestampNanosecond(Some(-1), None), None);
        check(col("ts").eq(nanos), Some(-1..1));
    }
}
