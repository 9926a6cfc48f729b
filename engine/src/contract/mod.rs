//! What others implement and the engine calls: operators of topics, functions, plugins, their state and their look-ups.

mod batch_consumer;
mod checkback;
mod checkback_info;
mod continuous;
mod guarded;
mod keyed_state;
mod operator;
mod plugin_calls;
mod plugin_requests;
mod plugin_shadows;
mod plugins;
pub(crate) mod scope;

pub use batch_consumer::{BatchConsumer, BatchPosition, Consumed, ConsumerOutput, Verdict};
pub use checkback::{CheckFault, CheckVerdict, CheckbackHandler, Checked, check};
#[cfg(test)]
pub(crate) use checkback_info::half_column;
pub(crate) use checkback_info::{BEGUN_TS, CHECKS, PRODUCER_GROUP, PROPERTY};
pub use checkback_info::{
    CheckbackFigures, CheckbackInfo, CheckbackOrder, CheckbackSettings, CheckbackSpec, CheckbackStatus,
};
pub use continuous::{Closed, ContinuousPlan, ContinuousRun, ContinuousSource, Judged, OpenWindows, Pushed, StateKey};
pub(crate) use guarded::Guarded;
pub use keyed_state::{
    KeyedState, MAX_STATE_KEY_BYTES, MAX_STATE_VALUE_BYTES, MAX_STATE_WRITE_BYTES, MAX_STATE_WRITES, StateEntries,
    StateLimit, StateSource, StateWrite,
};
pub(crate) use keyed_state::{entry_bytes, range_from};
pub use operator::{
    BatchOperator, BatchTransform, ChunkStatistics, ColumnStatistics, ColumnValues, Evaluated, FunctionSignature,
    InputColumn, LoadedPlugin, PluginHost, RowMap, ScalarFunction, TopicCompiler, TopicPlugins, Volatility,
};
pub use plugin_calls::{
    CallFigures, CallTimes, CallUse, EvaluationPlace, PluginCalls, PluginLogLine, PluginSuspension, PluginUse,
};
pub use plugin_requests::{PluginRequests, RequestFailure};
pub use plugin_shadows::{PluginShadowStatus, ShadowDifference, ShadowFigures};
pub use plugins::{
    Capability, FunctionInfo, FunctionSpec, PluginDescription, PluginInfo, PluginKind, PluginLimits, PluginSettings,
    PluginSpec,
};
pub use scope::current_evaluation;
pub(crate) use scope::{CheckbackScope, Scope};
