//! A host without Wasm: plugins named `copies` are consumers that write what they read, `judges` checkback handlers, the others
//! filters.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parking_lot::Mutex;

use crate::contract::{
    BatchConsumer, BatchOperator, BatchPosition, CallFigures, CheckVerdict, CheckbackHandler, Consumed, ConsumerOutput,
    ContinuousPlan, KeyedState, LoadedPlugin, PluginCalls, PluginDescription, PluginHost, PluginInfo, PluginKind,
    PluginLimits, PluginLogLine, PluginRequests, PluginSettings, PluginSuspension, TopicCompiler, TopicPlugins,
    Verdict, Volatility,
};
use crate::lookups::{TableLookup, TableUse};
use crate::model::{ContinuousInfo, Error, OperatorError, PluginId, Result, TableInfo, TopicInfo};

/// The name of the plugin that is a consumer.
pub(super) const COPIES: &str = "copies";
/// The name of the plugin that is a checkback handler.
pub(super) const JUDGES: &str = "judges";

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]))
}

/// Has called, suspended and heard every plugin that it has loaded.
#[derive(Debug, Default)]
pub(super) struct CopyingHost {
    loaded: Mutex<Vec<PluginInfo>>,
}

impl PluginHost for CopyingHost {
    fn inspect(&self, _: &[u8], _: &PluginLimits) -> Result<PluginDescription> {
        Err(Error::Unsupported("names say what plugins are".to_owned()))
    }

    fn inspect_with(&self, _: &str, name: &str, _: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        let copies = name == COPIES;
        let output = || ConsumerOutput { name: "out".to_owned(), schema: schema() };
        let used = |(name, _): &(String, String)| TableUse { name: name.clone(), key: schema(), columns: schema() };
        Ok(PluginDescription {
            name: name.to_owned(),
            kind: match name {
                COPIES => PluginKind::Consumer,
                JUDGES => PluginKind::Checkback,
                _ => PluginKind::Filter,
            },
            contract: "millstream:plugin@0.2.0".to_owned(),
            parameters: match name {
                JUDGES => Vec::new(),
                _ => vec![("id".to_owned(), DataType::Int64)],
            },
            returns: if copies { DataType::Null } else { DataType::Boolean },
            volatility: Volatility::Immutable,
            capabilities: BTreeSet::new(),
            outputs: copies.then(output).into_iter().collect(),
            tables: settings.tables.iter().map(used).collect(),
            http_hosts: Vec::new(),
        })
    }

    fn load(&self, plugin: &PluginInfo, _: &[u8], _: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        self.loaded.lock().push(plugin.clone());
        if plugin.name == JUDGES {
            return Ok(LoadedPlugin::Checkback(Arc::new(Judges)));
        }
        let output = ConsumerOutput { name: "out".to_owned(), schema: schema() };
        Ok(LoadedPlugin::Consumer(Arc::new(Copies(plugin.description.parameters.clone(), [output]))))
    }

    fn calls(&self) -> Vec<PluginCalls> {
        let of = |plugin: &PluginInfo| PluginCalls {
            plugin: plugin.id,
            figures: CallFigures::default(),
            instances: 1,
            instances_started: 1,
            instances_discarded: 0,
            waiting: 0,
            log_lines: 1,
            log_lines_dropped: 0,
            suspended: None,
            uses: Vec::new(),
            http: PluginRequests::default(),
        };
        self.loaded.lock().iter().map(of).collect()
    }

    fn log_lines(&self) -> Vec<PluginLogLine> {
        let of = |plugin: &PluginInfo| PluginLogLine {
            at_us: 0,
            namespace: plugin.namespace.clone(),
            plugin: plugin.name.clone(),
            version: plugin.version,
            level: "info",
            line: "loaded".to_owned(),
            place: None,
        };
        self.loaded.lock().iter().map(of).collect()
    }

    fn suspensions(&self) -> Vec<(PluginId, PluginSuspension)> {
        let why = || PluginSuspension { since_us: 0, reason: "it is a test's".to_owned() };
        self.loaded.lock().iter().map(|plugin| (plugin.id, why())).collect()
    }
}

/// There are no topics to compile, and no values to cast.
#[derive(Debug)]
pub(super) struct NoTopics;

impl TopicCompiler for NoTopics {
    fn compile(&self, topic: &TopicInfo, _: &TableInfo, _: &TopicPlugins) -> Result<Arc<dyn BatchOperator>> {
        Err(Error::Unsupported(format!("topic {:?} is none of a test's", topic.name)))
    }

    fn compile_continuous(
        &self,
        info: &ContinuousInfo,
        _: &[Arc<TableInfo>],
        _: &TopicPlugins,
    ) -> Result<Arc<dyn ContinuousPlan>> {
        Err(Error::Unsupported(format!("topic {:?} is none of a test's", info.name)))
    }

    fn try_cast(&self, _: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        Err(Error::Unsupported(format!("nothing is cast to {to}")))
    }
}

/// Commits everything.
#[derive(Debug)]
struct Judges;

impl CheckbackHandler for Judges {
    fn name(&self) -> &str {
        JUDGES
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &[]
    }

    fn check(&self, half_messages: &RecordBatch) -> Result<Vec<CheckVerdict>, OperatorError> {
        Ok(vec![CheckVerdict::Commit; half_messages.num_rows()])
    }
}

#[derive(Debug)]
struct Copies(Vec<(String, DataType)>, [ConsumerOutput; 1]);

impl BatchConsumer for Copies {
    fn name(&self) -> &str {
        COPIES
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.0
    }

    fn outputs(&self) -> &[ConsumerOutput] {
        &self.1
    }

    fn consume(&self, input: &RecordBatch, _: &BatchPosition, state: KeyedState) -> Result<Consumed, OperatorError> {
        let rows = RecordBatch::try_new(schema(), input.columns().to_vec()).expect("one column of numbers");
        Ok(Consumed { outputs: vec![(0, rows)], verdict: Verdict::Done, exceptions: Vec::new(), state })
    }
}
