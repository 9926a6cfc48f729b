//! Which value of `INSERT … VALUES` fails. All rows are evaluated at once, so the error itself can't say.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, Values};

use crate::convert::from_datafusion;
use crate::values::evaluable;
use crate::{Error, Position};

/// The error with its row, counted from 1, and the column that the value was for. `source` is the analysed one of an INSERT.
pub(crate) fn name_row(error: Error, source: &LogicalPlan, state: &SessionState) -> Error {
    if !matches!(error, Error::Execution(_)) {
        return error;
    }
    let mut found = None;
    let walked = source.apply(|step| {
        if let LogicalPlan::Projection(projection) = step
            && let LogicalPlan::Values(values) = projection.input.as_ref()
        {
            found = failing(values, state).map(|(row, column, message)| {
                let name = values.schema.field(column).name();
                let uses = |expr: &&datafusion::logical_expr::Expr| {
                    expr.column_refs().iter().any(|column| column.name == *name)
                };
                let target = projection.expr.iter().find(uses).map(|expr| expr.schema_name().to_string());
                (row, target.unwrap_or_else(|| name.clone()), message)
            });
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    debug_assert!(walked.is_ok(), "the walk itself cannot fail");
    match found {
        Some((row, column, message)) => Error::Invalid {
            message: format!("row {} of VALUES, column {column:?}: {message}", row + 1),
            position: None::<Position>,
        },
        None => error,
    }
}

/// The first value that fails by itself: its row, its column and what is wrong.
fn failing(values: &Values, state: &SessionState) -> Option<(usize, usize, String)> {
    let (schema, options) = (DFSchema::empty(), RecordBatchOptions::new().with_row_count(Some(1)));
    let batch = RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options).ok()?;
    for (row, exprs) in values.values.iter().enumerate() {
        for (column, expr) in exprs.iter().enumerate() {
            let evaluated = evaluable(expr.clone(), &schema)
                .and_then(|expr| state.create_physical_expr(expr, &schema))
                .and_then(|expr| expr.evaluate(&batch));
            if let Err(error) = evaluated {
                return Some((row, column, from_datafusion(error, 0).to_string()));
            }
        }
    }
    None
}
