//! Namespaces.

use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::Error as EngineError;

use super::{Scene, done};
use crate::names::{INFORMATION_SCHEMA, Name, SYSTEM, position, resolve, resolve_namespace};
use crate::{Error, Outcome, Result};

pub(super) fn create_namespace(scene: &Scene, name: &ObjectName, if_not_exists: bool) -> Result<Outcome> {
    let namespace = resolve_namespace(name)?;
    check_writable(&namespace, name)?;
    match scene.engine().create_namespace(scene.who(), &namespace) {
        Err(EngineError::AlreadyExists { .. }) if if_not_exists => done(format!("namespace {namespace:?} was there")),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("namespace {namespace:?} created")),
    }
}

pub(super) fn drop_namespace(scene: &Scene, name: &ObjectName, if_exists: bool) -> Result<Outcome> {
    let namespace = resolve_namespace(name)?;
    check_writable(&namespace, name)?;
    match scene.engine().drop_namespace(scene.who(), &namespace) {
        Err(EngineError::NotFound { .. }) if if_exists => done(format!("namespace {namespace:?} was not there")),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("namespace {namespace:?} dropped")),
    }
}

/// The name of something to define or change; the computed namespaces are read-only.
pub(super) fn writable(scene: &Scene, name: &ObjectName) -> Result<Name> {
    let resolved = resolve(name, &scene.namespace)?;
    check_writable(&resolved.namespace, name)?;
    Ok(resolved)
}

fn check_writable(namespace: &str, name: &ObjectName) -> Result<()> {
    if namespace == SYSTEM || namespace == INFORMATION_SCHEMA {
        let message = format!("namespace {namespace} is computed by the engine and can't be changed");
        return Err(Error::Unsupported { message, position: position(name) });
    }
    Ok(())
}
