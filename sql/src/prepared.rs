//! A planned statement, waiting for its parameters.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use millstream_engine::TableInfo;

use crate::convert::from_datafusion;
use crate::names::{Name, SYSTEM, resolve_namespace};
use crate::parse::{CreateTopic, IdentityStatement, Options, Show, Statement};
use crate::query::{
    Planner, Source, analyse, bind, bind_rows, interruptible, name_row, outgoing_schema, parameter_schema, physical,
    sources, stream,
};
use crate::run::{self, Appender, Scene};
use crate::shares::Purpose;
use crate::threads::{Stop, planned, planning};
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
    pub(crate) session: SqlSession,
    plan: Arc<Plan>,
    /// What the plan was made of, to make it anew when a name comes to stand for something else.
    origin: Option<Arc<Origin>>,
}

/// A statement with a plan that reads or writes tables.
#[derive(Debug)]
struct Origin {
    statement: Statement,
    /// The session's at the time.
    namespace: String,
    sources: Vec<Source>,
}

/// What executing does. Plans without parameters are analysed, the others are once their parameters are known.
#[derive(Debug)]
enum Plan {
    Query {
        state: SessionState,
        plan: LogicalPlan,
    },
    Insert {
        state: SessionState,
        source: LogicalPlan,
        table: Arc<TableInfo>,
    },
    CopyTo {
        state: SessionState,
        source: LogicalPlan,
        path: String,
        options: Options,
    },
    Resend {
        state: SessionState,
        source: LogicalPlan,
        table: Arc<TableInfo>,
    },
    ShowCreate(Show),
    ExplainCreateTopic(Box<CreateTopic>),
    ExplainTopic(datafusion::sql::sqlparser::ast::ObjectName),
    /// Of those that give rows.
    Identity(IdentityStatement),
    Use(String),
    Other(Statement),
}

impl Plan {
    fn sources(&self) -> Vec<Source> {
        match self {
            Plan::Query { plan, .. } => sources(plan),
            Plan::CopyTo { source, .. } | Plan::Resend { source, .. } => sources(source),
            Plan::Insert { source, table, .. } => {
                let name = Name { namespace: table.namespace.clone(), name: table.name.clone() };
                let mut sources = sources(source);
                sources.push(Source { name, table: table.id, topic: None });
                sources
            }
            _ => Vec::new(),
        }
    }
}

/// Plans a statement.
pub(crate) async fn prepare(session: SqlSession, statement: Statement) -> Result<Prepared> {
    let scene = session.scene();
    let planner = Planner {
        reader: &scene.reader,
        namespace: &scene.namespace,
        memory_limit: scene.reader.options.memory_limit_bytes,
    };
    let none = || Arc::new(Schema::empty());
    let planned = matches!(
        statement,
        Statement::Query(_) | Statement::Insert(_) | Statement::CopyTo(_) | Statement::Resend { .. }
    );
    let kept = planned.then(|| statement.clone());
    let (result_schema, parameters, plan) = match statement {
        Statement::Query(query) => query_plan(planner.query(*query).await?)?,
        Statement::Show(show) => match listing::query_of(&show, &scene.reader, &scene.namespace)? {
            Some(text) => query_plan(planner.bare_query(parse::parse_query(&text)?).await?)?,
            None => (Some(listing::show_create_schema()), none(), Plan::ShowCreate(show)),
        },
        Statement::Insert(insert) => {
            let (insert, table) = run::insert_columns(&scene, *insert)?;
            let (state, plan) = planner.insert(insert).await?;
            let parameters = parameter_schema(&plan)?;
            let LogicalPlan::Dml(dml) = plan else {
                return Err(Error::Internal("an INSERT was planned as something else".to_owned()));
            };
            let source = run::own_columns(dml.input.as_ref().clone(), &table)?;
            let source = analysed(&state, source, &parameters)?;
            (None, parameters, Plan::Insert { state, source, table })
        }
        Statement::CopyTo(copy) => {
            let (state, source) = planner.bare_query(copy.query).await?;
            let parameters = parameter_schema(&source)?;
            let source = analysed(&state, source, &parameters)?;
            (None, parameters, Plan::CopyTo { state, source, path: copy.path, options: copy.options })
        }
        Statement::Resend { table, query } => {
            let table = run::message_table(&scene, &table)?;
            let (state, source) = planner.bare_query(*query).await?;
            let parameters = parameter_schema(&source)?;
            let source = analysed(&state, source, &parameters)?;
            (None, parameters, Plan::Resend { state, source, table })
        }
        Statement::ExplainCreateTopic(create) => (Some(explain_schema()), none(), Plan::ExplainCreateTopic(create)),
        Statement::ExplainTopic { name } => (Some(explain_schema()), none(), Plan::ExplainTopic(name)),
        Statement::Identity(statement) if run::identity_schema(&statement).is_some() => {
            (run::identity_schema(&statement), none(), Plan::Identity(statement))
        }
        Statement::Use { namespace } => (None, none(), Plan::Use(resolve_namespace(&namespace)?)),
        other => (None, none(), Plan::Other(other)),
    };
    let namespace = scene.namespace.clone();
    let origin = kept.map(|statement| Arc::new(Origin { statement, namespace, sources: plan.sources() }));
    Ok(Prepared {
        origin,
        is_query: result_schema.is_some(),
        result_schema: result_schema.unwrap_or_else(none),
        parameter_schema: parameters,
        session,
        plan: Arc::new(plan),
    })
}

