//! Consumer groups: making, setting, moving, committing and dropping.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::{Error as EngineError, GroupRetryChanges, OffsetReset, SeekTo};

use super::{Scene, done};
use crate::names::{position, resolve};
use crate::parse::{Options, Target};
use crate::{Error, Outcome, Result, values};

const SETTINGS: [&str; 2] = ["max_attempts", "retry_steps"];

pub(super) fn create_group(
    scene: &Scene,
    group: &ObjectName,
    if_not_exists: bool,
    options: Options,
) -> Result<Outcome> {
    let group = resolve(group, &scene.namespace)?;
    let retries = retries(options, "CREATE CONSUMER GROUP")?;
    match scene.engine().create_group(scene.who(), &group.namespace, &group.name, retries) {
        Err(EngineError::AlreadyExists { .. }) if if_not_exists => {
            done(format!("consumer group {:?} was there", group.name))
        }
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("consumer group {:?} created", group.name)),
    }
}

pub(super) fn alter_group(scene: &Scene, group: &ObjectName, options: Options) -> Result<Outcome> {
    let group = resolve(group, &scene.namespace)?;
    let retries = retries(options, "ALTER CONSUMER GROUP … SET")?;
    scene.engine().set_group_retries(scene.who(), &group.namespace, &group.name, retries)?;
    done(format!("consumer group {:?} set", group.name))
}

fn retries(mut options: Options, statement: &str) -> Result<GroupRetryChanges> {
    let attempts = options.number_or_default("max_attempts")?;
    let max_attempts = attempts.map(|attempts| u32::try_from(attempts).unwrap_or(u32::MAX));
    let changes = GroupRetryChanges { max_attempts, steps_ms: options.durations_ms("retry_steps")? };
    options.finish(statement, &SETTINGS)?;
    Ok(changes)
}

pub(super) fn set_offsets(
    scene: &Scene,
    group: &ObjectName,
    to: Target,
    topic: Option<&ObjectName>,
    partition: Option<u64>,
) -> Result<Outcome> {
    let group = resolve(group, &scene.namespace)?;
    let to = seek_to(to)?;
    let topic = match topic {
        None => None,
        Some(name) => {
            let topic = resolve(name, &group.namespace)?;
            if topic.namespace != group.namespace {
                let message = format!("{topic} is not in the group's namespace {:?}", group.namespace);
                return Err(Error::Invalid { message, position: position(name) });
            }
            Some(topic.name)
        }
    };
    let partition = partition
        .map(u32::try_from)
        .transpose()
        .map_err(|_| Error::Invalid { message: "there are at most 65536 partitions".to_owned(), position: None })?;
    let reset = OffsetReset { to, topic, partition };
    scene.engine().reset_offsets(scene.who(), &group.namespace, &group.name, reset)?;
    done(format!("offsets of consumer group {:?} set", group.name))
}

/// What a target of SQL means to the engine.
pub(super) fn seek_to(target: Target) -> Result<SeekTo> {
    match target {
        Target::Seek(to) => Ok(to),
        Target::Timestamp(text) => Ok(SeekTo::AppendTime(micros(&text)?)),
    }
}

/// A timestamp literal; without a zone it is UTC.
pub(super) fn micros(text: &str) -> Result<i64> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    match values::convert_value(&ScalarValue::from(text), &utc) {
        Ok(ScalarValue::TimestampMicrosecond(Some(micros), _)) => Ok(micros),
        _ => Err(Error::Invalid {
            message: format!("{text:?} is not a timestamp; write it as '2013-01-31T10:00:00Z'"),
            position: None,
        }),
    }
}

pub(super) fn drop_group(scene: &Scene, group: &ObjectName, if_exists: bool, force: bool) -> Result<Outcome> {
    let group = resolve(group, &scene.namespace)?;
    match scene.engine().drop_group(scene.who(), &group.namespace, &group.name, force) {
        Err(EngineError::NotFound { .. }) if if_exists => {
            done(format!("consumer group {:?} was not there", group.name))
        }
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("consumer group {:?} dropped", group.name)),
    }
}

pub(super) fn commit_offsets(
    scene: &Scene,
    topic: &ObjectName,
    group: &ObjectName,
    client: Option<String>,
) -> Result<Outcome> {
    let group = resolve(group, &scene.namespace)?;
    let topic = resolve(topic, &group.namespace)?;
    let client = client.unwrap_or_default();
    let committed = scene.engine().commit_polled(scene.who(), &group.namespace, &topic.name, &group.name, &client)?;
    let places: Vec<_> = committed.iter().map(|(partition, next)| format!("partition {partition} at {next}")).collect();
    match places.is_empty() {
        true => done(format!("nothing to commit for consumer group {:?}", group.name)),
        false => done(format!("committed {}", places.join(", "))),
    }
}
