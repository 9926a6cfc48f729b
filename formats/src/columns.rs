//! Rows of a table, gathered column by column.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{FieldRef, Fields, Schema};

use crate::column::{Column, shown};
use crate::json::Json;

/// Gathers the columns of a table.
#[derive(Debug)]
pub(crate) struct Columns {
    fields: Fields,
    columns: Vec<Column>,
    rows: usize,
}

impl Columns {
    pub(crate) fn new(fields: Fields) -> Result<Columns, String> {
        let column = |field: &FieldRef| {
            Column::new(field.data_type()).map_err(|reason| format!("column {:?}: {reason}", field.name()))
        };
        let columns = fields.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Columns { fields, columns, rows: 0 })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn count(&self) -> usize {
        self.columns.len()
    }

    /// A row of cells in the order of the columns; `None` is null.
    pub(crate) fn push_cells<'a>(&mut self, cells: impl Iterator<Item = Option<&'a str>>) -> Result<(), String> {
        for ((cell, column), field) in cells.zip(&mut self.columns).zip(&self.fields) {
            match cell {
                Some(text) => {
                    column.push_text(text).map_err(|reason| format!("column {:?}: {reason}", field.name()))?;
                }
                None => column.push_null(),
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// A row of names and values.
    pub(crate) fn push_object(&mut self, row: &Json<'_>, others: Others) -> Result<(), String> {
        let Json::Object(members) = row else { return Err("it is no object".to_owned()) };
        push_members(members, &self.fields, &mut self.columns, others, "column")?;
        self.rows += 1;
        Ok(())
    }

    /// The rows gathered, if there are any.
    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>, String> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>()?;
        // What may not be null is for the table to say, which knows the column and the row.
        let fields: Vec<FieldRef> =
            self.fields.iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
        batch.map(Some).map_err(|error| error.to_string())
    }
}

/// What happens to members that are no columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    Refused,
    PassedOver,
}

/// Values by name; what is not named is null.
pub(crate) fn push_members(
    members: &[(Cow<'_, str>, Json<'_>)],
    fields: &Fields,
    columns: &mut [Column],
    others: Others,
    what: &str,
) -> Result<(), String> {
    let rows = columns.first().map_or(0, Column::len);
    for (place, (name, json)) in members.iter().enumerate() {
        // Rows mostly have their members in the order of the columns.
        let index = match fields.get(place).is_some_and(|field| field.name() == name) {
            true => Some(place),
            false => fields.iter().position(|field| field.name() == name),
        };
        let Some(column) = index.and_then(|index| columns.get_mut(index)) else {
            match others {
                Others::Refused => return Err(unknown(name, fields, what)),
                Others::PassedOver => continue,
            }
        };
        if column.len() > rows {
            return Err(format!("{what} {name:?} is there twice"));
        }
        column.push_json(json).map_err(|reason| format!("{what} {name:?}: {reason}"))?;
    }
    for column in columns.iter_mut().filter(|column| column.len() == rows) {
        column.push_null();
    }
    Ok(())
}

/// The columns of a file by the names in its header, with the types of a table's; one that the table lacks is an error.
pub fn columns_named(names: &[String], table: &Fields) -> Result<Fields, String> {
    let field = |name: &String| {
        let field = table.iter().find(|field| field.name() == name);
        field.cloned().ok_or_else(|| unknown(name, table, "column"))
    };
    names.iter().map(field).collect::<Result<Vec<_>, _>>().map(Fields::from)
}

/// The error of a name that no column has.
fn unknown(name: &str, fields: &Fields, what: &str) -> String {
    let mut known: Vec<&str> = fields.iter().take(20).map(|field| field.name().as_str()).collect();
    if fields.len() > known.len() {
        known.push("…");
    }
    format!("there is no {what} {}; there are {}", shown(name), known.join(", "))
}
