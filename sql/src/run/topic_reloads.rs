//! RELOAD TOPIC.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use millstream_engine::{
    LoadedPlugin, PluginInfo, TableInfo, TopicInfo, TopicPlugins, TopicSource, TopicSpec, VersionStart,
};

use super::define::writable;
use super::topics::spec_of;
use super::{Scene, done};
use crate::listing::missing;
use crate::names::{Name, fold, ident_position, quote};
use crate::parse::parse_definition;
use crate::query::Relation;
use crate::topic::{define, schema_at};
use crate::{Error, Outcome, Result};

/// Plans the stored definition anew: over the table's newest columns and the plugins' newest versions; or, if versions or a
/// place where they begin are given, with those versions, or the newest, and all else as it was.
pub(super) fn reload_topic(
    scene: &Scene,
    name: &ObjectName,
    to: &[(Ident, u64)],
    at: Option<VersionStart>,
) -> Result<Outcome> {
    let name = writable(scene, name)?;
    let (topic, table) = match scene.reader.relation(&name)? {
        Some(Relation::Topic(topic, table)) => (topic, table),
        Some(Relation::Table(_)) if scene.reader.continuous(&name)?.is_some() => {
            let message = format!(
                "{:?} is a topic over windows, and goes on with the columns and plugins that it was made with; RELOAD TOPIC {} REBUILD \
                 begins anew with what is retained",
                name.name,
                quote(&name.name)
            );
            return Err(Error::Unsupported { message, position: None });
        }
        Some(Relation::Table(_)) => {
            let message = format!("the topic of table {:?} always has the table's newest columns", name.name);
            return Err(Error::Unsupported { message, position: None });
        }
        None => return Err(missing("topic", &name)),
    };
    let TopicSource::Select { definition: text, .. } = &topic.source else { return done("nothing to reload") };
    let only_plugins = !to.is_empty() || at.is_some();
    let spec = if only_plugins {
        let version = topic.table_schema_version;
        let callables = versions(scene, &topic, to)?;
        let mut definition =
            define(&parse_definition(text)?, schema_at(&table, version)?, &callables, &scene.reader.state)?;
        definition.plan.keep_types(&topic.output_schema);
        TopicSpec { table_schema_version: version, ..spec_of(&name, &table, definition, topic.on_error, scene)? }
    } else {
        let callables = scene.reader.callables(&name.namespace);
        let definition = define(&parse_definition(text)?, table.schema(), &callables, &scene.reader.state)?;
        spec_of(&name, &table, definition, topic.on_error, scene)?
    };
    match at {
        None => reload_all(scene, &name, &topic, spec),
        Some(start) => reload_from(scene, &name, &topic, &table, &spec, start),
    }
}

fn reload_all(scene: &Scene, name: &Name, topic: &TopicInfo, spec: TopicSpec) -> Result<Outcome> {
    let reloaded = scene.engine().replace_topic(scene.who(), spec)?;
    done(format!(
        "topic {:?} reloaded as version {}: {} columns before, {} now",
        name.name,
        reloaded.version,
        topic.output_schema.fields().len(),
        reloaded.output_schema.fields().len()
    ))
}

fn reload_from(
    scene: &Scene,
    name: &Name,
    topic: &TopicInfo,
    table: &TableInfo,
    spec: &TopicSpec,
    start: VersionStart,
) -> Result<Outcome> {
    let reloaded = scene.engine().replace_topic_from(scene.who(), spec, start)?;
    let (name, version) = (&name.name, reloaded.version);
    if version == topic.version {
        return done(format!("topic {name:?} calls these versions already"));
    }
    let partitions = 0..table.options.partitions;
    let begins = partitions.filter_map(|partition| {
        let newest = reloaded.versions_of(partition).last()?;
        Some(format!("{partition} from {}", newest.offsets.start))
    });
    let mut begins: Vec<String> = begins.take(9).collect();
    if begins.len() == 9 {
        begins[8] = "…".to_owned();
    }
    done(format!("topic {name:?} goes on as version {version}, by partition and offset: {}", begins.join(", ")))
}

/// What a topic calls, with other versions of some of its plugins; with the newest of all if none is named.
fn versions(scene: &Scene, topic: &TopicInfo, to: &[(Ident, u64)]) -> Result<TopicPlugins> {
    let mut called = scene.engine().topic_plugins(scene.who(), topic)?;
    for entry in called.plugins.iter_mut().filter(|_| to.is_empty()) {
        *entry = loaded(scene, scene.engine().plugin(scene.who(), &topic.namespace, &entry.0.name)?)?;
    }
    for (ident, version) in to {
        let plugin = fold(ident);
        let Some(entry) = called.plugins.iter_mut().find(|(info, _)| info.name == plugin) else {
            let message = format!("topic {:?} does not call plugin {plugin:?}", topic.name);
            return Err(Error::Invalid { message, position: ident_position(ident) });
        };
        let version = u32::try_from(*version).unwrap_or(u32::MAX);
        *entry = loaded(scene, scene.engine().plugin_version(scene.who(), &topic.namespace, &plugin, version)?)?;
    }
    Ok(called)
}

fn loaded(scene: &Scene, info: Arc<PluginInfo>) -> Result<(Arc<PluginInfo>, LoadedPlugin)> {
    let loaded = scene.engine().load_plugin(scene.who(), info.id)?;
    Ok((info, loaded))
}
