//! CREATE, ALTER and DROP PLUGIN.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::{
    Capability, Error as EngineError, MAX_MODULE_BYTES, PluginInfo, PluginSettings, PluginSpec, TableId, TableUse,
};

use super::define::writable;
use super::{Scene, done, files};
use crate::parse::{CreatePlugin, PluginSource};
use crate::rewrite::is_builtin;
use crate::{Error, Outcome, Result};

pub(super) fn create_plugin(scene: &Scene, create: CreatePlugin) -> Result<Outcome> {
    let name = writable(scene, &create.name)?;
    if is_builtin(&scene.reader.state, &name.name) {
        let message = format!("{} is a built-in function; choose another name for the plugin", name.name);
        return Err(Error::Invalid { message, position: crate::names::position(&create.name) });
    }
    let mut options = create.options;
    // Going back to a version takes its settings too.
    let (former, settings) = match create.source {
        PluginSource::Version(version) => {
            let version = u32::try_from(version).unwrap_or(u32::MAX);
            let info = scene.engine().plugin_version(scene.who(), &name.namespace, &name.name, version)?;
            let (limits, config, grants) = (info.limits.clone(), info.config.clone(), info.grants.clone());
            let tables = named_tables(scene, &info);
            let http_hosts = info.http_hosts.clone();
            (Some(info), PluginSettings { limits, config, grants, tables, http_hosts })
        }
        _ => {
            let limits = scene.engine().default_plugin_limits(scene.who(), &name.namespace)?;
            (None, PluginSettings { limits, ..PluginSettings::default() })
        }
    };
    let PluginSettings { mut limits, config, grants, mut tables, http_hosts } = settings;
    if let Some(bytes) = options.bytes("memory")? {
        limits.memory_bytes = bytes;
    }
    if let Some(ms) = options.duration_ms("timeout")? {
        limits.call_timeout_ms = ms;
    }
    if let Some(count) = options.number("concurrency")? {
        limits.concurrency = u32::try_from(count).unwrap_or(u32::MAX);
    }
    if let Some(bytes) = options.bytes("output")? {
        limits.output_bytes = bytes;
    }
    if let Some(bytes) = options.bytes("lookup")? {
        limits.lookup_bytes = bytes;
    }
    if let Some(milli) = options.cpu_milli("cpu")? {
        limits.cpu_milli = Some(milli);
    }
    if let Some(lines) = options.number("log")? {
        limits.log_rate = u32::try_from(lines).unwrap_or(u32::MAX);
    }
    for (name, table) in options.texts_under("table")? {
        tables.retain(|(other, _)| *other != name);
        tables.push((name, table));
    }
    let grants = options.names("grant")?.map_or(Ok(grants), capabilities)?;
    let http_hosts = options.names("http")?.unwrap_or(http_hosts);
    let config = options.text("config")?.unwrap_or(config);
    let known =
        ["memory", "timeout", "concurrency", "output", "lookup", "cpu", "log", "config", "grant", "http", "table.NAME"];
    options.finish("CREATE PLUGIN", &known)?;
    let module: Arc<[u8]> = match (create.source, &former) {
        (_, Some(former)) => scene.engine().plugin_module(scene.who(), former)?,
        (PluginSource::Bytes(bytes), _) => bytes,
        (PluginSource::Path(path), _) => {
            scene.engine().check_files(scene.who())?;
            Arc::from(files::read(&scene.reader.options, &path, MAX_MODULE_BYTES as u64)?)
        }
        (PluginSource::Version(_), None) => return Err(Error::Internal("no version was looked up".to_owned())),
        (PluginSource::Upload, _) => {
            let message = "FROM UPLOAD takes the module that is sent beside the statement, and none was: load it with \
                           `millstream plugin load` or a client's create_plugin";
            return Err(Error::Invalid { message: message.to_owned(), position: None });
        }
    };
    let spec = PluginSpec {
        namespace: name.namespace,
        name: name.name,
        module,
        settings: PluginSettings { limits, config, grants, tables, http_hosts },
    };
    let plugin = scene.engine().create_plugin(scene.who(), spec, create.replace)?;
    done(format!("plugin {:?} version {} created", plugin.name, plugin.version))
}

pub(super) fn drop_plugin(scene: &Scene, name: &ObjectName, if_exists: bool) -> Result<Outcome> {
    let name = writable(scene, name)?;
    match scene.engine().drop_plugin(scene.who(), &name.namespace, &name.name) {
        Err(EngineError::NotFound { .. }) if if_exists => done(format!("plugin {:?} was not there", name.name)),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("plugin {:?} dropped", name.name)),
    }
}

pub(super) fn resume_plugin(scene: &Scene, name: &ObjectName) -> Result<Outcome> {
    let name = writable(scene, name)?;
    let versions = scene.engine().resume_plugin(scene.who(), &name.namespace, &name.name)?;
    let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
    match versions.as_slice() {
        [] => done(format!("plugin {:?} was not suspended", name.name)),
        versions => done(format!("plugin {:?} is called again: version {}", name.name, versions.join(", "))),
    }
}

/// What a version reads, by what it calls it; tables that are gone are left out.
fn named_tables(scene: &Scene, plugin: &PluginInfo) -> Vec<(String, String)> {
    let tables = plugin.description.tables.iter().zip(&plugin.tables);
    let named = |(used, id): (&TableUse, &TableId)| {
        let table = scene.engine().table_by_id(scene.who(), *id).ok()?;
        Some((used.name.clone(), table.name.clone()))
    };
    tables.filter_map(named).collect()
}

fn capabilities(names: Vec<String>) -> Result<BTreeSet<Capability>> {
    let grant = |name: String| {
        let known = Capability::ALL.into_iter().find(|capability| capability.name() == name);
        known.ok_or_else(|| {
            let all = Capability::ALL.map(Capability::name).join(", ");
            Error::Invalid { message: format!("{name:?} can't be granted; {all} can"), position: None }
        })
    };
    names.into_iter().map(grant).collect()
}
