//! The engine's traits that others implement. SQL topics and Wasm plugins meet only here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};

use crate::contract::{
    BatchConsumer, CheckbackHandler, ContinuousPlan, FunctionInfo, PluginCalls, PluginDescription, PluginInfo,
    PluginLimits, PluginLogLine, PluginSettings, PluginSuspension,
};
use crate::lookups::{MemoryTables, TableLookup};
use crate::model::OperatorError;
use crate::model::{ContinuousInfo, NamespaceLimits, NamespaceUsage, PluginId, Result, TableInfo, TopicInfo};
use crate::platform::ThreadPanic;

/// A column that an operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InputColumn {
    /// A field of the table's newest schema, by position. Rows older than the field read as null.
    Field(usize),
    /// `_partition`, Int32.
    Partition,
    /// `_offset`, Int64.
    Offset,
    /// `_append_ts`, Timestamp(µs, "UTC").
    AppendTs,
}

/// A compiled, stateless step over batches: a SQL topic, the pushed-down part of a query, a Wasm filter.
///
/// Equal input gives equal output: the engine shares one evaluation among all readers of a range.
pub trait BatchOperator: Send + Sync + fmt::Debug {
    /// The columns of the batches that [`Self::evaluate`] takes, in their order. Nothing else is decoded.
    fn inputs(&self) -> &[InputColumn];
    /// The schema of what it gives.
    fn output_schema(&self) -> &SchemaRef;
    /// For each chunk whether it can be left out because no row of it can match. `true` skips the chunk.
    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool>;
    /// Evaluates one batch whose columns are [`Self::inputs`].
    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError>;
    /// True when output = the table's rows unchanged, so that encoded bytes can be forwarded.
    fn is_identity(&self) -> bool {
        false
    }
}

/// What [`BatchOperator::evaluate`] gives.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The output rows.
    pub batch: RecordBatch,
    /// Which input row each output row comes from.
    pub rows: RowMap,
}

/// Maps output rows to input rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowMap {
    /// Output row `i` is input row `i`, and none is missing.
    Every,
    /// Output row `i` comes from input row `indices[i]`; never decreasing.
    Indices(Vec<u32>),
}

/// Statistics of a run of rows, a column each for [`BatchOperator::inputs`], in that order.
#[derive(Debug, Clone)]
pub struct ChunkStatistics {
    pub row_count: u64,
    /// `None` where nothing is known of the column.
    pub columns: Vec<Option<ColumnStatistics>>,
}

/// Bounds of one column in one chunk.
#[derive(Debug, Clone, Default)]
pub struct ColumnStatistics {
    /// One-element arrays of the column's type; `None` if unknown. Bounds may be wider than the data, never narrower.
    pub min: Option<ArrayRef>,
    pub max: Option<ArrayRef>,
    pub null_count: Option<u64>,
    /// Knows of values that no row has.
    pub values: Option<Arc<dyn ColumnValues>>,
}

/// Which values a column may have.
pub trait ColumnValues: Send + Sync + fmt::Debug {
    /// False if no row has this text, or these bytes; of a column of lists, as an element. May read a part of a file.
    fn may_have(&self, value: &[u8]) -> bool;
}

/// How far a function's result may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Volatility {
    /// Depends on the arguments alone.
    Immutable,
    /// May give another answer at another time; refused in topics.
    Volatile,
}

/// The declared types of a [`ScalarFunction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSignature {
    /// Parameter names and types, in order. A call without arguments binds columns of these names.
    pub parameters: Vec<(String, DataType)>,
    pub returns: DataType,
    pub volatility: Volatility,
}

/// A function over columns that SQL can call; a Wasm filter is one that returns Boolean.
pub trait ScalarFunction: Send + Sync + fmt::Debug {
    fn name(&self) -> &str;
    fn signature(&self) -> &FunctionSignature;
    /// `arguments` have the declared types and `rows` rows each; the answer must have `rows` rows.
    fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, OperatorError>;
    /// How long a call would be held back because the plugin, or its namespace, is over its share of the machine. Who asks
    /// can wait without a thread; a call that is made all the same waits by itself.
    fn throttled(&self) -> Option<Duration> {
        None
    }
}

/// A step over batches that a plugin offers: rows in, rows of another schema out.
///
/// What comes of a row depends on that row alone.
pub trait BatchTransform: Send + Sync + fmt::Debug {
    fn name(&self) -> &str;
    /// Names and types of the columns it takes, in order.
    fn parameters(&self) -> &[(String, DataType)];
    /// The schema of what it gives.
    fn output_schema(&self) -> &SchemaRef;
    /// `arguments` have the declared types and `rows` rows each.
    fn transform(&self, arguments: &[ArrayRef], rows: usize) -> Result<Evaluated, OperatorError>;
    /// As [`ScalarFunction::throttled`].
    fn throttled(&self) -> Option<Duration> {
        None
    }
}

