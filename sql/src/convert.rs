//! DataFusion's errors to ours. A plugin's or the engine's own error comes out as it went in.

use datafusion::common::DataFusionError;
use millstream_engine::{FailureKind, OperatorError};

use crate::{Error, Position};

/// Wraps one of our errors so that it passes through DataFusion and [`from_datafusion`] finds it again.
pub(crate) fn into_datafusion(error: impl Into<Error>) -> DataFusionError {
    DataFusionError::External(Box::new(error.into()))
}

/// Unwraps what DataFusion answered. `memory_limit` is named in the error of a query that reached it.
pub(crate) fn from_datafusion(error: DataFusionError, memory_limit: usize) -> Error {
    if let Some(ours) = find_ours(&error) {
        return ours;
    }
    let position = error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span)
        .map(|span| Position { line: span.start.line, column: span.start.column });
    let root = error.find_root();
    let message = text(root);
    match root {
        DataFusionError::SQL(..) => crate::parse::syntax_error(&message),
        DataFusionError::NotImplemented(_) => Error::Unsupported { message, position },
        DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Configuration(_)
        | DataFusionError::Diagnostic(..)
        | DataFusionError::Collection(_) => Error::Invalid { message, position },
        DataFusionError::ResourcesExhausted(_) => Error::Memory { limit: memory_limit, message: first_line(&message) },
        DataFusionError::Execution(_) | DataFusionError::ArrowError(..) => Error::Execution(message),
        DataFusionError::ExecutionJoin(_) => Error::Internal(format!("a query's task failed: {message}")),
        _ => Error::Internal(message),
    }
}

/// What an expression's failure is to the engine's readers.
pub(crate) fn into_operator(error: DataFusionError) -> OperatorError {
    match from_datafusion(error, 0) {
        Error::Operator(error) => error,
        Error::Execution(message) => OperatorError::new(FailureKind::Data, message),
        other => OperatorError::new(FailureKind::Host, other.to_string()),
    }
}

/// The first error in the chain that is one of ours.
fn find_ours(error: &DataFusionError) -> Option<Error> {
    match error {
        DataFusionError::External(inner) => {
            let source: &(dyn std::error::Error + 'static) = inner.as_ref();
            source_of_ours(source)
        }
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            arrow::error::ArrowError::ExternalError(inner) => source_of_ours(inner.as_ref()),
            _ => None,
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => find_ours(inner),
        DataFusionError::Shared(inner) => find_ours(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(find_ours),
        _ => None,
    }
}

fn source_of_ours(mut error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    loop {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        if let Some(engine) = error.downcast_ref::<millstream_engine::Error>() {
            return Some(Error::Engine(engine.clone()));
        }
        if let Some(operator) = error.downcast_ref::<OperatorError>() {
            return Some(Error::Operator(operator.clone()));
        }
        if let Some(datafusion) = error.downcast_ref::<DataFusionError>() {
            return find_ours(datafusion);
        }
        error = error.source()?;
    }
}

/// The message without DataFusion's prefixes, in our style: lower case, no full stop.
fn text(error: &DataFusionError) -> String {
    let message = match error {
        DataFusionError::Collection(errors) => {
            return errors.iter().map(|error| text(error.find_root())).collect::<Vec<_>>().join("; ");
        }
        DataFusionError::Diagnostic(_, inner) => return text(inner.find_root()),
        DataFusionError::ArrowError(arrow, _) => arrow.to_string(),
        other => other.message().into_owned(),
    };
    tidy(message.split("\n\nbacktrace:").next().unwrap_or(&message))
}

fn tidy(message: &str) -> String {
    let message = message
        .trim()
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("Compute error: ")
        .trim_start_matches("Cast error: ")
        .trim_start_matches("Parser error: ")
        .trim_start_matches("Invalid argument error: ")
        .trim_end_matches('.');
    let mut chars = message.chars();
    let shouted = message.split_whitespace().next().is_some_and(|word| word.len() > 1 && word == word.to_uppercase());
    match (chars.next(), shouted) {
        (Some(first), false) => first.to_lowercase().chain(chars).collect(),
        _ => message.to_owned(),
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim_end_matches(':').to_owned()
}
