//! Definitions: what CREATE TOPIC stores of a SELECT over windows, and how it becomes a plan again.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, SetExpr, TableAlias, TableFactor, VisitMut, VisitorMut};
use millstream_engine::{
    ContinuousInfo, ContinuousStart, FunctionId, LatePolicy, PluginId, TableId, TableInfo, TopicPlugins,
};

use super::check;
use super::plan::{Parts, WindowPlan};
use super::separable::{self, Bound};
use crate::convert::from_datafusion;
use crate::names::{fold, ident_position};
use crate::parse::{Definition, parse_definition};
use crate::plugin::{Callables, Plugin};
use crate::query::check_shape;
use crate::rewrite::{Scope, rewrite};
use crate::topic::{self, Stateless};
use crate::types::normalise;
use crate::windows::{COLUMNS, Source, WindowCall, between_ticks, first_call};
use crate::{Error, Position, Result, values};

/// A definition that was checked and planned.
#[derive(Debug)]
pub(crate) struct ContinuousDefinition {
    /// Canonical text: one line, as it is stored and shown.
    pub(crate) text: String,
    pub(crate) plan: WindowPlan,
    /// The output's column with its event time.
    pub(crate) output_time: Option<String>,
    /// The plugin versions called, each once.
    pub(crate) plugins: Vec<PluginId>,
    pub(crate) functions: Vec<FunctionId>,
}

/// Whether a definition is one over windows.
pub(crate) fn is_continuous(definition: &Definition) -> Result<bool> {
    first_call(&definition.query).map(|call| call.is_some())
}

/// The table that the windows of a definition are made of.
pub(crate) fn source_of(definition: &Definition, state: &SessionState) -> Result<ObjectName> {
    let call = call_of(definition)?;
    match &call.source {
        Source::Table(name) => Ok(name.clone()),
        Source::Query(query) => topic::table_of_query(query, &definition.tokens, state).cloned(),
    }
}

fn call_of(definition: &Definition) -> Result<WindowCall> {
    let call = first_call(&definition.query)?;
    call.ok_or_else(|| Error::Internal("a topic over windows has none".to_owned()))
}

/// What a definition is planned over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Over<'a> {
    pub(crate) table: TableId,
    /// The table's columns at the version that the topic is made for.
    pub(crate) schema: &'a SchemaRef,
    /// The column that watermarks are of; `None`: the append time.
    pub(crate) time_column: Option<&'a str>,
    pub(crate) late: LatePolicy,
    /// Windows that begin before it are left out.
    pub(crate) begins_us: Option<i64>,
}

/// Where the first window may begin of a topic whose start is known.
pub(crate) fn begins_us(start: ContinuousStart) -> Option<i64> {
    match start {
        ContinuousStart::At(us) => Some(us),
        // With the clock's time, once the topic is on record.
        ContinuousStart::Earliest | ContinuousStart::Latest => None,
    }
}

/// The plan of a stored topic, with the plugin versions that it recorded.
pub(crate) fn compile(
    info: &ContinuousInfo,
    sources: &[Arc<TableInfo>],
    plugins: &TopicPlugins,
    state: &SessionState,
) -> Result<WindowPlan> {
    let ([table], [version]) = (sources, info.source_versions.as_slice()) else {
        return Err(Error::Internal(format!("continuous topic {:?} reads {} tables", info.name, sources.len())));
    };
    let over = Over {
        table: table.id,
        schema: topic::schema_at(table, *version)?,
        time_column: table.options.time_column.as_deref(),
        late: info.settings.late,
        begins_us: begins_us(info.settings.start),
    };
    Ok(define(&parse_definition(&info.definition)?, over, plugins, state)?.plan)
}

