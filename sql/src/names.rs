//! Identifiers: unquoted ones are folded to lower case, quoted ones are taken as they are.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};

use crate::{Error, Position, Result};

/// The one catalog.
pub(crate) const CATALOG: &str = "millstream";
/// The namespace of the tables that describe the engine.
pub(crate) const SYSTEM: &str = "system";
/// The standard's own listing of tables and columns.
pub(crate) const INFORMATION_SCHEMA: &str = "information_schema";

/// A namespace and a name in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", quote(&self.namespace), quote(&self.name))
    }
}

/// The name that an identifier stands for.
pub(crate) fn fold(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// Resolves `name`, `namespace.name` or `millstream.namespace.name`.
pub(crate) fn resolve(name: &ObjectName, namespace: &str) -> Result<Name> {
    let parts = parts(name)?;
    match parts.as_slice() {
        [name] => Ok(Name { namespace: namespace.to_owned(), name: name.clone() }),
        [namespace, name] => Ok(Name { namespace: namespace.clone(), name: name.clone() }),
        [catalog, namespace, name] if catalog == CATALOG => {
            Ok(Name { namespace: namespace.clone(), name: name.clone() })
        }
        _ => Err(Error::Invalid {
            message: format!("{name} is not a name; write name, namespace.name or {CATALOG}.namespace.name"),
            position: position(name),
        }),
    }
}

/// Resolves the name of a namespace: `name` or `millstream.name`.
pub(crate) fn resolve_namespace(name: &ObjectName) -> Result<String> {
    let parts = parts(name)?;
    match parts.as_slice() {
        [namespace] => Ok(namespace.clone()),
        [catalog, namespace] if catalog == CATALOG => Ok(namespace.clone()),
        _ => Err(Error::Invalid { message: format!("{name} is not a namespace"), position: position(name) }),
    }
}

/// Where a name stands in the statement.
pub(crate) fn position(name: &ObjectName) -> Option<Position> {
    let ident = name.0.first()?.as_ident()?;
    ident_position(ident)
}

/// Where an identifier stands in the statement.
pub(crate) fn ident_position(ident: &Ident) -> Option<Position> {
    Position::of(ident.span)
}

fn parts(name: &ObjectName) -> Result<Vec<String>> {
    name.0
        .iter()
        .map(|part| part.as_ident().map(fold))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Error::Invalid { message: format!("{name} is not a name"), position: position(name) })
}

/// Writes a name so that it reads back as itself.
pub(crate) use millstream_formats::quoted as quote;

/// Writes a string literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
