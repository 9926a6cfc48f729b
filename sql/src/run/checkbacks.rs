//! CREATE and DROP CHECKBACK.

use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::{CheckbackOrder, CheckbackSettings, CheckbackSpec, Error as EngineError};

use super::define::writable;
use super::{Scene, done};
use crate::names::{Name, position, resolve};
use crate::parse::{CreateCheckback, Options};
use crate::{Error, Outcome, Result};

const OPTIONS: [&str; 4] = ["order", "after", "every", "limit"];

pub(super) fn create_checkback(scene: &Scene, create: CreateCheckback) -> Result<Outcome> {
    let CreateCheckback { name, if_not_exists, table, plugin, mut options } = create;
    let name = writable(scene, &name)?;
    let settings = settings(&mut options)?;
    options.finish("CREATE CHECKBACK", &OPTIONS)?;
    let spec = CheckbackSpec {
        table: beside(&name, &table, "table")?,
        plugin: beside(&name, &plugin, "plugin")?,
        namespace: name.namespace,
        name: name.name.clone(),
        settings,
    };
    match scene.engine().create_checkback(scene.who(), spec) {
        Err(EngineError::AlreadyExists { what: "checkback", .. }) if if_not_exists => {
            done(format!("checkback {:?} was there", name.name))
        }
        Err(error) => Err(error.into()),
        Ok(checkback) => done(format!("checkback {:?} created", checkback.name)),
    }
}

pub(super) fn drop_checkback(scene: &Scene, name: &ObjectName, if_exists: bool) -> Result<Outcome> {
    let name = writable(scene, name)?;
    match scene.engine().drop_checkback(scene.who(), &name.namespace, &name.name) {
        Err(EngineError::NotFound { what: "checkback", .. }) if if_exists => {
            done(format!("checkback {:?} was not there", name.name))
        }
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("checkback {:?} dropped", name.name)),
    }
}

/// Something of the checkback's own namespace.
fn beside(checkback: &Name, named: &ObjectName, what: &str) -> Result<String> {
    let name = resolve(named, &checkback.namespace)?;
    if name.namespace == checkback.namespace {
        return Ok(name.name);
    }
    let message = format!("{what} {name} is not in the checkback's namespace {:?}", checkback.namespace);
    Err(Error::Invalid { message, position: position(named) })
}

fn settings(options: &mut Options) -> Result<CheckbackSettings> {
    let others = CheckbackSettings::default();
    let order = match options.text("order")? {
        None => others.order,
        Some(name) => CheckbackOrder::named(&name).ok_or_else(|| Error::Invalid {
            message: format!("order is 'producer_first', 'plugin_first' or 'plugin_only', not {name:?}"),
            position: None,
        })?,
    };
    Ok(CheckbackSettings {
        order,
        after_ms: options.duration_ms("after")?.unwrap_or(others.after_ms),
        every_ms: options.duration_ms("every")?.unwrap_or(others.every_ms),
        // What is out of range is refused by the engine, which says what the range is.
        limit: options.number("limit")?.map_or(others.limit, |limit| u32::try_from(limit).unwrap_or(u32::MAX)),
    })
}
