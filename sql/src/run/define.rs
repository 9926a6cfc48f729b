//! Names of what is defined.

use datafusion::sql::sqlparser::ast::ObjectName;

use super::Scene;
use crate::names::{INFORMATION_SCHEMA, Name, SYSTEM, position, resolve};
use crate::{Error, Result};

/// The name of something to define or change; the computed namespaces are read-only.
pub(super) fn writable(scene: &Scene, name: &ObjectName) -> Result<Name> {
    let resolved = resolve(name, &scene.namespace)?;
    check_writable(&resolved.namespace, name)?;
    Ok(resolved)
}

pub(super) fn check_writable(namespace: &str, name: &ObjectName) -> Result<()> {
    if namespace == SYSTEM || namespace == INFORMATION_SCHEMA {
        let message = format!("namespace {namespace} is computed by the engine and can't be changed");
        return Err(Error::Unsupported { message, position: position(name) });
    }
    Ok(())
}
