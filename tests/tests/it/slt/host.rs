//! A plugin host without Wasm: a module is one line of text, `over COLUMN TYPE LIMIT` or `fail COLUMN TYPE`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type};
use millstream_engine::{
    Error, FailureKind, FunctionSignature, OperatorError, PluginDescription, PluginHost, PluginInfo, PluginKind,
    PluginLimits, Result, ScalarFunction, Volatility,
};

#[derive(Debug)]
pub(crate) struct TextHost;

#[derive(Debug)]
struct TextFilter {
    name: String,
    signature: FunctionSignature,
    /// `None`: it always fails.
    limit: Option<i64>,
}

impl PluginHost for TextHost {
    fn inspect(&self, module: &[u8], _: &PluginLimits) -> Result<PluginDescription> {
        let filter = parse("", module)?;
        Ok(PluginDescription {
            name: "text".to_owned(),
            kind: PluginKind::Filter,
            contract: "text@1".to_owned(),
            parameters: filter.signature.parameters,
            returns: DataType::Boolean,
            volatility: Volatility::Immutable,
        })
    }

    fn inspect_with(&self, module: &[u8], _: &str, limits: &PluginLimits) -> Result<PluginDescription> {
        self.inspect(module, limits)
    }

    fn filter(&self, plugin: &PluginInfo, module: &[u8]) -> Result<Arc<dyn ScalarFunction>> {
        Ok(Arc::new(parse(&plugin.name, module)?))
    }
}

fn parse(name: &str, module: &[u8]) -> Result<TextFilter> {
    let text = String::from_utf8_lossy(module);
    let words: Vec<&str> = text.split_whitespace().collect();
    let (column, limit) = match words.as_slice() {
        ["over", column, "bigint", limit] => (*column, limit.parse().ok()),
        ["fail", column, "bigint"] => (*column, None),
        _ => return Err(Error::InvalidInput(format!("{text:?} is not a module"))),
    };
    let signature = FunctionSignature {
        parameters: vec![(column.to_owned(), DataType::Int64)],
        returns: DataType::Boolean,
        volatility: Volatility::Immutable,
    };
    Ok(TextFilter { name: name.to_owned(), signature, limit })
}

impl ScalarFunction for TextFilter {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &FunctionSignature {
        &self.signature
    }

    fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, OperatorError> {
        let Some(limit) = self.limit else {
            return Err(OperatorError { kind: FailureKind::Trap, message: "the guest fails".to_owned() });
        };
        let values = arguments[0].as_primitive::<Int64Type>();
        assert_eq!(values.len(), rows, "arguments have the rows they are said to have");
        Ok(Arc::new(values.iter().map(|value| value.map(|value| value > limit)).collect::<BooleanArray>()))
    }
}