/// A plugin version that can be called.
#[derive(Debug, Clone)]
pub enum LoadedPlugin {
    /// A filter or a function.
    Function(Arc<dyn ScalarFunction>),
    Transform(Arc<dyn BatchTransform>),
    Consumer(Arc<dyn BatchConsumer>),
    Checkback(Arc<dyn CheckbackHandler>),
}

impl LoadedPlugin {
    /// As [`ScalarFunction::throttled`], of what topics and consumers call.
    pub fn throttled(&self) -> Option<Duration> {
        match self {
            LoadedPlugin::Function(function) => function.throttled(),
            LoadedPlugin::Transform(transform) => transform.throttled(),
            LoadedPlugin::Consumer(consumer) => consumer.throttled(),
            LoadedPlugin::Checkback(handler) => handler.throttled(),
        }
    }
}

/// What a topic's definition calls, in the order of [`crate::model::TopicSource::Select`]'s lists.
#[derive(Debug, Clone, Default)]
pub struct TopicPlugins {
    /// The versions that the topic records.
    pub plugins: Vec<(Arc<PluginInfo>, LoadedPlugin)>,
    /// The names given to some of them.
    pub functions: Vec<Arc<FunctionInfo>>,
}

/// Turns a topic's stored definition into an operator, and knows what values mean. The SQL room implements it.
///
/// It calls nothing back into the engine, and the engine holds no lock while it runs.
pub trait TopicCompiler: Send + Sync + fmt::Debug {
    fn compile(&self, topic: &TopicInfo, table: &TableInfo, plugins: &TopicPlugins) -> Result<Arc<dyn BatchOperator>>;
    /// As [`Self::compile`], of a continuous topic; `sources` in the order of [`ContinuousInfo::sources`].
    fn compile_continuous(
        &self,
        info: &ContinuousInfo,
        sources: &[Arc<TableInfo>],
        plugins: &TopicPlugins,
    ) -> Result<Arc<dyn ContinuousPlan>>;
    /// What `TRY_CAST(values AS to)` gives: null where a value does not fit. So nobody converts by another rule than SQL.
    fn try_cast(&self, values: &ArrayRef, to: &DataType) -> Result<ArrayRef>;
}

/// Runs plugins. The plugin host implements it.
pub trait PluginHost: Send + Sync + fmt::Debug {
    /// Compiles a module and asks it what it is, within `limits`. What a transform gives may depend on its configuration:
    /// `returns` is then what it gives with an empty one, or Null if it refuses that.
    fn inspect(&self, module: &[u8], limits: &PluginLimits) -> Result<PluginDescription>;
    /// Does as [`Self::inspect`] for `namespace`, whose account it is on, and tries the module under the name and with the
    /// settings that it is to have. A capability that it asks for and that is not granted is an error.
    fn inspect_with(
        &self,
        namespace: &str,
        name: &str,
        module: &[u8],
        settings: &PluginSettings,
    ) -> Result<PluginDescription>;
    /// Makes a plugin callable. Cheap after the first time: compiled code is cached. `tables` are those of
    /// [`PluginDescription::tables`], and go with the plugin's last use.
    fn load(&self, plugin: &PluginInfo, module: &[u8], tables: Arc<dyn TableLookup>) -> Result<LoadedPlugin>;
    /// As [`Self::load`], of what a topic calls, which looks nothing up: with one instance of its own, which takes nothing
    /// from other users of the version: neither instances, nor does its failing count as theirs.
    fn load_apart(&self, plugin: &PluginInfo, module: &[u8]) -> Result<LoadedPlugin> {
        self.load(plugin, module, Arc::new(MemoryTables::default()))
    }
    /// Figures of every plugin version that was loaded since the host was opened.
    fn calls(&self) -> Vec<PluginCalls> {
        Vec::new()
    }
    /// The newest lines that guests have logged.
    fn log_lines(&self) -> Vec<PluginLogLine> {
        Vec::new()
    }
    /// Plugin versions that are suspended now.
    fn suspensions(&self) -> Vec<(PluginId, PluginSuspension)> {
        Vec::new()
    }
    /// `suspended` is called, from any thread, when a plugin version was suspended; it must not block.
    fn on_suspension(&self, _suspended: Arc<dyn Fn() + Send + Sync>) {}
    /// `told` is called, from any thread, when one of the host's own threads has panicked, and at once for panics of before; it
    /// must not block.
    fn on_thread_panic(&self, _told: Arc<dyn Fn(&ThreadPanic) + Send + Sync>) {}
    /// Holds the plugins of a namespace to these limits from now on, running ones too.
    fn limit_namespace(&self, _namespace: &str, _limits: &NamespaceLimits) {}
    /// What the plugins of each namespace take.
    fn namespace_usage(&self) -> Vec<NamespaceUsage> {
        Vec::new()
    }
    /// Lets a suspended plugin version be called again; false where it was not suspended.
    fn resume(&self, _plugin: PluginId) -> bool {
        false
    }
}
