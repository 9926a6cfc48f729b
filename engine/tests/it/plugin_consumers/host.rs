//! A plugin host whose modules are words: each is a consumer that keeps sums by key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use millstream_engine::{
    BatchConsumer, BatchPosition, Capability, Consumed, ConsumerOutput, FailureKind, KeyedState, LoadedPlugin,
    OperatorError, PluginDescription, PluginHost, PluginInfo, PluginKind, PluginLimits, PluginSettings, Result,
    TableLookup, Verdict, Volatility,
};
use parking_lot::{Condvar, Mutex};

/// Keys of the sums.
pub(crate) const KEYS: i64 = 5;

/// What `sums` holds: the newest row of (partition, key) has the sum and number of all rows of that key.
pub(crate) fn sums_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("partition", DataType::Int32, true),
        Field::new("key", DataType::Int64, true),
        Field::new("sum", DataType::Int64, true),
        Field::new("rows", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
    ]))
}

/// Modules: `sums`, and with a second word what it does at the number that follows: `fail`, `trap`, `host`, `panic`,
/// `retry` (for ever), `later` (retries twice, then takes it), `give_up`, `null_key` (a row that its table refuses), `wide`
/// (that many bytes of text for each row), `flood` (keys without end). `poison` gives up multiples of its number, and fails
/// at the numbers that follow those. `gate` waits in every call until the gate is open.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) calls: Arc<AtomicUsize>,
    /// The most rows of one call.
    pub(crate) widest: Arc<AtomicUsize>,
    /// Plugins are over their share.
    pub(crate) held: Arc<AtomicBool>,
    /// Times that plugins were asked whether they are.
    pub(crate) asked: Arc<AtomicUsize>,
    pub(crate) gate: Arc<Gate>,
}

/// What `gate` waits for in every call.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Whether a call waits, and whether none has to.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }

    pub(crate) fn wait_until_taken(&self) {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |(taken, _)| !*taken, Duration::from_secs(30));
        assert!(state.0, "no call has come to the gate");
    }

    fn pass(&self) {
        let mut state = self.state.lock();
        state.0 = true;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |(_, open)| !*open);
    }
}

impl PluginHost for Words {
    fn inspect(&self, module: &[u8], _limits: &PluginLimits) -> Result<PluginDescription> {
        let consumer = !module.starts_with(b"filter");
        Ok(PluginDescription {
            name: "sums".to_owned(),
            kind: if consumer { PluginKind::Consumer } else { PluginKind::Filter },
            contract: "words".to_owned(),
            parameters: parameters(),
            returns: if consumer { DataType::Null } else { DataType::Boolean },
            volatility: Volatility::Volatile,
            capabilities: BTreeSet::from([Capability::State]),
            outputs: if consumer { outputs() } else { Vec::new() },
            tables: Vec::new(),
            http_hosts: Vec::new(),
        })
    }

    fn inspect_with(&self, _: &str, _: &str, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.inspect(module, &settings.limits)
    }

    fn load(&self, _plugin: &PluginInfo, module: &[u8], _tables: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        let text = String::from_utf8_lossy(module).into_owned();
        let mut words = text.split(' ').skip(1);
        Ok(LoadedPlugin::Consumer(Arc::new(Sums {
            deed: words.next().unwrap_or_default().to_owned(),
            at: words.next().map(|number| number.parse().expect("a number")).unwrap_or(i64::MIN),
            parameters: parameters(),
            outputs: outputs(),
            tries: AtomicUsize::new(0),
            calls: self.calls.clone(),
            widest: self.widest.clone(),
            held: self.held.clone(),
            asked: self.asked.clone(),
            gate: self.gate.clone(),
        })))
    }
}

fn parameters() -> Vec<(String, DataType)> {
    vec![("n".to_owned(), DataType::Int64), ("_partition".to_owned(), DataType::Int32)]
}

fn outputs() -> Vec<ConsumerOutput> {
    vec![ConsumerOutput { name: "sums".to_owned(), schema: sums_schema() }]
}

#[derive(Debug)]
struct Sums {
    deed: String,
    at: i64,
    parameters: Vec<(String, DataType)>,
    outputs: Vec<ConsumerOutput>,
    tries: AtomicUsize,
    calls: Arc<AtomicUsize>,
    widest: Arc<AtomicUsize>,
    held: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    gate: Arc<Gate>,
}

