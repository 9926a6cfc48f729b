//! Definitions: what CREATE TOPIC stores, and how it becomes an operator again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{ObjectName, Query};
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;
use millstream_engine::{BatchOperator, FunctionId, PluginId, TableInfo, TopicInfo, TopicPlugins, TopicSource};

use super::stateless::Stateless;
use super::topic_plan::TopicPlan;
use super::{check, plan};
use crate::convert::from_datafusion;
use crate::parse::Definition;
use crate::plugin::{Callables, Plugin};
use crate::query::check_shape;
use crate::rewrite::{Scope, names_pseudo, rewrite};
use crate::{Error, Result, parse, pseudo};

/// A definition that was checked and planned.
#[derive(Debug)]
pub(crate) struct TopicDefinition {
    /// Canonical text: one line, as it is stored and shown.
    pub(crate) text: String,
    pub(crate) plan: TopicPlan,
    /// The plugin versions called, each once.
    pub(crate) plugins: Vec<PluginId>,
    pub(crate) functions: Vec<FunctionId>,
}

/// Checks and plans a definition as a topic over `schema`. `callables` has the functions that DataFusion does not have.
pub(crate) fn define(
    definition: &Definition,
    schema: &SchemaRef,
    callables: &dyn Callables,
    state: &SessionState,
) -> Result<TopicDefinition> {
    let Definition { transform, query, tokens, emit } = definition;
    if let Some(position) = emit {
        let message = "EMIT ON WINDOW CLOSE is refused without a window: FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE) \
                       makes one";
        return Err(Error::Unsupported { message: message.to_owned(), position: Some(*position) });
    }
    let (select, called) = select_over(query, tokens, schema, callables, state)?;
    let mut plugins: Vec<PluginId> = called.values().map(|plugin| plugin.id).collect();
    let plan = match transform {
        None => TopicPlan { select, transform: None },
        Some(call) => TopicPlan::transformed(select, call, callables)?,
    };
    plugins.extend(plan.transform.as_ref().map(|transform| transform.id));
    plugins.sort_unstable();
    plugins.dedup();
    let functions = called.values().filter_map(|plugin| plugin.via).collect();
    Ok(TopicDefinition { text: definition.to_string(), plan, plugins, functions })
}

/// Checks and plans a SELECT over `schema`; gives the plugins that it calls, by name.
pub(crate) fn select_over(
    query: &Query,
    tokens: &[TokenWithSpan],
    schema: &SchemaRef,
    callables: &dyn Callables,
    state: &SessionState,
) -> Result<(Stateless, BTreeMap<String, Plugin>)> {
    let (select, _) = check::check(query, tokens, state)?;
    check::check_names(select, schema)?;
    check_shape(query)?;
    let with_pseudo = names_pseudo(query);
    let mut rewritten = query.clone();
    let called = rewrite(&mut rewritten, &TopicScope { callables }, state, with_pseudo)?;
    Ok((plan::plan(rewritten, schema, with_pseudo, &called, state)?, called))
}

/// The table's name in a SELECT that a topic can be.
pub(crate) fn table_of_query<'q>(
    query: &'q Query,
    tokens: &[TokenWithSpan],
    state: &SessionState,
) -> Result<&'q ObjectName> {
    check::check(query, tokens, state).map(|(_, table)| table)
}

/// The table's name in a topic's definition.
pub(crate) fn table_of<'q>(definition: &'q Definition, state: &SessionState) -> Result<&'q ObjectName> {
    check::check(&definition.query, &definition.tokens, state).map(|(_, table)| table)
}

/// The plan of a stored topic, with the plugin versions that it recorded.
pub(crate) fn plan_of(
    topic: &TopicInfo,
    table: &TableInfo,
    plugins: &TopicPlugins,
    state: &SessionState,
) -> Result<TopicPlan> {
    let TopicSource::Select { definition, .. } = &topic.source else { return Ok(TopicPlan::identity(table.schema())) };
    let schema = schema_at(table, topic.table_schema_version)?;
    let mut plan = define(&parse::parse_definition(definition)?, schema, plugins, state)?.plan;
    plan.keep_types(&topic.output_schema);
    Ok(plan)
}

/// Compiles a stored topic.
pub(crate) fn compile_topic(
    topic: &TopicInfo,
    table: &TableInfo,
    plugins: &TopicPlugins,
    state: &SessionState,
) -> Result<Arc<dyn BatchOperator>> {
    let plan = plan_of(topic, table, plugins, state)?;
    plan.compile(plan.is_identity(table.schema()), state).map_err(|error| from_datafusion(error, 0))
}

/// A table's schema at a version.
pub(crate) fn schema_at(table: &TableInfo, version: u32) -> Result<&SchemaRef> {
    let index = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
    index
        .and_then(|index| table.schemas.get(index))
        .ok_or_else(|| Error::Internal(format!("table {:?} has no schema version {version}", table.name)))
}

/// In a topic there is one relation, and its pseudo-columns are hidden from `*`.
struct TopicScope<'a> {
    callables: &'a dyn Callables,
}

impl Scope for TopicScope<'_> {
    fn hidden(&self, _: &ObjectName) -> Vec<&'static str> {
        pseudo::NAMES.to_vec()
    }

    /// A topic joins nothing.
    fn columns(&self, _: &ObjectName) -> Option<Vec<String>> {
        None
    }

    fn plugin(&self, name: &str) -> Result<Option<Plugin>> {
        self.callables.function(name)
    }
}
