//! Continuous topics without an engine: definitions in, and what runs give, whatever happens to them.

mod cases;
mod engine;
mod oracle;
mod queries;
mod rows;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::memory::{MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionState;
use datafusion::physical_plan::collect;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::{LatePolicy, TableId, TopicPlugins};

use super::{ContinuousDefinition, Over, define};
use crate::convert::from_datafusion;
use crate::names::CATALOG;
use crate::parse::{Statement, parse_definition, parse_one};
use crate::plugin::Plugin;
use crate::query::{analyse, base_state, one_thread, physical, runtime};
use crate::rewrite::{Scope, rewrite};
use crate::{Result, SqlOptions, windows};

fn state() -> SessionState {
    let options = SqlOptions::default();
    one_thread(&base_state(&options, runtime(&options).unwrap()))
}

fn over(schema: &SchemaRef) -> Over<'_> {
    Over { table: TableId(7), schema, time_column: Some("ts"), late: LatePolicy::Keep, begins_us: None }
}

fn try_define(sql: &str, over: Over<'_>, state: &SessionState) -> Result<ContinuousDefinition> {
    define(&parse_definition(sql)?, over, &TopicPlugins::default(), state)
}

/// What a SELECT gives, by DataFusion alone.
struct Batch {
    state: SessionState,
    tables: Arc<MemorySchemaProvider>,
}

struct NoScope;

impl Scope for NoScope {
    fn hidden(&self, _: &ObjectName) -> Vec<&'static str> {
        Vec::new()
    }

    fn columns(&self, _: &ObjectName) -> Option<Vec<String>> {
        None
    }

    fn plugin(&self, _: &str) -> Result<Option<Plugin>> {
        Ok(None)
    }
}

impl Batch {
    fn new() -> Batch {
        let state = state();
        let (catalog, tables) = (MemoryCatalogProvider::new(), Arc::new(MemorySchemaProvider::new()));
        catalog.register_schema("public", Arc::clone(&tables) as Arc<dyn SchemaProvider>).unwrap();
        state.catalog_list().register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        Batch { state, tables }
    }

    /// The rows of a query over a table `t`, of columns as `output` has them.
    fn answer(&self, sql: &str, schema: &SchemaRef, rows: &[RecordBatch], output: &SchemaRef) -> Vec<RecordBatch> {
        let batches = self.try_answer(sql, schema, rows).unwrap_or_else(|error| panic!("{sql}: {error}"));
        batches.iter().map(|batch| typed(batch, output)).collect()
    }

    fn try_answer(&self, sql: &str, schema: &SchemaRef, rows: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        let _ = self.tables.deregister_table("t").unwrap();
        let table = MemTable::try_new(Arc::clone(schema), vec![rows.to_vec()]).unwrap();
        self.tables.register_table("t".to_owned(), Arc::new(table)).unwrap();
        let Statement::Query(mut statement) = parse_one(sql).unwrap() else { panic!("{sql} is no query") };
        if let DfStatement::Statement(inner) = statement.as_mut() {
            windows::expand(inner.as_mut(), &|_| None).unwrap();
            rewrite(inner.as_mut(), &NoScope, &self.state, false).unwrap();
        }
        futures::executor::block_on(async {
            let plan = self.state.statement_to_plan(*statement).await?;
            let plan = analyse(&self.state, plan)?;
            let physical = physical(&self.state, &plan).await?;
            collect(physical, self.state.task_ctx()).await
        })
        .map_err(|error| from_datafusion(error, 0))
    }
}

/// With the types of a schema; a topic's nulls are known better than a query's.
fn typed(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()).unwrap()).collect();
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    let cells = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | ");
    (0..batch.num_rows()).map(cells).collect()
}

fn sorted_texts<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Vec<String> {
    let mut rows: Vec<String> = batches.into_iter().flat_map(texts).collect();
    rows.sort_unstable();
    rows
}
