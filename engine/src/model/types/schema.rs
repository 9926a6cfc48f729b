//! Schemas of tables.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::stored::stored_type;
use crate::model::{Error, Result};

/// Columns that a table may have.
pub(crate) const MAX_COLUMNS: usize = 4_096;
/// Fields that a table may have, nested ones counted.
const MAX_FIELDS: usize = 16_384;
const MAX_COLUMN_NAME_BYTES: usize = 255;
/// Pseudo-columns: every table has them, none can define them.
const RESERVED_COLUMNS: [&str; 3] = ["_partition", "_offset", "_append_ts"];

/// The schema as a table stores it: listed types only, without metadata.
pub(crate) fn normalize_schema(schema: &Schema) -> Result<SchemaRef> {
    if schema.fields().is_empty() {
        return Err(Error::InvalidInput("a table needs at least one column".to_owned()));
    }
    let fields = normalize_columns(&[], schema.fields().iter().map(AsRef::as_ref))?;
    Ok(Arc::new(Schema::new(fields)))
}

/// The columns as a table that already has `existing` stores them.
pub(crate) fn normalize_columns<'a>(
    existing: &[Arc<Field>],
    columns: impl ExactSizeIterator<Item = &'a Field>,
) -> Result<Vec<Field>> {
    let count = existing.len().saturating_add(columns.len());
    if count > MAX_COLUMNS {
        return Err(Error::InvalidInput(format!(
            "a table has at most {MAX_COLUMNS} columns, this one would have {count}"
        )));
    }
    let mut names: HashSet<&str> = existing.iter().map(|field| field.name().as_str()).collect();
    let mut budget = MAX_FIELDS;
    for field in existing {
        spend(&mut budget, field.data_type())?;
    }
    let mut normalized = Vec::with_capacity(columns.len());
    for field in columns {
        let name = field.name().as_str();
        check_name(name)?;
        if !names.insert(name) {
            return Err(Error::InvalidInput(format!("column {name:?} is there twice")));
        }
        spend(&mut budget, field.data_type())?;
        let data_type = stored_type(field.data_type())
            .map_err(|reason| Error::Unsupported(format!("column {name:?}: {reason} (docs/types.md lists them)")))?;
        normalized.push(Field::new(name, data_type, field.is_nullable()));
    }
    Ok(normalized)
}

fn check_name(name: &str) -> Result<()> {
    let wrong = |why: &str| Err(Error::InvalidInput(format!("column name {name:?} {why}")));
    if name.is_empty() {
        return wrong("is empty");
    }
    if name.len() > MAX_COLUMN_NAME_BYTES {
        let cut: String = name.chars().take(32).collect();
        return Err(Error::InvalidInput(format!(
            "column name \"{cut}…\" has {} bytes, at most {MAX_COLUMN_NAME_BYTES} are taken",
            name.len()
        )));
    }
    if name.chars().any(char::is_control) {
        return wrong("has a control character");
    }
    if RESERVED_COLUMNS.contains(&name) {
        return wrong("is reserved: every table has that pseudo-column");
    }
    Ok(())
}

/// Counts a type's fields against what is left, without following it deeper than the budget.
fn spend(budget: &mut usize, data_type: &DataType) -> Result<()> {
    let too_many = || Error::InvalidInput(format!("a table has at most {MAX_FIELDS} fields, nested ones counted"));
    *budget = budget.checked_sub(1).ok_or_else(too_many)?;
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            spend(budget, item.data_type())
        }
        DataType::Map(entries, _) => spend(budget, entries.data_type()),
        DataType::Dictionary(_, values) => spend(budget, values),
        DataType::RunEndEncoded(_, values) => spend(budget, values.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| spend(budget, field.data_type())),
        _ => Ok(()),
    }
}
