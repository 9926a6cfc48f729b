//! A planned statement, waiting for its parameters.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::{Outcome, Result, SqlSession};

/// A statement that was parsed and planned once and may be executed many times. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The schema of the rows it gives; no fields for statements that give none.
    pub result_schema: SchemaRef,
    /// One field for each parameter, `$1` first, named by its number; the types are what the statement needs there, Null
    /// where any will do.
    pub parameter_schema: SchemaRef,
    /// Whether it gives rows.
    pub is_query: bool,
    pub(crate) session: SqlSession,
}

impl Prepared {
    /// Executes with one row of parameters, columns by position. A statement that inserts takes several rows and is
    /// executed for each of them; a query takes exactly one. Nothing has an effect before this call.
    #[allow(clippy::unimplemented, reason = "signatures first")]
    pub async fn execute(&self, parameters: Option<RecordBatch>) -> Result<Outcome> {
        let _ = parameters;
        unimplemented!()
    }
}
