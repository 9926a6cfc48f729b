//! A planned statement, waiting for its parameters.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use millstream_engine::TableInfo;

use crate::convert::from_datafusion;
use crate::names::{SYSTEM, resolve_namespace};
use crate::parse::{CreateTopic, Options, Show, Statement};
use crate::query::{Planner, bind, bind_rows, outgoing_schema, parameter_schema, stream};
use crate::run::{self, Appender, Scene};
use crate::topic::explain_schema;
use crate::{BatchStream, Error, Outcome, Result, SqlSession, listing, parse};

/// A statement that was parsed and planned once and may be executed many times. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The schema of the rows it gives; no fields for statements that give none.
    pub result_schema: SchemaRef,
    /// One field for each parameter, `$1` first, named by its number; the types are what the statement needs there, Null
    /// where any will do.
    pub parameter_schema: SchemaRef,
    /// Whether it gives rows.
    pub is_query: bool,
    session: SqlSession,
    plan: Arc<Plan>,
}

/// What executing does.
#[derive(Debug)]
enum Plan {
    Query { state: SessionState, plan: LogicalPlan },
    Insert { state: SessionState, source: LogicalPlan, table: Arc<TableInfo> },
    CopyTo { state: SessionState, source: LogicalPlan, path: String, options: Options },
    ShowCreate(Show),
    ExplainCreateTopic(Box<CreateTopic>),
    ExplainTopic(datafusion::sql::sqlparser::ast::ObjectName),
    Use(String),
    Other(Statement),
}

/// Plans a statement.
pub(crate) async fn prepare(session: SqlSession, statement: Statement) -> Result<Prepared> {
    let scene = session.scene();
    let planner =
        Planner { reader: &scene.reader, namespace: &scene.namespace, memory_limit: scene.options.memory_limit_bytes };
    let none = || Arc::new(Schema::empty());
    let (result_schema, parameters, plan) = match statement {
        Statement::Query(query) => query_plan(planner.query(*query).await?)?,
        Statement::Show(show) => match listing::query_of(&show, &scene.reader, &scene.namespace)? {
            Some(text) => query_plan(planner.bare_query(parse::parse_query(&text)?.0).await?)?,
            None => (Some(listing::show_create_schema()), none(), Plan::ShowCreate(show)),
        },
        Statement::Insert(insert) => {
            let (insert, table) = run::insert_columns(&scene, *insert)?;
            let (state, plan) = planner.insert(insert).await?;
            let parameters = parameter_schema(&plan)?;
            let LogicalPlan::Dml(dml) = plan else {
                return Err(Error::Internal("an INSERT was planned as something else".to_owned()));
            };
            let source = own_columns(dml.input.as_ref().clone(), &table)?;
            (None, parameters, Plan::Insert { state, source, table })
        }
        Statement::CopyTo(copy) => {
            let (state, source) = planner.bare_query(copy.query).await?;
            let parameters = parameter_schema(&source)?;
            (None, parameters, Plan::CopyTo { state, source, path: copy.path, options: copy.options })
        }
        Statement::ExplainCreateTopic(create) => (Some(explain_schema()), none(), Plan::ExplainCreateTopic(create)),
        Statement::ExplainTopic { name } => (Some(explain_schema()), none(), Plan::ExplainTopic(name)),
        Statement::Use { namespace } => (None, none(), Plan::Use(resolve_namespace(&namespace)?)),
        other => (None, none(), Plan::Other(other)),
    };
    Ok(Prepared {
        is_query: result_schema.is_some(),
        result_schema: result_schema.unwrap_or_else(none),
        parameter_schema: parameters,
        session,
        plan: Arc::new(plan),
    })
}

fn query_plan((state, plan): (SessionState, LogicalPlan)) -> Result<(Option<SchemaRef>, SchemaRef, Plan)> {
    let schema = outgoing_schema(plan.schema().as_arrow());
    Ok((Some(schema), parameter_schema(&plan)?, Plan::Query { state, plan }))
}

/// The source of an INSERT without the pseudo-columns that the table may have been planned with.
fn own_columns(source: LogicalPlan, table: &TableInfo) -> Result<LogicalPlan> {
    let own = table.schema().fields().len();
    if source.schema().fields().len() <= own {
        return Ok(source);
    }
    let columns: Vec<_> = source.schema().columns().into_iter().take(own).map(Into::into).collect();
    let narrowed: Vec<datafusion::logical_expr::Expr> = columns;
    datafusion::logical_expr::LogicalPlanBuilder::from(source)
        .project(narrowed)
        .and_then(|builder| builder.build())
        .map_err(|error| from_datafusion(error, 0))
}

