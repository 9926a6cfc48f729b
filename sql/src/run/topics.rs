//! CREATE, EXPLAIN, RELOAD and DROP TOPIC.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use millstream_engine::{Error as EngineError, OnError, TableInfo, TopicSpec};

use super::define::writable;
use super::{Scene, done};
use crate::continuous::is_continuous;
use crate::listing::missing;
use crate::names::{Name, fold, position, resolve};
use crate::parse::{CreateTopic, Options};
use crate::query::Relation;
use crate::topic::{self, TopicDefinition, TopicPlan};
use crate::{Error, Outcome, Result, convert};

pub(super) fn create_topic(scene: &Scene, create: CreateTopic) -> Result<Outcome> {
    if is_continuous(&create.definition)? {
        return super::continuous::create_topic(scene, &create);
    }
    let name = writable(scene, &create.name)?;
    let on_error = on_error(create.options.clone())?;
    let (definition, table) = plan(scene, &name, &create)?;
    let spec = spec_of(&name, &table, definition, on_error, scene)?;
    match scene.engine().create_topic(scene.who(), spec) {
        Err(EngineError::AlreadyExists { what: "topic", .. }) if create.if_not_exists => {
            done(format!("topic {:?} was there", name.name))
        }
        Err(error) => Err(error.into()),
        Ok(_) => done(format!("topic {:?} created", name.name)),
    }
}

/// `EXPLAIN CREATE TOPIC`: checks and plans, creates nothing.
pub(crate) fn explain_create_topic(scene: &Scene, create: &CreateTopic) -> Result<RecordBatch> {
    if is_continuous(&create.definition)? {
        return super::continuous::explain_create_topic(scene, create);
    }
    let name = writable(scene, &create.name)?;
    let (definition, table) = plan(scene, &name, create)?;
    let on_error = on_error(create.options.clone())?;
    topic::explain(&definition.plan, &table, table.schema_version(), on_error, &scene.reader.state)
}

/// `EXPLAIN TOPIC`.
pub(crate) fn explain_topic(scene: &Scene, name: &ObjectName) -> Result<RecordBatch> {
    let name = resolve(name, &scene.namespace)?;
    if let Some(status) = scene.reader.continuous(&name)? {
        return super::continuous::explain_topic(scene, &status);
    }
    let (plan, table, version, on_error) = match scene.reader.relation(&name)? {
        None => return Err(missing("topic", &name)),
        Some(Relation::Table(table)) => {
            (TopicPlan::identity(table.schema()), Arc::clone(&table), table.schema_version(), OnError::Stop)
        }
        Some(Relation::Topic(topic, table)) => {
            scene.reader.check_definition(&topic)?;
            let plan = scene.reader.topic_plan(&topic, &table)?;
            (plan, table, topic.table_schema_version, topic.on_error)
        }
    };
    topic::explain(&plan, &table, version, on_error, &scene.reader.state)
}

fn plan(scene: &Scene, name: &Name, create: &CreateTopic) -> Result<(TopicDefinition, Arc<TableInfo>)> {
    let source = topic::table_of(&create.definition, &scene.reader.state)?;
    let table = source_table(scene, name, source)?;
    let callables = scene.reader.callables(&name.namespace);
    let definition = topic::define(&create.definition, table.schema(), &callables, &scene.reader.state)?;
    Ok((definition, table))
}

/// The table that a topic selects from, in the topic's own namespace.
pub(super) fn source_table(scene: &Scene, topic: &Name, source: &ObjectName) -> Result<Arc<TableInfo>> {
    let refused = |message: String| Err(Error::Unsupported { message, position: position(source) });
    let name = resolve(source, &topic.namespace)?;
    if name.namespace == crate::names::SYSTEM || name.namespace == crate::names::INFORMATION_SCHEMA {
        return refused(format!("{name} is computed when read and has no log to subscribe to"));
    }
    if name.namespace != topic.namespace {
        return refused(format!(
            "a topic selects from a table of its own namespace {:?}; {name} is in another",
            topic.namespace
        ));
    }
    match scene.reader.relation(&name)? {
        Some(Relation::Table(table)) => Ok(table),
        Some(Relation::Topic(other, table)) => refused(format!(
            "{:?} is a topic, and a topic selects from a table; select from {:?} and repeat its conditions",
            other.name, table.name
        )),
        None => {
            Err(Error::Invalid { message: format!("table {:?} does not exist", name.name), position: position(source) })
        }
    }
}

pub(super) fn spec_of(
    name: &Name,
    table: &TableInfo,
    definition: TopicDefinition,
    on_error: OnError,
    scene: &Scene,
) -> Result<TopicSpec> {
    // What can't be compiled must not be stored.
    definition.plan.compile(false, &scene.reader.state).map_err(|error| convert::from_datafusion(error, 0))?;
    Ok(TopicSpec {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        table: table.id,
        table_schema_version: table.schema_version(),
        output_schema: definition.plan.output_schema(),
        definition: definition.text,
        plugins: definition.plugins,
        functions: definition.functions,
        on_error,
    })
}

fn on_error(mut options: Options) -> Result<OnError> {
    let policy = match options.text("on_error")?.as_deref() {
        None | Some("stop") => OnError::Stop,
        Some("skip") => OnError::Skip,
        Some("dead_letter") => OnError::DeadLetter,
        Some(other) => {
            let message = format!("on_error is 'stop', 'skip' or 'dead_letter', not {other:?}");
            return Err(Error::Invalid { message, position: None });
        }
    };
    options.finish("CREATE TOPIC", &["on_error"])?;
    Ok(policy)
}

pub(super) fn shadow_topic(scene: &Scene, name: &ObjectName, plugin: &Ident, version: u64) -> Result<Outcome> {
    let (name, plugin) = (writable(scene, name)?, fold(plugin));
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    scene.engine().shadow_topic(scene.who(), &name.namespace, &name.name, (&plugin, version))?;
    done(format!("version {version} of plugin {plugin:?} runs beside topic {:?}", name.name))
}

pub(super) fn unshadow_topic(scene: &Scene, name: &ObjectName) -> Result<Outcome> {
    let name = writable(scene, name)?;
    match scene.engine().unshadow_topic(scene.who(), &name.namespace, &name.name)? {
        true => done(format!("the shadow of topic {:?} has ended", name.name)),
        false => done(format!("topic {:?} had no shadow", name.name)),
    }
}

pub(super) fn drop_topic(scene: &Scene, name: &ObjectName, if_exists: bool, force: bool) -> Result<Outcome> {
    let name = writable(scene, name)?;
    if let Some(Relation::Table(_)) = scene.reader.relation(&name)?
        && scene.reader.continuous(&name)?.is_none()
    {
        let message = format!("{:?} is the topic of a table and goes with it: DROP TABLE", name.name);
        return Err(Error::Unsupported { message, position: None });
    }
    match scene.engine().drop_topic(scene.who(), &name.namespace, &name.name, force) {
        Err(EngineError::NotFound { .. }) if if_exists => done(format!("topic {:?} was not there", name.name)),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("topic {:?} dropped", name.name)),
    }
}
