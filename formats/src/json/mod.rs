//! JSON: one object a row, written one a line. Read are objects one after the other, however they are laid out, or one array
//! of them: what pandas, Spark, DuckDB and jq write.

mod lines;
mod parse;
mod write;

pub(crate) use lines::{JsonDecoder, Records};
pub use parse::Json;
pub use write::write_rows;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::column::Column;

/// One value as an array of one row. The error says why the type does not take it.
pub fn array_of(json: &Json<'_>, data_type: &DataType) -> Result<ArrayRef, String> {
    let mut column = Column::new(data_type)?;
    column.push_json(json)?;
    column.take()
}
