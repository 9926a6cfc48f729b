//! A plugin host without Wasm. A module is one line of text:
//!
//! - `over COLUMN LIMIT`: a filter that keeps what is above the limit; `fail COLUMN`: one that always fails;
//!   `except COLUMN N`: one that keeps all, and fails on N; `drift COLUMN`: one that says that it follows from its
//!   arguments, and keeps all in its first call, in later ones nothing;
//! - `times COLUMN N`: a function that multiplies; `volatile COLUMN N`: one that says that it may differ;
//! - `repeat COLUMN`: a transform that gives a row with value n as often as n mod 3 says, and fails on 13;
//! - `total COLUMN`: a consumer that gives the total so far and the number of rows of each batch, and fails on 13;
//! - `checks COLUMN`: a checkback handler that looks the column up in a table that it calls `known`, for the column `n`.
//!
//! Columns are BIGINT.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use millstream_engine::{
    BatchConsumer, BatchPosition, BatchTransform, CheckVerdict, CheckbackHandler, Consumed, ConsumerOutput, Error,
    Evaluated, FailureKind, FunctionSignature, KeyedState, LoadedPlugin, OperatorError, PluginDescription, PluginHost,
    PluginInfo, PluginKind, PluginLimits, PluginSettings, PluginVersion, Result, RowMap, ScalarFunction, TableLookup,
    TableUse, Verdict, Volatility,
};

#[derive(Debug)]
pub(crate) struct TextHost;

/// What a module's line says.
#[derive(Debug, Clone, Copy)]
enum Step {
    Over(i64),
    Fail,
    Except(i64),
    Drift,
    Times(i64),
    Repeat,
    Total,
    Checks,
}

#[derive(Debug)]
struct TextPlugin {
    version: Arc<PluginVersion>,
    step: Step,
    calls: AtomicU64,
    signature: FunctionSignature,
    schema: SchemaRef,
    outputs: Vec<ConsumerOutput>,
    tables: Vec<TableUse>,
}

impl PluginHost for TextHost {
    fn inspect(&self, module: &[u8], _: &PluginLimits) -> Result<PluginDescription> {
        let TextPlugin { step, signature, outputs, tables, .. } = parse("", 0, module)?;
        Ok(PluginDescription {
            name: "text".to_owned(),
            kind: match step {
                Step::Over(_) | Step::Fail | Step::Except(_) | Step::Drift => PluginKind::Filter,
                Step::Times(_) => PluginKind::Function,
                Step::Repeat => PluginKind::Transform,
                Step::Total => PluginKind::Consumer,
                Step::Checks => PluginKind::Checkback,
            },
            contract: "text@1".to_owned(),
            parameters: signature.parameters,
            returns: signature.returns,
            volatility: signature.volatility,
            capabilities: Default::default(),
            outputs,
            tables,
            http_hosts: Vec::new(),
        })
    }

    fn inspect_with(&self, _: &str, _: &str, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.inspect(module, &settings.limits)
    }

    fn load(&self, plugin: &PluginInfo, module: &[u8], _: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        let loaded = Arc::new(parse(&plugin.name, plugin.version, module)?);
        Ok(match loaded.step {
            Step::Repeat => LoadedPlugin::Transform(loaded),
            Step::Total => LoadedPlugin::Consumer(loaded),
            Step::Checks => LoadedPlugin::Checkback(loaded),
            _ => LoadedPlugin::Function(loaded),
        })
    }
}

fn parse(name: &str, version: u32, module: &[u8]) -> Result<TextPlugin> {
    let text = String::from_utf8_lossy(module);
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| word.parse().map_err(|_| Error::InvalidInput(format!("{word:?} is no number")));
    let fields = vec![Field::new("value", DataType::Int64, true), Field::new("copy", DataType::Int64, false)];
    let schema = Arc::new(Schema::new(fields));
    let (column, step, returns) = match words.as_slice() {
        ["over", column, limit] => (*column, Step::Over(number(limit)?), DataType::Boolean),
        ["fail", column] => (*column, Step::Fail, DataType::Boolean),
        ["except", column, limit] => (*column, Step::Except(number(limit)?), DataType::Boolean),
        ["drift", column] => (*column, Step::Drift, DataType::Boolean),
        ["times" | "volatile", column, factor] => (*column, Step::Times(number(factor)?), DataType::Int64),
        ["checks", column] => (*column, Step::Checks, DataType::Null),
        ["total", column] => (*column, Step::Total, DataType::Null),
        ["repeat", column] => (*column, Step::Repeat, DataType::Struct(schema.fields().clone())),
        _ => return Err(Error::InvalidInput(format!("{text:?} is not a module"))),
    };
    let volatility =
        if matches!(words[0], "volatile" | "total" | "checks") { Volatility::Volatile } else { Volatility::Immutable };
    let signature = FunctionSignature { parameters: vec![(column.to_owned(), DataType::Int64)], returns, volatility };
    let totals = ["total", "rows"].map(|name| Field::new(name, DataType::Int64, true));
    let totals = ConsumerOutput { name: "totals".to_owned(), schema: Arc::new(Schema::new(totals.to_vec())) };
    let outputs = if matches!(step, Step::Total) { vec![totals] } else { Vec::new() };
    let one = |name: &str| Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, true)]));
    let known = TableUse { name: "known".to_owned(), key: one(column), columns: one("n") };
    let tables = if matches!(step, Step::Checks) { vec![known] } else { Vec::new() };
    let version = Arc::new(PluginVersion { name: name.to_owned(), version });
    Ok(TextPlugin { version, step, calls: AtomicU64::new(0), signature, schema, outputs, tables })
}

