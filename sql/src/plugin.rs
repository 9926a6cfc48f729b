//! Plugins as SQL functions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility as DfVolatility,
};
use millstream_engine::{PluginId, ScalarFunction, Volatility};

use crate::convert::into_datafusion;
use crate::threads::evaluating;

/// A plugin version, callable.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    pub(crate) id: PluginId,
    pub(crate) function: Arc<dyn ScalarFunction>,
}

impl Plugin {
    /// The plugin as a function that DataFusion can plan. Arguments are coerced to the declared types.
    pub(crate) fn udf(&self) -> Arc<ScalarUDF> {
        let signature = self.function.signature();
        let types: Vec<DataType> = signature.parameters.iter().map(|(_, data_type)| data_type.clone()).collect();
        let volatility = match signature.volatility {
            Volatility::Immutable => DfVolatility::Immutable,
            Volatility::Volatile => DfVolatility::Volatile,
        };
        let signature = match types.is_empty() {
            true => Signature::nullary(volatility),
            false => Signature::exact(types, volatility),
        };
        Arc::new(ScalarUDF::new_from_impl(PluginUdf { plugin: self.clone(), signature }))
    }
}

/// The adapter. Two are equal when they are the same version of the same plugin.
#[derive(Debug)]
struct PluginUdf {
    plugin: Plugin,
    signature: Signature,
}

impl PartialEq for PluginUdf {
    fn eq(&self, other: &Self) -> bool {
        self.plugin.id == other.plugin.id
    }
}

impl Eq for PluginUdf {}

impl Hash for PluginUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.plugin.id.hash(state);
    }
}

impl ScalarUDFImpl for PluginUdf {
    fn name(&self) -> &str {
        self.plugin.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.plugin.function.signature().returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let constant = !args.args.is_empty() && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arguments = args.args.iter().map(|argument| argument.to_array(rows)).collect::<DfResult<Vec<_>>>()?;
        // A guest has a stack of its own on this thread's, and this call may be deep in an expression.
        let answer = evaluating(0, || self.plugin.function.call(&arguments, rows)).map_err(into_datafusion)?;
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?)),
            false => Ok(ColumnarValue::Array(answer)),
        }
    }
}

/// The plugin behind a function, if it is one.
pub(crate) fn plugin_of(function: &ScalarUDF) -> Option<&Plugin> {
    let inner: &dyn std::any::Any = function.inner().as_ref();
    inner.downcast_ref::<PluginUdf>().map(|udf| &udf.plugin)
}