/// Checks and plans a definition.
pub(crate) fn define(
    definition: &Definition,
    over: Over<'_>,
    callables: &dyn Callables,
    state: &SessionState,
) -> Result<ContinuousDefinition> {
    let Definition { transform, query, tokens, .. } = definition;
    if let Some(transform) = transform {
        let way_out = "make a topic of the windows, and TRANSFORM that in another one";
        return Err(check::refused("TRANSFORM", way_out, ident_position(&transform.plugin)));
    }
    check::check(query, tokens, state)?;
    check_shape(query)?;
    if let SetExpr::Select(select) = query.body.as_ref() {
        topic::check_columns(select)?;
        topic::check_names(select, &Schema::empty())?;
    }
    let call = call_of(definition)?;
    let (select, mut called) = select_of(&call, definition, over.schema, callables, state)?;
    let time = time_of(&call, &select, over.time_column)?;
    let windowed = windowed(&select, time)?;
    let DataType::Timestamp(unit, _) = windowed.field(time).data_type() else {
        return Err(Error::Internal("an event time is no time".to_owned()));
    };
    let Some(spec) = call.spec.in_unit(*unit) else {
        return Err(Error::Invalid { message: between_ticks(*unit), position: Position::of(call.span) });
    };
    let mut planned = query.clone();
    let _ = planned.visit(&mut StandIn);
    called.extend(rewrite(&mut planned, &LeafScope { callables, columns: &windowed }, state, false)?);
    let leaf = MemTable::try_new(Arc::clone(&windowed), vec![Vec::new()]).map_err(failed)?;
    let plan = topic::analyse_over(planned, provider_as_source(Arc::new(leaf)), &called, state)?;
    let bounds = separable::check(&plan, spec.kind, tokens)?;
    let output_time = output_time(&plan, &bounds);
    let (plan, output) = typed(plan)?;
    let late = match over.late {
        LatePolicy::Keep => Some(super::late::schema(over.schema)?),
        LatePolicy::Drop => None,
    };
    let parts = Parts { over, select: &select, time, spec, plan, output, late };
    let plan = WindowPlan::compile(parts, state).map_err(failed)?;
    let mut plugins: Vec<PluginId> = called.values().map(|plugin| plugin.id).collect();
    plugins.sort_unstable();
    plugins.dedup();
    let mut functions: Vec<FunctionId> = called.values().filter_map(|plugin| plugin.via).collect();
    functions.dedup();
    Ok(ContinuousDefinition { text: definition.to_string(), plan, output_time, plugins, functions })
}

fn failed(error: datafusion::common::DataFusionError) -> Error {
    from_datafusion(error, 0)
}

/// What windows are made of, as a topic without windows would be.
fn select_of(
    call: &WindowCall,
    definition: &Definition,
    schema: &SchemaRef,
    callables: &dyn Callables,
    state: &SessionState,
) -> Result<(Stateless, BTreeMap<String, Plugin>)> {
    match &call.source {
        Source::Table(_) => {
            let mut select = Stateless::identity(schema);
            select.outputs.truncate(schema.fields().len());
            Ok((select, BTreeMap::new()))
        }
        Source::Query(query) => topic::select_over(query, &definition.tokens, schema, callables, state),
    }
}

/// Where the column is that has the event time: what watermarks are of.
fn time_of(call: &WindowCall, select: &Stateless, time_column: Option<&str>) -> Result<usize> {
    let (name, position) = (fold(&call.time), ident_position(&call.time));
    let Some(index) = select.outputs.iter().position(|output| *output.field.name() == name) else {
        let message = format!("DESCRIPTOR names {name:?}, and there is no column of that name");
        return Err(Error::Invalid { message, position });
    };
    let Some(output) = select.outputs.get(index) else {
        return Err(Error::Internal(format!("column {name:?} is not there")));
    };
    if !matches!(output.field.data_type(), DataType::Timestamp(..)) {
        let other = output.field.data_type();
        let message = format!("DESCRIPTOR names a column of type TIMESTAMP, and {name:?} is {other}; CAST it");
        return Err(Error::Invalid { message, position });
    }
    let wanted = time_column.unwrap_or("_append_ts");
    if !matches!(&output.expr, Expr::Column(column) if column.name == wanted) {
        let message = match time_column {
            Some(time_column) => format!(
                "{name:?} is refused as the time of a topic over windows: watermarks are of the table's time_column, {time_column:?}; \
                 name that, or make a table WITH (time_column = …)"
            ),
            None => format!(
                "{name:?} is refused as the time of a topic over windows: the table has no time_column, so that watermarks are of the \
                 append time; make a table WITH (time_column = …), or name the append time in a sub-query: TUMBLE((SELECT *, \
                 _append_ts AS at FROM …), DESCRIPTOR(at), …)"
            ),
        };
        return Err(Error::Unsupported { message, position });
    }
    Ok(index)
}

