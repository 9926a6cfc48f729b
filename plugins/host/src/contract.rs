//! The contract of `plugins/wit` as the host sees it: names, types, and what a description may say.

use arrow_schema::DataType;
use millstream_engine::{FailureKind, OperatorError, PluginDescription, PluginKind, Volatility};
use wasmtime::component::{ComponentType, Lift};

use crate::failure::{clip, failure};

/// The WIT package that this host offers.
pub const CONTRACT: &str = "millstream:plugin@0.1.0";

pub(crate) const PACKAGE: &str = "millstream:plugin/";
pub(crate) const TYPES: &str = "millstream:plugin/types@0.1.0";
pub(crate) const LOGGING: &str = "millstream:plugin/logging@0.1.0";
pub(crate) const BATCH_FILTER: &str = "millstream:plugin/batch-filter@0.1.0";

const MAX_NAME: usize = 128;
const MAX_PARAMETERS: usize = 64;

/// `logging.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from the guest, through the derived `Lift`")]
pub(crate) enum Level {
    #[component(name = "error")]
    Error,
    #[component(name = "warning")]
    Warning,
    #[component(name = "info")]
    Info,
    #[component(name = "debug")]
    Debug,
}

/// `types.volatility`.
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from the guest, through the derived `Lift`")]
pub(crate) enum WireVolatility {
    #[component(name = "immutable")]
    Immutable,
    #[component(name = "volatile")]
    Volatile,
}

/// `types.parameter`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireParameter {
    name: String,
    #[component(name = "data-type")]
    data_type: String,
}

/// `batch-filter.description`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireFilter {
    name: String,
    parameters: Vec<WireParameter>,
    volatility: WireVolatility,
}

impl WireFilter {
    /// Checks what a guest says of itself.
    pub(crate) fn check(self) -> Result<PluginDescription, OperatorError> {
        let refuse = |message: String| Err(failure(FailureKind::BadOutput, message));
        if !is_name(&self.name) {
            return refuse(format!("its name {:?} is not a text of 1 to {MAX_NAME} bytes", clip(&self.name)));
        }
        if self.parameters.len() > MAX_PARAMETERS {
            return refuse(format!("it declares {} parameters, more than {MAX_PARAMETERS}", self.parameters.len()));
        }
        let mut parameters: Vec<(String, DataType)> = Vec::with_capacity(self.parameters.len());
        for WireParameter { name, data_type } in self.parameters {
            if !is_name(&name) {
                return refuse(format!("parameter name {:?} is not a text of 1 to {MAX_NAME} bytes", clip(&name)));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return refuse(format!("parameter {name:?} is declared twice"));
            }
            match parse_type(&data_type) {
                Some(parsed) => parameters.push((name, parsed)),
                None => {
                    return refuse(format!(
                        "parameter {name:?} has type {:?}; known are Boolean, Int8 to Int64, UInt8 to UInt64, Float32, \
                         Float64, Decimal128(p, s), Date32, Timestamp(unit) with or without \"UTC\", Utf8 and Binary",
                        clip(&data_type)
                    ));
                }
            }
        }
        Ok(PluginDescription {
            name: self.name,
            kind: PluginKind::Filter,
            contract: CONTRACT.to_owned(),
            parameters,
            returns: DataType::Boolean,
            volatility: match self.volatility {
                WireVolatility::Immutable => Volatility::Immutable,
                WireVolatility::Volatile => Volatility::Volatile,
            },
        })
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A flat type of the stored ones; the parser never sees a long text.
fn parse_type(text: &str) -> Option<DataType> {
    let parsed: DataType = (text.len() <= MAX_NAME).then(|| text.parse().ok())??;
    is_flat(&parsed).then_some(parsed)
}

/// True for the types that a batch of this contract may have.
pub(crate) fn is_flat(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::Timestamp(_, Some(zone)) => &**zone == "UTC",
        DataType::Boolean | DataType::Utf8 | DataType::Binary | DataType::Date32 | DataType::Decimal128(_, _) => true,
        other => other.is_integer() || matches!(other, DataType::Float32 | DataType::Float64),
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::*;

    fn described(name: &str, parameters: &[(&str, &str)]) -> Result<PluginDescription, OperatorError> {
        WireFilter {
            name: name.to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, data_type)| WireParameter { name: (*name).to_owned(), data_type: (*data_type).to_owned() })
                .collect(),
            volatility: WireVolatility::Immutable,
        }
        .check()
    }

    #[test]
    fn flat_types_are_read_as_arrow_writes_them() {
        let types = [
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt64,
            DataType::Float32,
            DataType::Float64,
            DataType::Decimal128(38, 10),
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            DataType::Utf8,
            DataType::Binary,
        ];
        for data_type in types {
            let text = data_type.to_string();
            let description = described("f", &[("a", &text)]).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(description.parameters, [("a".to_owned(), data_type)]);
        }
    }

    #[test]
    fn a_description_is_checked() {
        let long = "n".repeat(MAX_NAME + 1);
        let many: Vec<String> = (0..=MAX_PARAMETERS).map(|i| format!("p{i}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "Int8")).collect();
        for (name, parameters, reason) in [
            ("", &[][..], "its name"),
            (&*long, &[], "its name"),
            ("f", &[("a", "Float23")], "has type"),
            ("f", &[("a", "Utf8View")], "has type"),
            ("f", &[("a", "Timestamp(ms, \"Europe/Berlin\")")], "has type"),
            ("f", &[("a", "Int8"), ("a", "Int16")], "declared twice"),
            ("f", &[("a\nb", "Int8")], "parameter name"),
            ("f", &many, "more than 64"),
        ] {
            let error = described(name, parameters).err().map(|e| (e.kind, e.message));
            let error = error.unwrap_or_else(|| panic!("{name:?} {parameters:?} is taken"));
            assert_eq!(error.0, FailureKind::BadOutput);
            assert!(error.1.contains(reason), "{} lacks {reason:?}", error.1);
        }
    }
}