impl BatchConsumer for Sums {
    fn throttled(&self) -> Option<Duration> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.held.load(Ordering::SeqCst).then_some(Duration::from_millis(20))
    }

    fn name(&self) -> &str {
        "sums"
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.parameters
    }

    fn outputs(&self) -> &[ConsumerOutput] {
        &self.outputs
    }

    fn consume(
        &self,
        input: &RecordBatch,
        position: &BatchPosition,
        mut state: KeyedState,
    ) -> Result<Consumed, OperatorError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.widest.fetch_max(input.num_rows(), Ordering::SeqCst);
        let numbers = input.column(0).as_primitive::<Int64Type>().values();
        let partitions = input.column(1).as_primitive::<Int32Type>().values();
        assert!(partitions.iter().all(|partition| *partition as u32 == position.partition));
        assert!(position.next_offset - position.first_offset >= input.num_rows() as u64);
        let (mut verdict, mut exceptions) = (Verdict::Done, Vec::new());
        let named = numbers.iter().position(|number| *number == self.at);
        let error = |kind| Err(OperatorError::new(kind, format!("no {}", self.at)));
        match (self.deed.as_str(), named) {
            ("fail", Some(_)) => return error(FailureKind::Data),
            ("trap", Some(_)) => return error(FailureKind::Trap),
            ("host", Some(_)) => return error(FailureKind::Host),
            ("panic", Some(_)) => panic!("no {}", self.at),
            ("retry", Some(row)) => exceptions.push((row as u32, Verdict::Retry("not now".to_owned()))),
            ("later", Some(_)) if self.tries.fetch_add(1, Ordering::SeqCst) < 2 => {
                verdict = Verdict::Retry("not yet".to_owned());
            }
            ("give_up", Some(row)) => exceptions.push((row as u32, Verdict::DeadLetter("poison".to_owned()))),
            ("poison", _) if numbers.iter().any(|number| number.rem_euclid(self.at) == 1) => {
                return error(FailureKind::Trap);
            }
            ("poison", _) => {
                let poison = (0..).zip(numbers).filter(|(_, number)| number.rem_euclid(self.at) == 0);
                exceptions.extend(poison.map(|(row, _)| (row, Verdict::DeadLetter("poison".to_owned()))));
            }
            ("beyond", Some(_)) => exceptions.push((u32::MAX, Verdict::Done)),
            ("gate", _) => self.gate.pass(),
            ("flood", _) => {
                for number in 0_u64.. {
                    let put = state.put(&number.to_le_bytes(), &[0; 100]);
                    put.map_err(|limit| OperatorError::new(FailureKind::Data, limit.to_string()))?;
                }
            }
            _ => {}
        }
        let mut touched = BTreeSet::new();
        for (row, number) in numbers.iter().enumerate() {
            if exceptions.iter().any(|(exception, _)| *exception as usize == row) {
                continue;
            }
            let key = number.rem_euclid(KEYS);
            let (sum, rows) = kept(&state, key);
            let value = [(sum + number).to_le_bytes(), (rows + 1).to_le_bytes()].concat();
            state.put(&key.to_le_bytes(), &value).expect("there is room");
            touched.insert(key);
        }
        let partition: ArrayRef = Arc::new(Int32Array::from_value(position.partition as i32, touched.len()));
        let (sums, rows): (Vec<i64>, Vec<i64>) = touched.iter().map(|key| kept(&state, *key)).unzip();
        let null_key = self.deed == "null_key" && named.is_some();
        let keys: Int64Array = touched.iter().map(|key| (!null_key).then_some(*key)).collect();
        let wide = if self.deed == "wide" { self.at as usize * input.num_rows() } else { 0 };
        let text = StringArray::from_iter_values(touched.iter().map(|_| "x".repeat(wide / touched.len())));
        let columns: Vec<ArrayRef> = vec![
            partition,
            Arc::new(keys),
            Arc::new(Int64Array::from(sums)),
            Arc::new(Int64Array::from(rows)),
            Arc::new(text),
        ];
        let batch = RecordBatch::try_new(sums_schema(), columns).expect("a batch");
        Ok(Consumed { outputs: vec![(0, batch)], verdict, exceptions, state })
    }
}

/// Sum and rows of a key.
fn kept(state: &KeyedState, key: i64) -> (i64, i64) {
    let value = state.get(&key.to_le_bytes()).expect("the key is short");
    let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().expect("8 bytes"));
    value.map_or((0, 0), |value| (number(&value[..8]), number(&value[8..])))
}
