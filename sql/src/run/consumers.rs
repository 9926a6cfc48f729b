//! Consumers that are plugins: CREATE, ALTER, RELOAD and DROP CONSUMER.

use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::{
    AutoOffsetReset, ConsumerReload, Error as EngineError, OnError, PluginConsumerSettings, PluginConsumerSpec,
};

use super::define::writable;
use super::groups::seek_to;
use super::{Scene, done};
use crate::names::{Name, position, resolve};
use crate::parse::{CreateConsumer, Options, Target};
use crate::{Error, Outcome, Result};

const OPTIONS: [&str; 6] = ["output.NAME", "on_error", "retries", "from", "batch_rows", "state_bytes"];
/// Those of them that can be altered.
const SETTINGS: [&str; 4] = ["on_error", "retries", "batch_rows", "state_bytes"];

pub(super) fn create_consumer(scene: &Scene, create: CreateConsumer) -> Result<Outcome> {
    let CreateConsumer { name, if_not_exists, topic, plugin, group, mut options } = create;
    let name = writable(scene, &name)?;
    let outputs = options.texts_under("output")?;
    let from = from(&mut options)?;
    let settings = settings(&mut options, PluginConsumerSettings::default())?;
    options.finish("CREATE CONSUMER", &OPTIONS)?;
    let group = group.as_ref().map(|group| beside(&name, group, "group")).transpose()?;
    let spec = PluginConsumerSpec {
        topic: beside(&name, &topic, "topic")?,
        plugin: beside(&name, &plugin, "plugin")?,
        group,
        namespace: name.namespace,
        name: name.name.clone(),
        outputs,
        from,
        settings,
    };
    match scene.engine().create_plugin_consumer(scene.who(), spec) {
        Err(EngineError::AlreadyExists { what: "consumer", .. }) if if_not_exists => {
            done(format!("consumer {:?} was there", name.name))
        }
        Err(error) => Err(error.into()),
        Ok(consumer) => done(format!("consumer {:?} created", consumer.name)),
    }
}

pub(super) fn alter_consumer(scene: &Scene, name: &ObjectName, mut options: Options) -> Result<Outcome> {
    let name = writable(scene, name)?;
    let found = scene.engine().plugin_consumer(scene.who(), &name.namespace, &name.name)?;
    let settings = settings(&mut options, found.settings)?;
    options.finish("ALTER CONSUMER", &SETTINGS)?;
    scene.engine().alter_plugin_consumer(scene.who(), &found, settings)?;
    done(format!("consumer {:?} altered", name.name))
}

pub(super) fn pause_consumer(scene: &Scene, name: &ObjectName, paused: bool) -> Result<Outcome> {
    let name = writable(scene, name)?;
    scene.engine().pause_plugin_consumer(scene.who(), &name.namespace, &name.name, paused)?;
    done(format!("consumer {:?} {}", name.name, if paused { "paused" } else { "resumed" }))
}

pub(super) fn reload_consumer(
    scene: &Scene,
    name: &ObjectName,
    version: Option<u64>,
    at: Option<Target>,
) -> Result<Outcome> {
    let name = writable(scene, name)?;
    let reload = ConsumerReload {
        version: version.map(|version| u32::try_from(version).unwrap_or(u32::MAX)),
        at: at.map(seek_to).transpose()?,
    };
    scene.engine().reload_plugin_consumer(scene.who(), &name.namespace, &name.name, reload)?;
    done(format!("consumer {:?} reloaded", name.name))
}

pub(super) fn drop_consumer(scene: &Scene, name: &ObjectName, if_exists: bool, force: bool) -> Result<Outcome> {
    let name = writable(scene, name)?;
    match scene.engine().drop_plugin_consumer(scene.who(), &name.namespace, &name.name, force) {
        Err(EngineError::NotFound { what: "consumer", .. }) if if_exists => {
            done(format!("consumer {:?} was not there", name.name))
        }
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("consumer {:?} dropped", name.name)),
    }
}

/// Something of the consumer's own namespace.
fn beside(consumer: &Name, named: &ObjectName, what: &str) -> Result<String> {
    let name = resolve(named, &consumer.namespace)?;
    if name.namespace == consumer.namespace {
        return Ok(name.name);
    }
    let message = format!("{what} {name} is not in the consumer's namespace {:?}", consumer.namespace);
    Err(Error::Invalid { message, position: position(named) })
}

fn from(options: &mut Options) -> Result<AutoOffsetReset> {
    match options.text("from")?.as_deref() {
        None | Some("earliest") => Ok(AutoOffsetReset::Earliest),
        Some("latest") => Ok(AutoOffsetReset::Latest),
        Some(other) => invalid(format!("from is 'earliest' or 'latest', not {other:?}")),
    }
}

/// Those that `options` name; the rest as it stands in `others`.
fn settings(options: &mut Options, others: PluginConsumerSettings) -> Result<PluginConsumerSettings> {
    let on_error = match options.text("on_error")?.as_deref() {
        None => others.on_error,
        Some("stop") => OnError::Stop,
        Some("skip") => OnError::Skip,
        Some("dead_letter") => OnError::DeadLetter,
        Some(other) => return invalid(format!("on_error is 'stop', 'skip' or 'dead_letter', not {other:?}")),
    };
    // What is out of range is refused by the engine, which says what the range is.
    let whole =
        |number: Option<u64>, other: u32| number.map_or(other, |number| u32::try_from(number).unwrap_or(u32::MAX));
    Ok(PluginConsumerSettings {
        on_error,
        retries: whole(options.number("retries")?, others.retries),
        batch_rows: whole(options.number("batch_rows")?, others.batch_rows),
        state_bytes: options.bytes("state_bytes")?.unwrap_or(others.state_bytes),
    })
}

fn invalid<T>(message: String) -> Result<T> {
    Err(Error::Invalid { message, position: None })
}
