//! CREATE and DROP FUNCTION.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ObjectName};
use millstream_engine::{Error as EngineError, FunctionSpec};

use super::define::writable;
use super::{Scene, done};
use crate::names::{fold, position, resolve};
use crate::parse::CreateFunction;
use crate::rewrite::is_builtin;
use crate::types::from_sql;
use crate::{Error, Outcome, Result};

pub(super) fn create_function(scene: &Scene, create: CreateFunction) -> Result<Outcome> {
    let name = writable(scene, &create.name)?;
    let invalid = |message: String| Err(Error::Invalid { message, position: position(&create.name) });
    if is_builtin(&scene.reader.state, &name.name) {
        return invalid(format!("{} is a built-in function; choose another name", name.name));
    }
    let plugin = resolve(&create.plugin, &name.namespace)?;
    if plugin.namespace != name.namespace {
        return invalid(format!(
            "a function is made of a plugin of its own namespace {:?}; {plugin} is in another",
            name.namespace
        ));
    }
    let mut parameters: Vec<(String, DataType)> = Vec::with_capacity(create.parameters.len());
    for (parameter, sql) in &create.parameters {
        let parameter = fold(parameter);
        if parameters.iter().any(|(known, _)| *known == parameter) {
            return invalid(format!("parameter {parameter} is declared twice"));
        }
        parameters.push((parameter.clone(), stored(&format!("parameter {parameter}"), sql)?));
    }
    let spec = FunctionSpec {
        namespace: name.namespace,
        name: name.name.clone(),
        parameters,
        returns: stored("the answer", &create.returns)?,
        plugin: plugin.name,
    };
    match scene.engine().create_function(scene.who(), spec) {
        Err(EngineError::AlreadyExists { what: "function", .. }) if create.if_not_exists => {
            done(format!("function {:?} was there", name.name))
        }
        Err(error) => Err(error.into()),
        Ok(function) => done(format!("function {:?} created", function.name)),
    }
}

pub(super) fn drop_function(scene: &Scene, name: &ObjectName, if_exists: bool) -> Result<Outcome> {
    let name = writable(scene, name)?;
    match scene.engine().drop_function(scene.who(), &name.namespace, &name.name) {
        Err(EngineError::NotFound { .. }) if if_exists => done(format!("function {:?} was not there", name.name)),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("function {:?} dropped", name.name)),
    }
}

fn stored(what: &str, sql: &SqlType) -> Result<DataType> {
    from_sql(sql).ok_or_else(|| Error::Invalid {
        message: format!("{what} is of type {sql}, which functions don't take"),
        position: None,
    })
}
