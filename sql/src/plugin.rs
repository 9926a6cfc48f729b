//! Plugins as SQL functions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility as DfVolatility,
};
use millstream_engine::{
    BatchTransform, FunctionId, FunctionInfo, LoadedPlugin, OperatorError, PluginId, PluginInfo, ScalarFunction,
    TopicPlugins, Volatility,
};

use crate::convert::into_datafusion;
use crate::threads::{evaluating, waiting};
use crate::{Error, Result};

/// A plugin version, callable under a name: its own, or one that CREATE FUNCTION gave.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    pub(crate) id: PluginId,
    /// The function that it is called through.
    pub(crate) via: Option<FunctionId>,
    pub(crate) name: String,
    /// Names and types; where a call has no arguments, columns of these names are taken.
    pub(crate) parameters: Vec<(String, DataType)>,
    function: Arc<dyn ScalarFunction>,
}

/// A transform that a topic can be made with.
#[derive(Debug, Clone)]
pub(crate) struct Transform {
    pub(crate) id: PluginId,
    pub(crate) step: Arc<dyn BatchTransform>,
}

/// Where the names that SQL calls are looked up.
pub(crate) trait Callables {
    /// The function or plugin of a (folded) name.
    fn function(&self, name: &str) -> Result<Option<Plugin>>;
    /// The transform of a (folded) name.
    fn transform(&self, name: &str) -> Result<Option<Transform>>;
}

/// What a topic recorded: names stand for the versions that it was made with.
impl Callables for TopicPlugins {
    fn function(&self, name: &str) -> Result<Option<Plugin>> {
        let named = |wanted: &str| self.plugins.iter().find(|(info, _)| info.name == wanted);
        match self.functions.iter().find(|function| function.name == name) {
            Some(function) => {
                named(&function.plugin).map(|(info, loaded)| Plugin::through(function, info, loaded)).transpose()
            }
            None => named(name).map(|(info, loaded)| Plugin::of(info, loaded)).transpose(),
        }
    }

    fn transform(&self, name: &str) -> Result<Option<Transform>> {
        let plugin = self.plugins.iter().find(|(info, _)| info.name == name);
        plugin.map(|(info, loaded)| Transform::of(info, loaded)).transpose()
    }
}

impl Transform {
    pub(crate) fn of(info: &PluginInfo, loaded: &LoadedPlugin) -> Result<Transform> {
        match loaded {
            LoadedPlugin::Transform(step) => Ok(Transform { id: info.id, step: Arc::clone(step) }),
            LoadedPlugin::Function(_) | LoadedPlugin::Consumer(_) | LoadedPlugin::Checkback(_) => Err(Error::Invalid {
                message: format!("plugin {} is a {} and not a transform", info.name, info.description.kind.name()),
                position: None,
            }),
        }
    }
}

impl Plugin {
    /// A plugin by its own name.
    pub(crate) fn of(info: &PluginInfo, loaded: &LoadedPlugin) -> Result<Plugin> {
        match loaded {
            LoadedPlugin::Function(function) => Ok(Plugin {
                id: info.id,
                via: None,
                name: info.name.clone(),
                parameters: info.description.parameters.clone(),
                function: Arc::clone(function),
            }),
            LoadedPlugin::Transform(_) => Err(Error::Invalid {
                message: format!(
                    "plugin {name} is a transform and not a function; CREATE TOPIC … AS TRANSFORM {name}() OF (SELECT …) \
                     uses it",
                    name = info.name
                ),
                position: None,
            }),
            LoadedPlugin::Consumer(_) => Err(Error::Invalid {
                message: format!(
                    "plugin {name} is a consumer and not a function; CREATE CONSUMER … ON topic USING PLUGIN {name} uses it",
                    name = info.name
                ),
                position: None,
            }),
            LoadedPlugin::Checkback(_) => Err(Error::Invalid {
                message: format!(
                    "plugin {name} is a checkback handler and not a function; CREATE CHECKBACK … ON table USING PLUGIN {name} \
                     uses it",
                    name = info.name
                ),
                position: None,
            }),
        }
    }

    /// A plugin by the name of a function that is made of it.
    pub(crate) fn through(function: &FunctionInfo, info: &PluginInfo, loaded: &LoadedPlugin) -> Result<Plugin> {
        let plugin = Plugin::of(info, loaded)?;
        Ok(Plugin {
            via: Some(function.id),
            name: function.name.clone(),
            parameters: function.parameters.clone(),
            ..plugin
        })
    }

    pub(crate) fn returns(&self) -> &DataType {
        &self.function.signature().returns
    }

    pub(crate) fn is_volatile(&self) -> bool {
        self.function.signature().volatility == Volatility::Volatile
    }

    pub(crate) fn throttled(&self) -> Option<Duration> {
        self.function.throttled()
    }

    /// Calls it, with as many rows of each argument.
    pub(crate) fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, OperatorError> {
        // A guest has a stack of its own on this thread's, and this call may be deep in an expression.
        let call = || evaluating(0, || self.function.call(arguments, rows));
        match self.function.throttled() {
            None => call(),
            Some(_) => waiting(call),
        }
    }

    /// The plugin as a function that DataFusion can plan. Arguments are coerced to the declared types.
    pub(crate) fn udf(&self) -> Arc<ScalarUDF> {
        let types: Vec<DataType> = self.parameters.iter().map(|(_, data_type)| data_type.clone()).collect();
        let volatility = match self.function.signature().volatility {
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

/// The adapter. Two are equal when they are the same version of the same plugin under the same name.
#[derive(Debug)]
struct PluginUdf {
    plugin: Plugin,
    signature: Signature,
}

impl PartialEq for PluginUdf {
    fn eq(&self, other: &Self) -> bool {
        (self.plugin.id, self.plugin.via) == (other.plugin.id, other.plugin.via)
    }
}

impl Eq for PluginUdf {}

impl Hash for PluginUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.plugin.id, self.plugin.via).hash(state);
    }
}

impl ScalarUDFImpl for PluginUdf {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.plugin.function.signature().returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let immutable = self.plugin.function.signature().volatility == Volatility::Immutable;
        let scalars = !args.args.is_empty() && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        // What may differ from call to call is asked for each row.
        let constant = scalars && immutable;
        let rows = if constant { 1 } else { args.number_rows };
        let arguments = args.args.iter().map(|argument| argument.to_array(rows)).collect::<DfResult<Vec<_>>>()?;
        let answer = self.plugin.call(&arguments, rows).map_err(into_datafusion)?;
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
