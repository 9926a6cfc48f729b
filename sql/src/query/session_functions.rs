//! What tools ask a session about itself first: `version()`, `current_schema()`, `current_user` and the like.

use arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::names::CATALOG;

/// What a client is told that it talks to.
pub(crate) const VERSION: &str = concat!("Millstream ", env!("CARGO_PKG_VERSION"));

/// The functions of a session in `namespace`, of `user`.
pub(super) fn session_functions(namespace: &str, user: &str) -> Vec<ScalarUDF> {
    let answers = [
        ("current_schema", namespace),
        ("current_database", CATALOG),
        ("current_catalog", CATALOG),
        ("current_user", user),
        ("session_user", user),
    ];
    let function = |(name, answer): (&'static str, &str)| {
        let signature = Signature::nullary(Volatility::Stable);
        ScalarUDF::new_from_impl(SessionFunction { name, answer: answer.to_owned(), signature })
    };
    answers.map(function).into()
}

/// `version()` by itself, for planners without a session: topics refuse it, since it changes with the program.
pub(super) fn version() -> ScalarUDF {
    let signature = Signature::nullary(Volatility::Stable);
    ScalarUDF::new_from_impl(SessionFunction { name: "version", answer: VERSION.to_owned(), signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SessionFunction {
    name: &'static str,
    answer: String,
    signature: Signature,
}

impl ScalarUDFImpl for SessionFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::from(self.answer.as_str())))
    }
}
