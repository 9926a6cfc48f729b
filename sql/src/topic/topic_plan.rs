//! What a topic gives in logical form: a SELECT over its table, and perhaps a plugin's transform of the rows selected.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result as DfResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{Volatility, create_udf};
use datafusion::sql::sqlparser::ast::Ident;
use millstream_engine::BatchOperator;

use super::operator::Operator;
use super::stateless::{Output, Stateless};
use super::transform::TransformOperator;
use crate::names::{fold, ident_position};
use crate::parse::TransformCall;
use crate::plugin::{Callables, Transform};
use crate::{Error, Result, pseudo, values};

/// A topic's SELECT, and what is done to its rows.
#[derive(Debug, Clone)]
pub(crate) struct TopicPlan {
    /// With a transform: gives the columns that it takes, in its order and types.
    pub(crate) select: Stateless,
    pub(crate) transform: Option<Transform>,
}

impl TopicPlan {
    /// A table's rows unchanged.
    pub(crate) fn identity(schema: &Schema) -> TopicPlan {
        TopicPlan { select: Stateless::identity(schema), transform: None }
    }

    /// A plugin's transform of a SELECT.
    pub(super) fn transformed(select: Stateless, call: &TransformCall, callables: &dyn Callables) -> Result<TopicPlan> {
        let name = fold(&call.plugin);
        let invalid = |message: String| Err(Error::Invalid { message, position: ident_position(&call.plugin) });
        let Some(transform) = callables.transform(&name)? else {
            return invalid(format!("plugin {name:?} does not exist"));
        };
        for column in transform.step.output_schema().fields() {
            if pseudo::is_pseudo(column.name()) {
                return invalid(format!("plugin {name} gives a column {}, which every topic has", column.name()));
            }
        }
        let outputs = arguments(&select, &name, &call.plugin, &call.columns, transform.step.parameters())?;
        Ok(TopicPlan { select: Stateless { outputs, ..select }, transform: Some(transform) })
    }

    /// Casts columns to the types that they had when the topic was created: an expression may be planned otherwise by then.
    pub(crate) fn keep_types(&mut self, schema: &Schema) {
        if self.transform.is_some() {
            return;
        }
        for output in &mut self.select.outputs {
            let Ok(kept) = schema.field_with_name(output.field.name()) else { continue };
            let (now, kept) = (output.field.data_type().clone(), kept.data_type());
            if now != *kept {
                output.expr = values::cast(output.expr.clone(), &now, kept);
                output.field = output.field.clone().with_data_type(kept.clone());
            }
        }
    }

    /// The schema of what it gives.
    pub(crate) fn output_schema(&self) -> SchemaRef {
        match &self.transform {
            None => self.select.output_schema(),
            Some(transform) => Arc::clone(transform.step.output_schema()),
        }
    }

    /// Whether it gives the table's columns of `schema` unchanged, and all of them.
    pub(crate) fn is_identity(&self, schema: &Schema) -> bool {
        self.transform.is_none() && self.select.is_identity(schema)
    }

    /// Compiles. `identity` says that the rows are the newest schema's, unchanged.
    pub(crate) fn compile(&self, identity: bool, state: &SessionState) -> DfResult<Arc<dyn BatchOperator>> {
        Ok(match &self.transform {
            None => Arc::new(Operator::compile(&self.select, identity, state)?),
            Some(transform) => Arc::new(TransformOperator::compile(&self.select, transform, false, state)?),
        })
    }

    /// As [`Self::compile`], with the pseudo-columns after the topic's own if `with_pseudo`.
    pub(crate) fn compile_for_query(
        &self,
        with_pseudo: bool,
        state: &SessionState,
    ) -> DfResult<Arc<dyn BatchOperator>> {
        Ok(match &self.transform {
            None => {
                let mut select = self.select.clone();
                if with_pseudo {
                    select.add_pseudo();
                }
                Arc::new(Operator::compile(&select, false, state)?)
            }
            Some(transform) => Arc::new(TransformOperator::compile(&self.select, transform, with_pseudo, state)?),
        })
    }
}

/// The columns that a transform takes, out of those that the SELECT gives.
fn arguments(
    select: &Stateless,
    plugin: &str,
    call: &Ident,
    columns: &[Ident],
    parameters: &[(String, DataType)],
) -> Result<Vec<Output>> {
    let takes = || {
        let wanted: Vec<_> = parameters.iter().map(|(name, data_type)| format!("{name} {data_type}")).collect();
        format!("plugin {plugin} takes ({})", wanted.join(", "))
    };
    if !columns.is_empty() && columns.len() != parameters.len() {
        let message = format!("{}, or () for columns of these names", takes());
        return Err(Error::Invalid { message, position: ident_position(call) });
    }
    let argument = |(index, (parameter, wanted)): (usize, &(String, DataType))| {
        let named = columns.get(index);
        let column = named.map_or_else(|| parameter.clone(), fold);
        let position = ident_position(named.unwrap_or(call));
        let found = select.outputs.iter().find(|output| output.field.name() == &column);
        let Some(Output { field, expr }) = found else {
            let message = format!("{}, and the SELECT gives no column {column:?}", takes());
            return Err(Error::Invalid { message, position });
        };
        let mut expr = expr.clone();
        if field.data_type() != wanted {
            if !coerces(field, wanted) {
                let message = format!("{}, and column {column:?} is {}; CAST it", takes(), field.data_type());
                return Err(Error::Invalid { message, position });
            }
            expr = values::cast(expr, field.data_type(), wanted);
        }
        Ok(Output { field: Field::new(parameter, wanted.clone(), true), expr })
    };
    parameters.iter().enumerate().map(argument).collect()
}

/// Whether a column is taken for another type without a CAST: where it would be as the argument of a function.
pub(crate) fn coerces(field: &Field, wanted: &DataType) -> bool {
    let never_called = Arc::new(|_: &[_]| datafusion::common::internal_err!("a type is asked for, and no value"));
    let taker = create_udf("", vec![wanted.clone()], DataType::Null, Volatility::Immutable, never_called);
    fields_with_udf(&[Arc::new(field.clone())], &taker).is_ok()
}