fn query_plan((state, plan): (SessionState, LogicalPlan)) -> Result<(Option<SchemaRef>, SchemaRef, Plan)> {
    let parameters = parameter_schema(&plan)?;
    let plan = analysed(&state, plan, &parameters)?;
    let schema = match parameters.fields().is_empty() {
        true => outgoing_schema(plan.schema().as_arrow()),
        false => expected_schema(&state, &plan, &parameters)?,
    };
    Ok((Some(schema), parameters, Plan::Query { state, plan }))
}

/// The plan analysed, if it has no parameters.
fn analysed(state: &SessionState, plan: LogicalPlan, parameters: &Schema) -> Result<LogicalPlan> {
    match parameters.fields().is_empty() {
        true => analyse(state, plan).map_err(|error| from_datafusion(error, 0)),
        false => Ok(plan),
    }
}

/// The schema of a query's rows as far as it is known before its parameters are.
fn expected_schema(state: &SessionState, plan: &LogicalPlan, parameters: &SchemaRef) -> Result<SchemaRef> {
    let row: Vec<_> = parameters.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    let row = RecordBatch::try_new(Arc::clone(parameters), row).map_err(|error| Error::Internal(error.to_string()))?;
    let bound = bind(plan, parameters, Some(&row), 0)?;
    match analyse(state, bound) {
        Ok(bound) => Ok(outgoing_schema(bound.schema().as_arrow())),
        // Where a parameter may be of any type, nulls may be of a wrong one.
        Err(_) if parameters.fields().iter().any(|field| field.data_type().is_null()) => {
            Ok(outgoing_schema(plan.schema().as_arrow()))
        }
        Err(error) => Err(from_datafusion(error, 0)),
    }
}

impl Prepared {
    /// Executes with one row of parameters, columns by position. An INSERT takes any number of rows and inserts for each
    /// of them; every other statement takes exactly one. Nothing has an effect before this call.
    pub async fn execute(&self, parameters: Option<RecordBatch>) -> Result<Outcome> {
        let prepared = self.clone();
        self.session.sql.threads().run(async move { prepared.current().await?.run(parameters).await }).await
    }

    /// Itself, or, where a table or topic was dropped and another one made under its name, the statement planned anew. It must
    /// take and give what was announced.
    async fn current(self) -> Result<Prepared> {
        let scene = self.session.scene();
        let Some(origin) = &self.origin else { return Ok(self) };
        if !origin.sources.iter().any(|source| source.is_stale(&scene.reader)) {
            return Ok(self);
        }
        let session = SqlSession {
            namespace: Arc::new(parking_lot::RwLock::new(origin.namespace.clone())),
            ..self.session.clone()
        };
        let anew = planned(Box::pin(prepare(session, origin.statement.clone()))).await?;
        if (&anew.result_schema, &anew.parameter_schema) != (&self.result_schema, &self.parameter_schema) {
            let message = "a table of the prepared statement was dropped and made anew with other columns; prepare the \
                           statement again";
            return Err(Error::Invalid { message: message.to_owned(), position: None });
        }
        Ok(anew)
    }

    /// What a query does.
    pub(crate) fn query(&self) -> Option<&LogicalPlan> {
        match self.plan.as_ref() {
            Plan::Query { plan, .. } => Some(plan),
            _ => None,
        }
    }

    async fn run(self, parameters: Option<RecordBatch>) -> Result<Outcome> {
        let scene = self.session.scene();
        match self.plan.as_ref() {
            Plan::Query { state, plan } => {
                let (schema, rows) = self.rows(&scene, state, plan, parameters.as_ref()).await?;
                Ok(Outcome::Rows { schema, stream: self.session.sql.threads().stream(rows) })
            }
            Plan::Insert { state, source, table } => self.insert(&scene, state, source, table, parameters).await,
            Plan::CopyTo { state, source, path, options } => {
                let (schema, rows) = self.rows(&scene, state, source, parameters.as_ref()).await?;
                run::copy_to(&scene, path, options.clone(), schema, rows).await
            }
            Plan::Resend { state, source, table } => {
                let (_, rows) = self.rows(&scene, state, source, parameters.as_ref()).await?;
                run::resend(&scene, table, rows).await
            }
            Plan::Identity(statement) => self.one_batch(run::identity_rows(&scene, statement).await?),
            Plan::Use(namespace) => self.switch(&scene, namespace),
            Plan::ShowCreate(show) => self.one_batch(listing::show_create(show, &scene.reader, &scene.namespace)?),
            Plan::ExplainCreateTopic(create) => self.one_batch(planning(|| run::explain_create_topic(&scene, create))?),
            Plan::ExplainTopic(name) => self.one_batch(planning(|| run::explain_topic(&scene, name))?),
            Plan::Other(statement) => {
                let is_file = matches!(statement, Statement::CopyFrom(_) | Statement::Backup { .. });
                let purpose = if is_file { Purpose::File } else { Purpose::Statement };
                let (plan, shares) = (Arc::clone(&self.plan), Arc::clone(&scene.reader.shares));
                let run = move || match plan.as_ref() {
                    Plan::Other(statement) => planning(|| run::run(&scene, statement.clone())),
                    other => Err(Error::Internal(format!("{other:?} has a path of its own"))),
                };
                shares.run(purpose, run).await?
            }
        }
    }

