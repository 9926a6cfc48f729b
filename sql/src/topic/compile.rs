//! Definitions: what CREATE TOPIC stores, and how it becomes an operator again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{ObjectName, Query};
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;
use millstream_engine::{PluginId, TableInfo, TopicInfo, TopicSource};

use super::check;
use super::operator::Operator;
use super::plan;
use super::stateless::Stateless;
use crate::convert::from_datafusion;
use crate::plugin::Plugin;
use crate::query::check_shape;
use crate::rewrite::{Scope, names_pseudo, rewrite};
use crate::{Error, Result, parse, pseudo};

/// A definition that was checked and planned.
#[derive(Debug)]
pub(crate) struct TopicDefinition {
    /// Canonical text: one line, as it is stored and shown.
    pub(crate) text: String,
    pub(crate) stateless: Stateless,
    pub(crate) plugins: Vec<PluginId>,
}

/// Checks and plans a SELECT as a topic over `schema`. `plugin` finds the functions that DataFusion does not have.
pub(crate) fn define(
    query: &Query,
    tokens: &[TokenWithSpan],
    schema: &SchemaRef,
    plugin: &dyn Fn(&str) -> Result<Option<Plugin>>,
    state: &SessionState,
) -> Result<TopicDefinition> {
    let (select, _) = check::check(query, tokens, state)?;
    check::check_names(select, schema)?;
    check_shape(query)?;
    let text = query.to_string();
    let with_pseudo = names_pseudo(query);
    let mut rewritten = query.clone();
    let plugins = rewrite(&mut rewritten, &TopicScope { plugin }, state, with_pseudo)?;
    let stateless = plan::plan(rewritten, schema, with_pseudo, &plugins, state)?;
    let plugins = plugins.values().map(|plugin| plugin.id).collect();
    Ok(TopicDefinition { text, stateless, plugins })
}

/// The table's name in a topic's query.
pub(crate) fn table_of<'q>(query: &'q Query, tokens: &[TokenWithSpan], state: &SessionState) -> Result<&'q ObjectName> {
    check::check(query, tokens, state).map(|(_, table)| table)
}

/// The logical form of a stored topic. `plugin` makes a recorded plugin version callable.
pub(crate) fn stateless_of(
    topic: &TopicInfo,
    table: &TableInfo,
    plugin: &dyn Fn(PluginId) -> Result<Plugin>,
    state: &SessionState,
) -> Result<Stateless> {
    let (definition, plugins) = match &topic.source {
        TopicSource::Identity => return Ok(Stateless::identity(table.schema())),
        TopicSource::Select { definition, plugins } => (definition, plugins),
    };
    let schema = schema_at(table, topic.table_schema_version)?;
    let mut by_name = BTreeMap::new();
    for id in plugins {
        let plugin = plugin(*id)?;
        by_name.insert(plugin.function.name().to_owned(), plugin);
    }
    let (query, tokens) = parse::parse_query(definition)?;
    let find = |name: &str| Ok(by_name.get(name).cloned());
    Ok(define(&query, &tokens, schema, &find, state)?.stateless)
}

/// Compiles a stored topic.
pub(crate) fn compile_definition(
    topic: &TopicInfo,
    table: &TableInfo,
    plugin: &dyn Fn(PluginId) -> Result<Plugin>,
    state: &SessionState,
) -> Result<Arc<Operator>> {
    let stateless = stateless_of(topic, table, plugin, state)?;
    let identity = stateless.is_identity(table.schema());
    let operator = Operator::compile(&stateless, identity, state).map_err(|error| from_datafusion(error, 0))?;
    Ok(Arc::new(operator))
}

/// A table's schema at a version.
fn schema_at(table: &TableInfo, version: u32) -> Result<&SchemaRef> {
    let index = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
    index
        .and_then(|index| table.schemas.get(index))
        .ok_or_else(|| Error::Internal(format!("table {:?} has no schema version {version}", table.name)))
}

/// In a topic there is one relation, and its pseudo-columns are hidden from `*`.
struct TopicScope<'a> {
    plugin: &'a dyn Fn(&str) -> Result<Option<Plugin>>,
}

impl Scope for TopicScope<'_> {
    fn hidden(&self, _: &ObjectName) -> Vec<&'static str> {
        pseudo::NAMES.to_vec()
    }

    fn plugin(&self, name: &str) -> Result<Option<Plugin>> {
        (self.plugin)(name)
    }
}