impl Prepared {
    /// Executes with one row of parameters, columns by position. An INSERT takes any number of rows and inserts for each
    /// of them; every other statement takes exactly one. Nothing has an effect before this call.
    pub async fn execute(&self, parameters: Option<RecordBatch>) -> Result<Outcome> {
        let scene = self.session.scene();
        let limit = scene.options.memory_limit_bytes;
        match self.plan.as_ref() {
            Plan::Query { state, plan } => {
                self.expect_one_row(parameters.as_ref())?;
                let plan = bind(plan, &self.parameter_schema, parameters.as_ref(), 0)?;
                let schema = match self.parameter_schema.fields().is_empty() {
                    true => Arc::clone(&self.result_schema),
                    false => outgoing_schema(plan.schema().as_arrow()),
                };
                let stream = rows(state, &plan, Arc::clone(&schema), limit).await?;
                Ok(Outcome::Rows { schema, stream })
            }
            Plan::Insert { state, source, table } => self.insert(&scene, state, source, table, parameters).await,
            Plan::CopyTo { state, source, path, options } => {
                self.expect_one_row(parameters.as_ref())?;
                let plan = bind(source, &self.parameter_schema, parameters.as_ref(), 0)?;
                let schema = outgoing_schema(plan.schema().as_arrow());
                let stream = rows(state, &plan, Arc::clone(&schema), limit).await?;
                run::copy_to(&scene.options, path, options.clone(), schema, stream).await
            }
            Plan::Use(namespace) => self.switch(&scene, namespace),
            Plan::ShowCreate(show) => self.one_batch(listing::show_create(show, &scene.reader, &scene.namespace)?),
            Plan::ExplainCreateTopic(create) => self.one_batch(run::explain_create_topic(&scene, create)?),
            Plan::ExplainTopic(name) => self.one_batch(run::explain_topic(&scene, name)?),
            Plan::Other(statement) => {
                let statement = statement.clone();
                blocking(move || run::run(&scene, statement)).await
            }
        }
    }

    fn expect_one_row(&self, parameters: Option<&RecordBatch>) -> Result<()> {
        let given = parameters.map_or(0, RecordBatch::num_rows);
        if self.parameter_schema.fields().is_empty() || given == 1 {
            return Ok(());
        }
        let message = format!("the statement takes one row of parameters, {given} are given");
        Err(Error::Invalid { message, position: None })
    }

    fn one_batch(&self, batch: RecordBatch) -> Result<Outcome> {
        let stream = Box::pin(futures::stream::iter([Ok(batch)]));
        Ok(Outcome::Rows { schema: Arc::clone(&self.result_schema), stream })
    }

    fn switch(&self, scene: &Scene, namespace: &str) -> Result<Outcome> {
        let known = scene.engine().namespaces(scene.who())?;
        if namespace != SYSTEM && !known.iter().any(|name| name == namespace) {
            return Err(millstream_engine::Error::NotFound { what: "namespace", name: namespace.to_owned() }.into());
        }
        namespace.clone_into(&mut self.session.namespace.write());
        Ok(Outcome::Done { rows: 0, message: format!("namespace is {namespace:?}") })
    }

    async fn insert(
        &self,
        scene: &Scene,
        state: &SessionState,
        source: &LogicalPlan,
        table: &Arc<TableInfo>,
        parameters: Option<RecordBatch>,
    ) -> Result<Outcome> {
        let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let parameters = parameters.unwrap_or(none);
        let mut plans = Vec::new();
        if self.parameter_schema.fields().is_empty() {
            plans.push(source.clone());
        } else if let Some(plan) = bind_rows(source, &self.parameter_schema, &parameters)? {
            plans.push(plan);
        } else {
            for row in 0..parameters.num_rows() {
                plans.push(bind(source, &self.parameter_schema, Some(&parameters), row)?);
            }
        }
        let mut appender = Appender::new(scene, Arc::clone(table));
        for plan in plans {
            let schema = outgoing_schema(plan.schema().as_arrow());
            let mut rows = rows(state, &plan, Arc::clone(&schema), scene.options.memory_limit_bytes).await?;
            while let Some(batch) = rows.next().await {
                let batch = named_as(batch?, table)?;
                appender = blocking(move || appender.push(batch).map(|()| appender)).await?;
            }
        }
        let rows = blocking(move || appender.finish()).await?;
        let noun = if rows == 1 { "row" } else { "rows" };
        Ok(Outcome::Done { rows, message: format!("{rows} {noun} inserted into {:?}", table.name) })
    }
}

/// Starts a query.
async fn rows(state: &SessionState, plan: &LogicalPlan, schema: SchemaRef, limit: usize) -> Result<BatchStream> {
    let failed = |error| from_datafusion(error, limit);
    let mut state = state.clone();
    // now() is the time of execution, not of preparation.
    let config = Arc::clone(state.config_options());
    state.execution_props_mut().mark_start_execution(config);
    let physical = state.create_physical_plan(plan).await.map_err(failed)?;
    let rows = execute_stream(physical, state.task_ctx()).map_err(failed)?;
    Ok(stream(rows, schema, limit))
}

/// The planner gives the columns in the table's order and types; the engine takes them by name.
fn named_as(batch: RecordBatch, table: &TableInfo) -> Result<RecordBatch> {
    let fields: Vec<_> =
        table.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec())
        .map_err(|error| Error::Execution(error.to_string()))
}

/// Runs what may block on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(Error::Internal(format!("a statement's task failed: {error}"))),
    }
}