    /// Starts a query with one row of parameters.
    async fn rows(
        &self,
        scene: &Scene,
        state: &SessionState,
        plan: &LogicalPlan,
        parameters: Option<&RecordBatch>,
    ) -> Result<(SchemaRef, BatchStream)> {
        self.expect_one_row(parameters)?;
        planned(async {
            let plan = self.bound_row(state, plan, parameters, 0)?;
            start(state, &plan, scene.reader.options.memory_limit_bytes).await
        })
        .await
    }

    /// The plan with a row of parameters, analysed.
    fn bound_row(
        &self,
        state: &SessionState,
        plan: &LogicalPlan,
        parameters: Option<&RecordBatch>,
        row: usize,
    ) -> Result<LogicalPlan> {
        let bound = bind(plan, &self.parameter_schema, parameters, row)?;
        match self.parameter_schema.fields().is_empty() {
            true => Ok(bound),
            false => analyse(state, bound).map_err(|error| from_datafusion(error, 0)),
        }
    }

    /// The schema of the rows that a query gives with these parameters: where a parameter may be of any type, it is known
    /// only now.
    pub async fn result_schema_with(&self, parameters: &RecordBatch) -> Result<SchemaRef> {
        let (prepared, parameters) = (self.clone(), parameters.clone());
        let work = planned(async move {
            let Plan::Query { state, plan } = prepared.plan.as_ref() else {
                return Ok(Arc::clone(&prepared.result_schema));
            };
            prepared.expect_one_row(Some(&parameters))?;
            let plan = prepared.bound_row(state, plan, Some(&parameters), 0)?;
            Ok(outgoing_schema(plan.schema().as_arrow()))
        });
        self.session.sql.threads().run(work).await
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
        let plans = planning(|| self.bound(state, source, &parameters))?;
        let mut appender = Appender::new(scene, Arc::clone(table));
        for plan in plans {
            let started = planned(start(state, &plan, scene.reader.options.memory_limit_bytes)).await;
            let (_, mut rows) = started.map_err(|error| name_row(error, &plan, state))?;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(|error| name_row(error, &plan, state))?;
                let batch = named_as(batch, table)?;
                appender = appender.push_later(batch).await?;
            }
        }
        let rows = appender.finish_later().await?;
        let noun = if rows == 1 { "row" } else { "rows" };
        Ok(Outcome::Done { rows, message: format!("{rows} {noun} inserted into {:?}", table.name) })
    }

    /// The sources of an INSERT: one for all rows of parameters, or, where that can't be, one for each.
    fn bound(&self, state: &SessionState, source: &LogicalPlan, parameters: &RecordBatch) -> Result<Vec<LogicalPlan>> {
        if self.parameter_schema.fields().is_empty() {
            return Ok(vec![source.clone()]);
        }
        if let Some(plan) = bind_rows(source, &self.parameter_schema, parameters)? {
            return Ok(vec![analyse(state, plan).map_err(|error| from_datafusion(error, 0))?]);
        }
        let row = |row| self.bound_row(state, source, Some(parameters), row);
        (0..parameters.num_rows()).map(row).collect()
    }
}

/// Starts an analysed query; gives the schema that its rows leave with, too.
async fn start(state: &SessionState, plan: &LogicalPlan, limit: usize) -> Result<(SchemaRef, BatchStream)> {
    let failed = |error| from_datafusion(error, limit);
    let schema = outgoing_schema(plan.schema().as_arrow());
    let mut state = state.clone();
    // now() is the time of execution, not of preparation.
    let config = Arc::clone(state.config_options());
    state.execution_props_mut().mark_start_execution(config);
    let physical = physical(&state, plan).await.map_err(failed)?;
    let physical = interruptible(physical, &Stop::current()).map_err(failed)?;
    let rows = execute_stream(physical, state.task_ctx()).map_err(failed)?;
    Ok((Arc::clone(&schema), stream(rows, schema, limit)))
}

/// The planner gives the columns in the table's order and types; the engine takes them by name.
fn named_as(batch: RecordBatch, table: &TableInfo) -> Result<RecordBatch> {
    let fields: Vec<_> =
        table.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec())
        .map_err(|error| Error::Execution(error.to_string()))
}
