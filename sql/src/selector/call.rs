//! Plugins that a selector calls.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use millstream_engine::{FailureKind, OperatorError, message_schema};

use super::columns::{Column, PropertyNames, Source, place};
use super::condition::{Argument, Called, Constant};
use super::evaluate::Truth;
use super::operands::invalid;
use super::value::Failure;
use crate::plugin::{Callables, Plugin};
use crate::topic::coerces;
use crate::{Error, Result, values};

/// A call that is checked.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) plugin: Plugin,
    arguments: Vec<Given>,
}

/// An argument, and the type that the plugin takes.
#[derive(Debug)]
enum Given {
    Column(usize, DataType),
    Property(usize, DataType),
    Constant(ScalarValue),
}

impl Call {
    /// Looks a plugin up. Properties that it is given are added to `sources`.
    pub(super) fn of(
        called: &Called,
        callables: &dyn Callables,
        names: PropertyNames,
        sources: &mut Vec<Source>,
    ) -> Result<Call> {
        let Called { name, position, arguments } = called;
        let refused = |message: String| invalid(message, *position);
        let plugin = match callables.function(name) {
            Ok(Some(plugin)) => plugin,
            Ok(None) => return Err(refused(format!("there is no plugin or function {name}"))),
            Err(Error::Invalid { message, .. }) => return Err(refused(message)),
            Err(error) => return Err(error),
        };
        if plugin.returns() != &DataType::Boolean {
            return Err(refused(format!("{name} is no filter: it gives {}, not BOOLEAN", plugin.returns())));
        }
        if plugin.is_volatile() {
            let message = format!("{name} may answer otherwise when it is asked again, which would lose messages");
            return Err(refused(message));
        }
        let declared: Vec<String> = plugin.parameters.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        let takes = format!("{name} takes ({})", declared.join(", "));
        // Without arguments it is given what is called as its parameters are.
        let by_name: Vec<Argument>;
        let arguments = match arguments.is_empty() {
            true => {
                by_name = plugin.parameters.iter().map(|(name, _)| Argument::Named(name.clone())).collect();
                &by_name
            }
            false => arguments,
        };
        if arguments.len() != plugin.parameters.len() {
            return Err(refused(format!("{takes}, and is given {}", arguments.len())));
        }
        let mut given = Vec::with_capacity(arguments.len());
        for (argument, (parameter, wanted)) in arguments.iter().zip(&plugin.parameters) {
            let one = given_for(argument, wanted, names, sources);
            given.push(one.map_err(|reason| refused(format!("{takes}; {parameter} can't be {reason}")))?);
        }
        Ok(Call { plugin, arguments: given })
    }

