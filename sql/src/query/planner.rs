//! How DataFusion is set up, and how one statement is planned with it.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::CatalogProviderList;
use datafusion::common::Result as DfResult;
use datafusion::config::ConfigOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Insert, ObjectName, Query, Spanned, Statement as Ast, Visit, VisitMut, Visitor};

use super::catalog::{Reader, Relation};
use super::growth::check_growth;
use super::property::property;
use super::recursion::BoundRecursion;
use super::session_functions::{session_functions, version};
use super::shape::check_shape;
use crate::convert::from_datafusion;
use crate::names::{CATALOG, INFORMATION_SCHEMA, SYSTEM, resolve};
use crate::plugin::{Callables as _, Plugin};
use crate::poll::{self, PollFunction};
use crate::rewrite::{Scope, names_pseudo, rewrite};
use crate::system;
use crate::types::SqlTypes;
use crate::values;
use crate::windows;
use crate::{Error, Position, Result, SqlOptions};

/// What all queries share: the bounded memory, and no spilling, so that a query never fills the disk that the log
/// lives on.
pub(crate) fn runtime(options: &SqlOptions) -> Result<Arc<RuntimeEnv>> {
    let top = std::num::NonZeroUsize::new(3).unwrap_or(std::num::NonZeroUsize::MIN);
    let pool = TrackConsumersPool::new(GreedyMemoryPool::new(options.memory_limit_bytes), top);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .map_err(|error| from_datafusion(error, options.memory_limit_bytes))
}

/// DataFusion with all its functions and our types, without tables.
pub(crate) fn base_state(options: &SqlOptions, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = ConfigOptions::new();
    config.sql_parser.map_string_types_to_utf8view = false;
    config.sql_parser.collect_spans = true;
    values::settings(&mut config);
    config.execution.time_zone = Some("UTC".to_owned());
    let config = SessionConfig::from(config)
        .with_default_catalog_and_schema(CATALOG, "public")
        .with_create_default_catalog_and_schema(false)
        .with_target_partitions(options.threads.max(1))
        .with_batch_size(options.batch_rows.max(1));
    let builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_type_planner(Arc::new(SqlTypes))
        .with_physical_optimizer_rule(Arc::new(BoundRecursion { limit: options.max_recursions }));
    let mut builder = values::install(builder);
    let functions = [version(), property()].into_iter().chain(windows::functions());
    builder.scalar_functions().get_or_insert_default().extend(functions.map(Arc::new));
    builder.build()
}

/// The same, with queries that run on one thread: their rows come in one order.
pub(crate) fn one_thread(state: &SessionState) -> SessionState {
    let mut state = state.clone();
    state.config_mut().options_mut().execution.target_partitions = 1;
    state
}

/// Brings a plan's expressions to common types and checks them, after which its schema is that of the rows it gives. EXPLAIN
/// does so by itself.
pub(crate) fn analyse(state: &SessionState, plan: LogicalPlan) -> DfResult<LogicalPlan> {
    match plan {
        LogicalPlan::Explain(_) => Ok(plan),
        plan => state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}),
    }
}

/// The physical plan of an analysed one.
pub(crate) async fn physical(state: &SessionState, plan: &LogicalPlan) -> DfResult<Arc<dyn ExecutionPlan>> {
    match plan {
        LogicalPlan::Explain(_) => state.create_physical_plan(plan).await,
        plan => {
            let optimised = state.optimizer().optimize(plan.clone(), state, |_, _| {})?;
            state.query_planner().create_physical_plan(&optimised, state).await
        }
    }
}

/// Plans statements of one session: its principal, its namespace.
pub(crate) struct Planner<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) namespace: &'a str,
    pub(crate) memory_limit: usize,
}