impl TextPlugin {
    fn fail(&self, kind: FailureKind, message: impl Into<String>) -> OperatorError {
        OperatorError { kind, message: message.into(), plugin: Some(Arc::clone(&self.version)) }
    }
}

impl ScalarFunction for TextPlugin {
    fn name(&self) -> &str {
        &self.version.name
    }

    fn signature(&self) -> &FunctionSignature {
        &self.signature
    }

    fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, OperatorError> {
        let values = arguments[0].as_primitive::<Int64Type>();
        assert_eq!(values.len(), rows, "arguments have the rows they are said to have");
        Ok(match self.step {
            Step::Over(limit) => {
                Arc::new(values.iter().map(|value| value.map(|value| value > limit)).collect::<BooleanArray>())
            }
            Step::Times(factor) => Arc::new(values.unary::<_, Int64Type>(|value| value.wrapping_mul(factor))),
            Step::Except(number) if values.iter().flatten().any(|value| value == number) => {
                return Err(self.fail(FailureKind::Data, format!("{number} is not to the guest's taste")));
            }
            Step::Except(_) => Arc::new(values.iter().map(|_| Some(true)).collect::<BooleanArray>()),
            Step::Drift => {
                let first = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
                Arc::new(values.iter().map(|_| Some(first)).collect::<BooleanArray>())
            }
            Step::Fail | Step::Repeat | Step::Total | Step::Checks => {
                return Err(self.fail(FailureKind::Trap, "the guest fails"));
            }
        })
    }
}

impl CheckbackHandler for TextPlugin {
    fn name(&self) -> &str {
        &self.version.name
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.signature.parameters
    }

    fn check(&self, half_messages: &RecordBatch) -> Result<Vec<CheckVerdict>, OperatorError> {
        Ok(vec![CheckVerdict::Unknown; half_messages.num_rows()])
    }
}

impl BatchTransform for TextPlugin {
    fn name(&self) -> &str {
        &self.version.name
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.signature.parameters
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn transform(&self, arguments: &[ArrayRef], rows: usize) -> Result<Evaluated, OperatorError> {
        let values = arguments[0].as_primitive::<Int64Type>();
        assert_eq!(values.len(), rows, "arguments have the rows they are said to have");
        if values.iter().flatten().any(|value| value == 13) {
            return Err(self.fail(FailureKind::Data, "13 is not to the guest's taste"));
        }
        let times = |value: Option<i64>| value.map_or(1, |value| value.rem_euclid(3));
        let copies: Vec<(u32, Option<i64>, i64)> =
            (0..).zip(values).flat_map(|(row, value)| (0..times(value)).map(move |copy| (row, value, copy))).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(copies.iter().map(|(_, value, _)| *value).collect::<Int64Array>()),
            Arc::new(copies.iter().map(|(_, _, copy)| Some(*copy)).collect::<Int64Array>()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).expect("columns of the schema");
        Ok(Evaluated { batch, rows: RowMap::Indices(copies.into_iter().map(|(row, ..)| row).collect()) })
    }
}

impl BatchConsumer for TextPlugin {
    fn name(&self) -> &str {
        &self.version.name
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.signature.parameters
    }

    fn outputs(&self) -> &[ConsumerOutput] {
        &self.outputs
    }

    fn consume(
        &self,
        input: &RecordBatch,
        _: &BatchPosition,
        mut state: KeyedState,
    ) -> Result<Consumed, OperatorError> {
        let values = input.column(0).as_primitive::<Int64Type>();
        if values.iter().flatten().any(|value| value == 13) {
            return Err(self.fail(FailureKind::Data, "13 is not to the guest's taste"));
        }
        let kept = state.get(b"total").expect("a short key");
        let kept = kept.map_or(0, |kept| i64::from_le_bytes(kept.as_ref().try_into().expect("8 bytes")));
        let total = kept + values.iter().flatten().sum::<i64>();
        state.put(b"total", &total.to_le_bytes()).expect("there is room");
        let numbers = [total, i64::try_from(values.len()).expect("few rows")];
        let columns: Vec<ArrayRef> =
            numbers.iter().map(|number| Arc::new(Int64Array::from(vec![*number])) as ArrayRef).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.outputs[0].schema), columns).expect("columns of the schema");
        Ok(Consumed { outputs: vec![(0, batch)], verdict: Verdict::Done, exceptions: Vec::new(), state })
    }
}