/// The columns that there are over windows.
fn windowed(select: &Stateless, time: usize) -> Result<SchemaRef> {
    let mut fields: Vec<Field> = select.outputs.iter().map(|output| output.field.clone()).collect();
    if let Some(taken) = fields.iter().find(|field| COLUMNS.contains(&field.name().as_str())) {
        let message = format!(
            "there is a column {name} already; give it another name in a sub-query: TUMBLE((SELECT {name} AS …, … FROM …), \
             DESCRIPTOR(…), …)",
            name = taken.name()
        );
        return Err(Error::Invalid { message, position: None });
    }
    let data_type = fields.get(time).map_or(DataType::Null, |field| field.data_type().clone());
    fields.extend(COLUMNS.map(|name| Field::new(name, data_type.clone(), false)));
    Ok(Arc::new(Schema::new(fields)))
}

/// Puts a table in the place of the call, of the name that its columns are qualified with.
struct StandIn;

impl VisitorMut for StandIn {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Ok(Some(call)) = WindowCall::of(factor) {
            let name = match &call.source {
                Source::Table(name) => name.0.last().and_then(|part| part.as_ident()).cloned(),
                Source::Query(_) => None,
            };
            let name = name.unwrap_or_else(|| Ident { span: call.span, ..Ident::with_quote('"', "windowed") });
            *factor = table(name, call.alias);
        }
        ControlFlow::Continue(())
    }
}

fn table(name: Ident, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Table {
        name: ObjectName::from(name),
        alias,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// There is one table; its pseudo-columns are below the windows.
struct LeafScope<'a> {
    callables: &'a dyn Callables,
    columns: &'a SchemaRef,
}

impl Scope for LeafScope<'_> {
    fn hidden(&self, _: &ObjectName) -> Vec<&'static str> {
        Vec::new()
    }

    fn columns(&self, _: &ObjectName) -> Option<Vec<String>> {
        Some(self.columns.fields().iter().map(|field| field.name().clone()).collect())
    }

    fn plugin(&self, name: &str) -> Result<Option<Plugin>> {
        self.callables.function(name)
    }
}

/// The column that a topic over this one would take for its windows.
fn output_time(plan: &LogicalPlan, bounds: &[Option<Bound>]) -> Option<String> {
    let of = |wanted: Bound| {
        let index = bounds.iter().position(|bound| *bound == Some(wanted))?;
        plan.schema().fields().get(index).map(|field| field.name().clone())
    };
    of(Bound::Time).or_else(|| of(Bound::End))
}

/// The plan with columns of types that are stored, and their schema.
fn typed(plan: LogicalPlan) -> Result<(LogicalPlan, SchemaRef)> {
    let (mut names, mut fields, mut exprs) = (HashSet::new(), Vec::new(), Vec::new());
    for (column, field) in plan.schema().columns().into_iter().zip(plan.schema().fields()) {
        let invalid = |message: String| Error::Invalid { message, position: None };
        let data_type = normalise(field.data_type())
            .map_err(|reason| invalid(format!("column {} can't be in a topic: {reason}", field.name())))?;
        if !names.insert(field.name().clone()) {
            let name = field.name();
            return Err(invalid(format!("column {name} is selected twice; give one of them another name by AS")));
        }
        let expr = Expr::Column(column);
        exprs.push(match data_type == *field.data_type() {
            true => expr.alias(field.name()),
            false => values::cast(expr, field.data_type(), &data_type).alias(field.name()),
        });
        fields.push(Field::new(field.name(), data_type, field.is_nullable()));
    }
    let plan = Projection::try_new(exprs, Arc::new(plan)).map_err(failed)?;
    Ok((LogicalPlan::Projection(plan), Arc::new(Schema::new(fields))))
}