    /// What the plugin says of these rows.
    pub(super) fn ask(
        &self,
        batch: &RecordBatch,
        columns: &[Column<'_>],
        rows: &[u32],
        failed: &mut Vec<(u32, Failure)>,
    ) -> Result<Vec<Truth>, OperatorError> {
        let host = |error: arrow::error::ArrowError| OperatorError::new(FailureKind::Host, error.to_string());
        let mut arguments: Vec<ArrayRef> = Vec::with_capacity(self.arguments.len());
        let mut fits = vec![true; rows.len()];
        let places = UInt32Array::from(rows.to_vec());
        for argument in &self.arguments {
            let array = match argument {
                Given::Column(place, wanted) => {
                    let Some(column) = batch.columns().get(*place) else {
                        return Err(OperatorError::new(
                            FailureKind::Host,
                            "the rows do not have the columns of messages",
                        ));
                    };
                    let taken = take(column, &places, None).map_err(host)?;
                    values::convert(&taken, wanted, false)
                        .map_err(|error| OperatorError::new(FailureKind::Data, error.to_string()))?
                }
                Given::Property(property, wanted) => {
                    let column = columns.get(*property);
                    let texts: StringArray =
                        rows.iter().map(|row| column.and_then(|column| column.get(*row))).collect();
                    let texts: ArrayRef = Arc::new(texts);
                    let array = values::convert(&texts, wanted, true)
                        .map_err(|error| OperatorError::new(FailureKind::Host, error.to_string()))?;
                    for at in (0..rows.len()).filter(|at| array.is_null(*at) && texts.is_valid(*at)) {
                        fits[at] = false;
                        let text = texts.as_string::<i32>().value(at).to_owned();
                        failed.push((rows[at], Failure::NotA("of the type that a plugin takes", text)));
                    }
                    array
                }
                Given::Constant(value) => value
                    .to_array_of_size(rows.len())
                    .map_err(|error| OperatorError::new(FailureKind::Host, error.to_string()))?,
            };
            arguments.push(array);
        }
        let asked: Vec<u32> = (0..).zip(&fits).filter(|(_, fits)| **fits).map(|(at, _)| at).collect();
        let mut truths = vec![Truth::Failed; rows.len()];
        if asked.is_empty() {
            return Ok(truths);
        }
        if asked.len() < rows.len() {
            let asked = UInt32Array::from(asked.clone());
            arguments =
                arguments.iter().map(|array| take(array, &asked, None)).collect::<Result<_, _>>().map_err(host)?;
        }
        let answer = self.plugin.call(&arguments, asked.len())?;
        let Some(answer) = answer.as_boolean_opt().filter(|answer| answer.len() == asked.len()) else {
            return Err(OperatorError::new(FailureKind::Host, "a filter has not given a truth value for each row"));
        };
        for (at, asked) in asked.into_iter().enumerate() {
            truths[asked as usize] = Truth::of(answer.is_valid(at).then(|| answer.value(at)));
        }
        Ok(truths)
    }
}

/// An argument for a type; an error says what can't be taken for it.
fn given_for(
    argument: &Argument,
    wanted: &DataType,
    names: PropertyNames,
    sources: &mut Vec<Source>,
) -> Result<Given, String> {
    let name = match argument {
        Argument::Named(name) => name,
        Argument::Constant(constant) => {
            let value = scalar(constant);
            let cast = values::convert_value(&value, wanted).map_err(|_| format!("{value}"))?;
            // A number that the type does not hold is another value.
            let is_kept = !value.data_type().is_numeric()
                || values::convert_value(&cast, &value.data_type()).is_ok_and(|back| back == value);
            return match is_kept && (!cast.is_null() || *constant == Constant::Null) {
                true => Ok(Given::Constant(cast)),
                false => Err(format!("{value}")),
            };
        }
    };
    if let Ok(field) = message_schema().field_with_name(name) {
        return match field.data_type() == wanted || coerces(field, wanted) {
            true => Ok(Given::Column(place(name), wanted.clone())),
            false => Err(format!("the column {name}, which is {}", field.data_type())),
        };
    }
    let is_text_for = |wanted: &DataType| {
        wanted.is_numeric() || matches!(wanted, DataType::Utf8 | DataType::Boolean | DataType::Binary)
    };
    if !is_text_for(wanted) || !arrow::compute::can_cast_types(&DataType::Utf8, wanted) {
        return Err(format!("the property {name}, which is a text"));
    }
    let source = Source::of(name, names);
    let known = sources.iter().position(|known| *known == source);
    let property = known.unwrap_or_else(|| {
        sources.push(source);
        sources.len() - 1
    });
    Ok(Given::Property(property, wanted.clone()))
}

fn scalar(constant: &Constant) -> ScalarValue {
    match constant {
        Constant::Null => ScalarValue::Null,
        Constant::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        Constant::Int(value) => ScalarValue::Int32(Some(*value)),
        Constant::Long(value) => ScalarValue::Int64(Some(*value)),
        Constant::Double(value) => ScalarValue::Float64(Some(*value)),
        Constant::Bool(value) => ScalarValue::Boolean(Some(*value)),
    }
}
