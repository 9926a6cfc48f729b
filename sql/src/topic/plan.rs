//! A checked SELECT to a [`Stateless`], through DataFusion's planner and analyser.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result as DfResult, TableReference, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::builder::LogicalTableSource;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, Volatility, WindowUDF,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement};

use super::check;
use super::stateless::{Output, Stateless};
use crate::convert::from_datafusion;
use crate::plugin::Plugin;
use crate::types::{SqlTypes, normalise};
use crate::{Error, Result, pseudo, values};

/// Plans a query that passed the check and was rewritten. `schema` is the table's at the wanted version.
pub(super) fn plan(
    query: Query,
    schema: &Schema,
    with_pseudo: bool,
    plugins: &BTreeMap<String, Plugin>,
    state: &SessionState,
) -> Result<Stateless> {
    let visible = if with_pseudo { pseudo::extend(schema) } else { schema.clone() };
    let planned = analyse_over(query, Arc::new(LogicalTableSource::new(Arc::new(visible))), plugins, state)?;
    let stateless = walk(planned, schema)?;
    let mut names = HashSet::new();
    for output in &stateless.outputs {
        if !names.insert(output.field.name()) {
            let message =
                format!("column {} is selected twice; give one of them another name by AS", output.field.name());
            return Err(Error::Invalid { message, position: None });
        }
    }
    simplify(stateless, state)
}

/// Plans a query over one table, whatever it is called there, and analyses it.
pub(crate) fn analyse_over(
    query: Query,
    source: Arc<dyn TableSource>,
    plugins: &BTreeMap<String, Plugin>,
    state: &SessionState,
) -> Result<LogicalPlan> {
    let plugins = plugins.iter().map(|(name, plugin)| (name.clone(), plugin.udf())).collect();
    analyse(query, &TopicContext { source, plugins, state }).map_err(|error| from_datafusion(error, 0))
}

fn analyse(query: Query, context: &TopicContext) -> DfResult<LogicalPlan> {
    let options =
        ParserOptions { map_string_types_to_utf8view: false, collect_spans: true, ..values::parser_options() };
    let planned =
        SqlToRel::new_with_options(context, options).sql_statement_to_plan(Statement::Query(Box::new(query)))?;
    context.state.analyzer().execute_and_check(planned, context.state.config_options(), |_, _| {})
}

/// Takes the plan apart: a projection over an optional filter over the table.
fn walk(plan: LogicalPlan, schema: &Schema) -> Result<Stateless> {
    let mut stateless = Stateless::identity(schema);
    let LogicalPlan::Projection(projection) = plan else {
        return Err(check::refused(plan.display().to_string().as_str(), None));
    };
    let mut outputs = Vec::with_capacity(projection.expr.len());
    for (expr, field) in projection.expr.iter().zip(projection.schema.fields()) {
        outputs.push(output(expr, field)?);
    }
    stateless.outputs = outputs;
    let mut below = projection.input.as_ref();
    loop {
        below = match below {
            LogicalPlan::Filter(filter) => {
                let predicate = unqualify(filter.predicate.clone())?;
                stateless.filters.splice(0..0, [predicate]);
                filter.input.as_ref()
            }
            LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
            LogicalPlan::TableScan(_) => break,
            other => return Err(check::refused(other.display().to_string().as_str(), None)),
        };
    }
    for expr in stateless.filters.iter().chain(stateless.outputs.iter().map(|output| &output.expr)) {
        refuse_volatile(expr)?;
    }
    Ok(stateless)
}

fn output(expr: &Expr, field: &FieldRef) -> Result<Output> {
    let data_type = normalise(field.data_type()).map_err(|reason| Error::Invalid {
        message: format!("column {} can't be in a topic: {reason}", field.name()),
        position: None,
    })?;
    let mut expr = unqualify(expr.clone().unalias_nested().data)?;
    if data_type != *field.data_type() {
        expr = values::cast(expr, field.data_type(), &data_type);
    }
    Ok(Output { field: Field::new(field.name(), data_type, field.is_nullable()), expr })
}

fn unqualify(expr: Expr) -> Result<Expr> {
    let stripped: DfResult<Transformed<Expr>> = expr.transform_up(|node| match node {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    });
    stripped.map(|done| done.data).map_err(|error| from_datafusion(error, 0))
}

/// The syntax check knows functions by name; this catches what operators and rewrites brought in.
fn refuse_volatile(expr: &Expr) -> Result<()> {
    let mut found = None;
    let walked: DfResult<TreeNodeRecursion> = expr.apply(|node| match node {
        Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
            found = Some(call.func.name().to_owned());
            Ok(TreeNodeRecursion::Stop)
        }
        _ => Ok(TreeNodeRecursion::Continue),
    });
    walked.map_err(|error| from_datafusion(error, 0))?;
    found.map_or(Ok(()), |name| Err(check::volatile(&name, None)))
}

/// Folds constants and splits filters at AND, cheap conditions first: a plugin sees only rows that passed the others.
fn simplify(mut stateless: Stateless, state: &SessionState) -> Result<Stateless> {
    let failed = |error| from_datafusion(error, 0);
    let schema = Arc::new(DFSchema::try_from(stateless.input.as_ref().clone()).map_err(failed)?);
    let info = SimplifyContext::builder()
        .with_schema(Arc::clone(&schema))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    let simplifier = ExprSimplifier::new(info);
    let mut filters = Vec::new();
    for filter in stateless.filters {
        filters.extend(order_conjunction(values::simplify(&simplifier, filter, &schema).map_err(failed)?));
    }
    stateless.filters = filters;
    for output in &mut stateless.outputs {
        let simple = values::simplify(&simplifier, output.expr.clone(), &schema).map_err(failed)?;
        if simple.get_type(&schema).map_err(failed)? == *output.field.data_type() {
            output.expr = simple;
        }
    }
    Ok(stateless)
}

/// One filter of everything that calls no plugin, then one of the rest.
fn order_conjunction(filter: Expr) -> Vec<Expr> {
    let calls_plugin = |expr: &Expr| {
        expr.exists(|node| {
            Ok(matches!(node, Expr::ScalarFunction(call) if crate::plugin::plugin_of(&call.func).is_some()))
        })
        .unwrap_or(true)
    };
    let (plugins, plain): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(filter).into_iter().partition(calls_plugin);
    [plain, plugins].into_iter().filter_map(|part| part.into_iter().reduce(Expr::and)).collect()
}

/// What the planner may ask: one table under any name, DataFusion's functions, and the topic's plugins.
struct TopicContext<'a> {
    source: Arc<dyn TableSource>,
    plugins: BTreeMap<String, Arc<ScalarUDF>>,
    state: &'a SessionState,
}

impl ContextProvider for TopicContext<'_> {
    fn get_table_source(&self, _: TableReference) -> DfResult<Arc<dyn TableSource>> {
        Ok(Arc::clone(&self.source))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(SqlTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.plugins.get(name).or_else(|| self.state.scalar_functions().get(name)).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().chain(self.plugins.keys()).cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn get_table_function_source(&self, name: &str, _: Vec<Expr>) -> DfResult<Arc<dyn TableSource>> {
        plan_err!("table function {name} can't be used here")
    }
}
