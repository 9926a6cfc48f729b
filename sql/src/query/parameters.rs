//! Parameters of prepared statements.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ParamValues, Result as DfResult, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use millstream_formats::Misfit;

use crate::convert::from_datafusion;
use crate::{Error, Result};

/// One field for each parameter, in order. Parameters must be numbered `$1`, `$2`, … without a gap.
pub(crate) fn parameter_schema(plan: &LogicalPlan) -> Result<SchemaRef> {
    let types = plan.get_parameter_types().map_err(|error| from_datafusion(error, 0))?;
    let mut fields = Vec::with_capacity(types.len());
    for number in 1..=types.len() {
        let Some(data_type) = types.get(&format!("${number}")) else {
            let message = format!("parameters are numbered $1, $2, …; ${number} of {} is missing", types.len());
            return Err(Error::Invalid { message, position: None });
        };
        fields.push(Field::new(number.to_string(), data_type.clone().unwrap_or(DataType::Null), true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Puts one row of parameters into a plan.
pub(crate) fn bind(
    plan: &LogicalPlan,
    schema: &SchemaRef,
    parameters: Option<&RecordBatch>,
    row: usize,
) -> Result<LogicalPlan> {
    check(schema, parameters)?;
    let Some(parameters) = parameters.filter(|_| !schema.fields().is_empty()) else { return Ok(plan.clone()) };
    if row >= parameters.num_rows() {
        let message = format!("the statement takes one row of parameters, {} are given", parameters.num_rows());
        return Err(Error::Invalid { message, position: None });
    }
    let failed = |error| from_datafusion(error, 0);
    let mut values = Vec::with_capacity(schema.fields().len());
    for (column, field) in parameters.columns().iter().zip(schema.fields()) {
        let column = converted(&column.slice(row, 1), field, row)?;
        values.push(ScalarValue::try_from_array(&column, 0).map_err(failed)?);
    }
    plan.clone().with_param_values(ParamValues::from(values)).map_err(failed)
}

/// Puts all rows of parameters into an INSERT of one VALUES row at once: that row's expressions are evaluated over the
/// parameters as a table. `None` if the plan has another shape.
pub(crate) fn bind_rows(
    plan: &LogicalPlan,
    schema: &SchemaRef,
    parameters: &RecordBatch,
) -> Result<Option<LogicalPlan>> {
    check(schema, Some(parameters))?;
    let failed = |error| from_datafusion(error, 0);
    if schema.fields().iter().any(|field| *field.data_type() == DataType::Null) {
        return Ok(None);
    }
    let columns = parameters
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| converted(column, field, 0))
        .collect::<Result<Vec<_>, _>>()?;
    let table =
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| Error::Execution(error.to_string()))?;
    let provider = Arc::new(MemTable::try_new(Arc::clone(schema), vec![vec![table]]).map_err(failed)?);
    let mut replaced = 0;
    let bound: DfResult<Transformed<LogicalPlan>> = plan.clone().transform_up(|node| match node {
        LogicalPlan::Values(values) if values.values.len() == 1 => {
            replaced += 1;
            let scan = LogicalPlanBuilder::scan("parameters", provider_as_source(Arc::clone(&provider) as _), None)?;
            let row = values.values.into_iter().next().unwrap_or_default();
            let mut expressions = Vec::with_capacity(row.len());
            for (expr, field) in row.into_iter().zip(values.schema.fields()) {
                let expr = expr.transform_up(|node| match node {
                    Expr::Placeholder(parameter) => {
                        let name = parameter.id.trim_start_matches('$').to_owned();
                        Ok(Transformed::yes(Expr::Column(Column::new(Some("parameters"), name))))
                    }
                    other => Ok(Transformed::no(other)),
                })?;
                expressions.push(expr.data.alias(field.name()));
            }
            Ok(Transformed::yes(scan.project(expressions)?.build()?))
        }
        other => Ok(Transformed::no(other)),
    });
    let Ok(bound) = bound else { return Ok(None) };
    let left = bound.data.get_parameter_names().map_err(failed)?;
    Ok((replaced == 1 && left.is_empty()).then_some(bound.data))
}

/// The values of a parameter as the statement has it in its place; `first` is the row of the first of them.
fn converted(values: &ArrayRef, field: &Field, first: usize) -> Result<ArrayRef> {
    if field.data_type().is_null() {
        return Ok(Arc::clone(values));
    }
    millstream_formats::bind(values, field.data_type()).map_err(|Misfit { row, reason }| {
        let row = row.map_or_else(String::new, |row| format!(", row {}", first + row + 1));
        Error::Invalid { message: format!("parameter ${}{row}: {reason}", field.name()), position: None }
    })
}

fn check(schema: &SchemaRef, parameters: Option<&RecordBatch>) -> Result<()> {
    let given = parameters.map_or(0, RecordBatch::num_columns);
    let wanted = schema.fields().len();
    if given != wanted {
        let message = format!("the statement takes {wanted} parameters, {given} are given");
        return Err(Error::Invalid { message, position: None });
    }
    Ok(())
}
