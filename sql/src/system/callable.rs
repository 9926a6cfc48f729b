//! Plugins, and what SQL can call of them.

use std::sync::Arc;

use arrow::datatypes::DataType;
use millstream_engine::{PluginDescription, PluginInfo, PluginKind, PluginSuspension, TableId, Volatility};

use super::data::Kind::{Flag, Number, Real, Text};
use super::data::{Columns, Rows, flag, number, real_or_null, text, text_or_null};
use crate::Result;
use crate::query::Reader;
use crate::types::to_sql;

pub(super) const PLUGINS: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("plugin_id", Number),
    ("version", Number),
    ("kind", Text),
    ("parameters", Text),
    ("returns", Text),
    ("contract", Text),
    ("sha256", Text),
    ("module_bytes", Number),
    ("memory_bytes", Number),
    ("timeout_ms", Number),
    ("concurrency", Number),
    ("config", Text),
    ("output_bytes", Number),
    ("volatility", Text),
    ("grants", Text),
    ("suspended", Text),
    ("tables", Text),
    ("lookup_bytes", Number),
    ("cpu", Real),
    ("log_rate", Number),
    ("http", Text),
    ("owner", Text),
];

pub(super) fn plugins(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    let suspensions = reader.engine.suspended_plugins(&reader.who)?;
    for plugin in reader.engine.plugins(&reader.who)? {
        let described = &plugin.description;
        let grants: Vec<_> = plugin.grants.iter().map(|capability| capability.name()).collect();
        rows.push(vec![
            text(&plugin.namespace),
            text(&plugin.name),
            number(plugin.id.0),
            number(plugin.version),
            text(described.kind.name()),
            text(listed(&described.parameters)),
            text(gives(described)),
            text(&described.contract),
            text(&plugin.sha256),
            number(plugin.module_bytes),
            number(plugin.limits.memory_bytes),
            number(plugin.limits.call_timeout_ms),
            number(plugin.limits.concurrency),
            text(&plugin.config),
            number(plugin.limits.output_bytes),
            text(volatility(described.volatility)),
            text(grants.join(", ")),
            text_or_null(suspended(&suspensions, &plugin)),
            text(read(reader, &plugin)),
            number(plugin.limits.lookup_bytes),
            real_or_null(plugin.limits.cpu_milli.map(|milli| f64::from(milli) / 1e3)),
            number(plugin.limits.log_rate),
            text(plugin.http_hosts.join(", ")),
            text(plugin.owner.name()),
        ]);
    }
    Ok(rows)
}

/// The tables that it looks rows up in, by what it calls them.
fn read(reader: &Reader, plugin: &PluginInfo) -> String {
    let name =
        |id: &TableId| reader.engine.table_by_id(&reader.who, *id).map_or_else(|_| "?".to_owned(), |t| t.name.clone());
    let tables = plugin.description.tables.iter().zip(&plugin.tables);
    tables.map(|(used, table)| format!("{} = {}", used.name, name(table))).collect::<Vec<_>>().join(", ")
}

/// Which versions of the plugin are suspended, and why.
fn suspended(all: &[(Arc<PluginInfo>, PluginSuspension)], plugin: &PluginInfo) -> Option<String> {
    let is_of = |other: &PluginInfo| (&other.namespace, &other.name) == (&plugin.namespace, &plugin.name);
    let of_name = all.iter().filter(|(other, _)| is_of(other));
    let said: Vec<String> = of_name.map(|(info, why)| format!("version {}: {}", info.version, why.reason)).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

pub(super) const FUNCTIONS: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("parameters", Text),
    ("returns", Text),
    ("volatility", Text),
    ("plugin", Text),
    ("plugin_version", Number),
    ("declared", Flag),
    ("owner", Text),
];

/// Functions that were created, and plugins that are called by their own name.
pub(super) fn functions(reader: &Reader) -> Result<Rows> {
    let plugins = reader.engine.plugins(&reader.who)?;
    let mut rows = Rows::new();
    for function in reader.engine.functions(&reader.who)? {
        let of_name =
            |plugin: &&Arc<PluginInfo>| (&plugin.namespace, &plugin.name) == (&function.namespace, &function.plugin);
        // A plugin that was dropped after its function was listed is not there any more.
        let Some(plugin) = plugins.iter().find(of_name) else { continue };
        rows.push(vec![
            text(&function.namespace),
            text(&function.name),
            text(listed(&function.parameters)),
            text(to_sql(&function.returns)),
            text(volatility(plugin.description.volatility)),
            text(&plugin.name),
            number(plugin.version),
            flag(true),
            text(function.owner.name()),
        ]);
    }
    let is_called = |kind: PluginKind| matches!(kind, PluginKind::Filter | PluginKind::Function);
    for plugin in plugins.iter().filter(|plugin| is_called(plugin.description.kind)) {
        rows.push(vec![
            text(&plugin.namespace),
            text(&plugin.name),
            text(listed(&plugin.description.parameters)),
            text(to_sql(&plugin.description.returns)),
            text(volatility(plugin.description.volatility)),
            text(&plugin.name),
            number(plugin.version),
            flag(false),
            text(plugin.owner.name()),
        ]);
    }
    Ok(rows)
}

/// The type that it returns; of a consumer what it writes.
fn gives(described: &PluginDescription) -> String {
    match described.kind {
        PluginKind::Consumer => {}
        PluginKind::Checkback => return "verdict".to_owned(),
        _ => return to_sql(&described.returns),
    }
    let outputs = described.outputs.iter().map(|output| (&output.name, output.schema.fields().clone()));
    let outputs = outputs.map(|(name, columns)| format!("{name} {}", to_sql(&DataType::Struct(columns))));
    outputs.collect::<Vec<_>>().join(", ")
}

fn listed(parameters: &[(String, DataType)]) -> String {
    let one = |(name, data_type): &(String, DataType)| format!("{name} {}", to_sql(data_type));
    parameters.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn volatility(volatility: Volatility) -> &'static str {
    match volatility {
        Volatility::Immutable => "immutable",
        Volatility::Volatile => "volatile",
    }
}
