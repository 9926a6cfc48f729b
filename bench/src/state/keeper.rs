//! A consumer that keeps a key for each row, without a guest: what is measured is the engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::DataType;
use millstream_engine::{
    BatchConsumer, BatchPosition, Capability, Consumed, ConsumerOutput, FailureKind, KeyedState, LoadedPlugin,
    OperatorError, PluginDescription, PluginHost, PluginInfo, PluginKind, PluginLimits, PluginSettings, Result,
    TableLookup, Verdict, Volatility,
};

#[derive(Debug)]
pub(super) struct Keepers;

#[derive(Debug)]
struct Keeper(Vec<(String, DataType)>);

impl PluginHost for Keepers {
    fn inspect(&self, _module: &[u8], _limits: &PluginLimits) -> Result<PluginDescription> {
        Ok(PluginDescription {
            name: "keeper".to_owned(),
            kind: PluginKind::Consumer,
            contract: "bench".to_owned(),
            parameters: parameters(),
            returns: DataType::Null,
            volatility: Volatility::Volatile,
            capabilities: BTreeSet::from([Capability::State]),
            outputs: Vec::new(),
            tables: Vec::new(),
            http_hosts: Vec::new(),
        })
    }

    fn inspect_with(
        &self,
        _namespace: &str,
        _name: &str,
        module: &[u8],
        settings: &PluginSettings,
    ) -> Result<PluginDescription> {
        self.inspect(module, &settings.limits)
    }

    fn load(&self, _plugin: &PluginInfo, _module: &[u8], _tables: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        Ok(LoadedPlugin::Consumer(Arc::new(Keeper(parameters()))))
    }
}

fn parameters() -> Vec<(String, DataType)> {
    vec![("n".to_owned(), DataType::Int64)]
}

impl BatchConsumer for Keeper {
    fn name(&self) -> &str {
        "keeper"
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.0
    }

    fn outputs(&self) -> &[ConsumerOutput] {
        &[]
    }

    fn consume(
        &self,
        input: &RecordBatch,
        _position: &BatchPosition,
        mut state: KeyedState,
    ) -> Result<Consumed, OperatorError> {
        for number in input.column(0).as_primitive::<Int64Type>().values() {
            // Not in the order of the rows, as keys of rows are not.
            let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()).to_be_bytes();
            let put = state.put(&key, &number.to_be_bytes());
            put.map_err(|limit| OperatorError::new(FailureKind::Data, limit.to_string()))?;
        }
        Ok(Consumed { outputs: Vec::new(), verdict: Verdict::Done, exceptions: Vec::new(), state })
    }
}