impl Planner<'_> {
    /// Plans a query, or EXPLAIN of one.
    pub(crate) async fn query(&self, mut statement: DfStatement) -> Result<(SessionState, LogicalPlan)> {
        let state = match &mut statement {
            DfStatement::Statement(inner) => self.prepare(inner.as_mut())?,
            DfStatement::Explain(explain) => match explain.statement.as_mut() {
                DfStatement::Statement(inner) => self.prepare(inner.as_mut())?,
                other => return Err(Error::Internal(format!("{other} is not a query"))),
            },
            other => return Err(Error::Internal(format!("{other} is not a query"))),
        };
        self.plan(state, statement).await
    }

    /// Plans a query that is part of a statement of ours.
    pub(crate) async fn bare_query(&self, query: Query) -> Result<(SessionState, LogicalPlan)> {
        self.query(DfStatement::Statement(Box::new(Ast::Query(Box::new(query))))).await
    }

    /// Plans an INSERT whose columns are all named.
    pub(crate) async fn insert(&self, insert: Insert) -> Result<(SessionState, LogicalPlan)> {
        let mut statement = Ast::Insert(insert);
        let state = self.prepare(&mut statement)?;
        self.plan(state, DfStatement::Statement(Box::new(statement))).await
    }

    async fn plan(&self, state: SessionState, statement: DfStatement) -> Result<(SessionState, LogicalPlan)> {
        let start = match &statement {
            DfStatement::Statement(statement) => Position::of(statement.span()),
            _ => None,
        };
        let planned = state.statement_to_plan(statement).await;
        let plan = planned.map_err(|error| from_datafusion(error, self.memory_limit))?;
        check_growth(&plan, start)?;
        Ok((state, plan))
    }

    /// Rewrites the statement and sets up the state that resolves what is in it.
    fn prepare<N: Visit + VisitMut>(&self, node: &mut N) -> Result<SessionState> {
        windows::expand(node, &|table| SessionScope { planner: self }.columns(table))?;
        check_shape(node)?;
        let with_pseudo = names_pseudo(node);
        self.check_relations(node)?;
        let scope = SessionScope { planner: self };
        let plugins = rewrite(node, &scope, &self.reader.state, with_pseudo)?;
        let catalogs: Arc<dyn CatalogProviderList> = Arc::new(self.reader.catalogs(with_pseudo));
        let mut state = self.reader.state.as_ref().clone();
        state.config_mut().options_mut().catalog.default_schema = self.namespace.to_owned();
        state.register_catalog_list(catalogs);
        let poll = PollFunction { reader: self.reader.clone(), namespace: self.namespace.to_owned(), with_pseudo };
        state.register_udtf(poll::NAME, Arc::new(poll));
        let own = session_functions(self.namespace, self.reader.who.name()).into_iter().map(Arc::new);
        let udfs = own.chain(plugins.values().map(Plugin::udf));
        for udf in udfs {
            use datafusion::execution::FunctionRegistry;
            state.register_udf(udf).map_err(|error| from_datafusion(error, self.memory_limit))?;
        }
        Ok(state)
    }

    /// Names in our words, and with their place, before DataFusion says `table 'millstream.public.x' not found`.
    fn check_relations(&self, node: &impl Visit) -> Result<()> {
        struct Relations(Vec<ObjectName>, Vec<String>);
        impl Visitor for Relations {
            type Break = ();
            fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
                self.0.push(relation.clone());
                ControlFlow::Continue(())
            }
            fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
                let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
                self.1.extend(ctes.map(|cte| crate::names::fold(&cte.alias.name)));
                ControlFlow::Continue(())
            }
        }
        let mut found = Relations(Vec::new(), Vec::new());
        let _ = node.visit(&mut found);
        let Relations(relations, ctes) = found;
        for relation in relations {
            let Ok(name) = resolve(&relation, self.namespace) else { continue };
            let bare = relation.0.len() == 1;
            let function =
                bare && self.reader.state.table_functions().contains_key(&name.name) || name.name == poll::NAME;
            if function || bare && ctes.contains(&name.name) || name.namespace == INFORMATION_SCHEMA {
                continue;
            }
            if !self.reader.exists(&name) {
                return Err(Error::Invalid {
                    message: format!("table or topic {name} does not exist"),
                    position: crate::names::position(&relation),
                });
            }
        }
        Ok(())
    }
}

struct SessionScope<'a> {
    planner: &'a Planner<'a>,
}

impl Scope for SessionScope<'_> {
    fn hidden(&self, relation: &ObjectName) -> Vec<&'static str> {
        let Ok(name) = resolve(relation, self.planner.namespace) else { return Vec::new() };
        if relation.0.len() == 1 && name.name == poll::NAME {
            return poll::HIDDEN.to_vec();
        }
        let is_listed = name.namespace == SYSTEM && system::find(&name.name).is_some();
        if is_listed || name.namespace == INFORMATION_SCHEMA {
            return Vec::new();
        }
        self.planner.reader.hidden(&name)
    }

    fn columns(&self, relation: &ObjectName) -> Option<Vec<String>> {
        let name = resolve(relation, self.planner.namespace).ok()?;
        let schema = match self.planner.reader.relation(&name).ok()?? {
            Relation::Table(table) => Arc::clone(table.schema()),
            Relation::Topic(topic, _) => Arc::clone(&topic.output_schema),
        };
        Some(schema.fields().iter().map(|field| field.name().clone()).collect())
    }

    fn plugin(&self, name: &str) -> Result<Option<Plugin>> {
        self.planner.reader.callables(self.planner.namespace).function(name)
    }
}
