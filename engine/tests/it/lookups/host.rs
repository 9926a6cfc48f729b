//! A plugin host whose modules are words: consumers that do nothing but declare tables, and checkback handlers.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use millstream_engine::{
    BatchConsumer, BatchPosition, Capability, CheckVerdict, CheckbackHandler, Consumed, ConsumerOutput, FailureKind,
    KeyedState, LoadedPlugin, OperatorError, PluginDescription, PluginHost, PluginInfo, PluginKind, PluginLimits,
    PluginSettings, Result, TableLookup, TableUse, Volatility,
};
use parking_lot::Mutex;

/// Gives away the tables of the plugin that was loaded last.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) tables: Mutex<Option<Arc<dyn TableLookup>>>,
}

/// A table `prices` with the key (`item`, `size`) and `columns`.
pub(super) fn prices(columns: &[(&str, DataType)]) -> TableUse {
    let key = [("item", DataType::Utf8), ("size", DataType::Int64)];
    TableUse { name: "prices".to_owned(), key: schema(&key), columns: schema(columns) }
}

pub(super) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl PluginHost for Words {
    /// `check WORD` is a handler; other words are the columns of `prices` that a consumer reads: `price`, `note`.
    fn inspect(&self, module: &[u8], _limits: &PluginLimits) -> Result<PluginDescription> {
        let text = String::from_utf8_lossy(module);
        let checks = text.starts_with("check");
        let column = |name: &str| (name.to_owned(), if name == "price" { DataType::Int64 } else { DataType::Utf8 });
        let columns: Vec<(String, DataType)> = text.split(' ').map(column).collect();
        let columns: Vec<(&str, DataType)> = columns.iter().map(|(name, of)| (name.as_str(), of.clone())).collect();
        Ok(PluginDescription {
            name: "words".to_owned(),
            kind: if checks { PluginKind::Checkback } else { PluginKind::Consumer },
            contract: "words".to_owned(),
            parameters: vec![("n".to_owned(), DataType::Int32)],
            returns: DataType::Null,
            volatility: Volatility::Volatile,
            capabilities: BTreeSet::from([Capability::Table]),
            outputs: Vec::new(),
            tables: if checks { Vec::new() } else { vec![prices(&columns)] },
            http_hosts: Vec::new(),
        })
    }

    fn inspect_with(&self, _: &str, _: &str, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.inspect(module, &settings.limits)
    }

    fn load(&self, _plugin: &PluginInfo, module: &[u8], tables: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        *self.tables.lock() = Some(tables);
        let text = String::from_utf8_lossy(module);
        let loaded = Arc::new(Word {
            parameters: vec![("n".to_owned(), DataType::Int32)],
            deed: text.split(' ').nth(1).unwrap_or_default().to_owned(),
        });
        let checks = text.starts_with("check");
        Ok(if checks { LoadedPlugin::Checkback(loaded) } else { LoadedPlugin::Consumer(loaded) })
    }
}

/// Commits even numbers and rolls odd ones back; 13 is its undoing.
#[derive(Debug)]
struct Word {
    parameters: Vec<(String, DataType)>,
    deed: String,
}

impl CheckbackHandler for Word {
    fn name(&self) -> &str {
        "words"
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.parameters
    }

    fn check(&self, half_messages: &RecordBatch) -> Result<Vec<CheckVerdict>, OperatorError> {
        let numbers = half_messages.column(0).as_primitive::<Int32Type>().values();
        let fail = |kind| Err(OperatorError::new(kind, "13 is no number"));
        if numbers.contains(&13) {
            match self.deed.as_str() {
                "error" => return fail(FailureKind::Data),
                "trap" => return fail(FailureKind::Trap),
                "spin" => return fail(FailureKind::Timeout),
                "host" => return fail(FailureKind::Host),
                "panic" => panic!("13"),
                "few" => return Ok(Vec::new()),
                _ => {}
            }
        }
        let verdict = |n: &i32| if n % 2 == 0 { CheckVerdict::Commit } else { CheckVerdict::Rollback };
        Ok(numbers.iter().map(verdict).collect())
    }
}

impl BatchConsumer for Word {
    fn name(&self) -> &str {
        "words"
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.parameters
    }

    fn outputs(&self) -> &[ConsumerOutput] {
        &[]
    }

    fn consume(&self, _: &RecordBatch, _: &BatchPosition, _: KeyedState) -> Result<Consumed, OperatorError> {
        Err(OperatorError::new(FailureKind::Data, "it consumes nothing"))
    }
}
