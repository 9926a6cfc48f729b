//! `EXPLAIN CREATE TOPIC` and `EXPLAIN TOPIC`.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SessionState;
use millstream_engine::{BatchOperator, InputColumn, OnError, TableInfo};

use super::operator::Operator;
use super::topic_plan::TopicPlan;
use crate::convert::from_datafusion;
use crate::plugin::plugin_of;
use crate::types::to_sql;
use crate::{Error, Result, pseudo, values};

/// The columns of the answer.
pub(crate) fn explain_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("item", DataType::Utf8, false), Field::new("value", DataType::Utf8, false)]))
}

/// Says what of a topic is pushed down to the reader, one row for each item.
pub(crate) fn explain(
    plan: &TopicPlan,
    table: &TableInfo,
    schema_version: u32,
    on_error: OnError,
    state: &SessionState,
) -> Result<RecordBatch> {
    let identity = plan.is_identity(table.schema());
    let stateless = &plan.select;
    let operator = Operator::compile(stateless, identity, state).map_err(|error| from_datafusion(error, 0))?;
    let mut shown = stateless.clone();
    for expr in shown.filters.iter_mut().chain(shown.outputs.iter_mut().map(|output| &mut output.expr)) {
        *expr = values::written(std::mem::take(expr));
    }
    let (functions, plugins) = shown.functions();
    let mut plugins: Vec<_> = plugins
        .iter()
        .filter_map(|udf| plugin_of(udf).map(|plugin| format!("{} (id {})", udf.name(), plugin.id)))
        .collect();
    plugins.extend(plan.transform.iter().map(|transform| format!("{} (id {})", transform.step.name(), transform.id)));
    let filters: Vec<_> = shown.filters.iter().map(ToString::to_string).collect();
    let mut rows = vec![
        ("source", format!("table {}.{}, schema version {schema_version}", table.namespace, table.name)),
        ("columns read", or_none(&columns_read(&operator, table))),
        ("pushed-down predicate", or_none(&filters)),
        ("chunks skipped unless", operator.prunable().unwrap_or_else(|| "none".to_owned())),
        ("functions", or_none(&functions.into_iter().collect::<Vec<_>>())),
        ("plugins", or_none(&plugins)),
        ("on error", crate::listing::on_error(on_error).to_owned()),
        ("rows forwarded unchanged", if identity { "yes" } else { "no" }.to_owned()),
    ];
    let of_select = if plan.transform.is_some() { "transform takes" } else { "output" };
    for output in &shown.outputs {
        rows.push((of_select, format!("{} = {}", column(&output.field), output.expr)));
    }
    if let Some(transform) = &plan.transform {
        rows.extend(transform.step.output_schema().fields().iter().map(|field| ("output", column(field))));
    }
    let (items, values): (Vec<&str>, Vec<String>) = rows.into_iter().unzip();
    RecordBatch::try_new(
        explain_schema(),
        vec![Arc::new(StringArray::from(items)), Arc::new(StringArray::from(values))],
    )
    .map_err(|error| Error::Internal(error.to_string()))
}

fn column(field: &Field) -> String {
    let null = if field.is_nullable() { "" } else { " NOT NULL" };
    format!("{} {}{null}", field.name(), to_sql(field.data_type()))
}

fn columns_read(operator: &Operator, table: &TableInfo) -> Vec<String> {
    let name = |input: &InputColumn| match input {
        InputColumn::Field(index) => {
            table.schema().fields().get(*index).map_or_else(String::new, |field| field.name().clone())
        }
        InputColumn::Partition => pseudo::NAMES[0].to_owned(),
        InputColumn::Offset => pseudo::NAMES[1].to_owned(),
        InputColumn::AppendTs => pseudo::NAMES[2].to_owned(),
    };
    operator.inputs().iter().map(name).collect()
}

fn or_none(items: &[String]) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.join(", "),
    }
}
