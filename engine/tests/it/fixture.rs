//! An engine over a temporary directory, with a clock that stands still and topics of a few words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take_record_batch;
use millstream_engine::{
    Append, Assignment, AutoOffsetReset, BatchOperator, ChunkStatistics, ConsumerConfig, ContinuousInfo,
    ContinuousPlan, Delivery, Engine, EngineOptions, Error, Evaluated, FailureKind, InputColumn, ManualClock, Member,
    Offset, OnError, OperatorError, PartitionChoice, PartitionId, Principal, Result, RowMap, TableInfo, TableOptions,
    TableSpec, TopicCompiler, TopicInfo, TopicPlugins, TopicSource, TopicSpec,
};
use tempfile::TempDir;

pub(crate) const NOW_US: i64 = 1_700_000_000_000_000;
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NO_WAIT: Duration = Duration::ZERO;
/// No rows. (A bare `[]` could hold other things that compare with numbers.)
pub(crate) const NOTHING: [i64; 0] = [];
pub(crate) const MIB: usize = 1 << 20;
/// Far above what anything here takes on a machine that is busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// One open engine.
pub(crate) struct Fixture {
    pub engine: Engine,
    pub clock: Arc<ManualClock>,
    pub compiler: Arc<Words>,
    dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture::with(|_| {})
    }

    pub(crate) fn with(change: impl Fn(&mut EngineOptions)) -> Fixture {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let clock = Arc::new(ManualClock::new(NOW_US));
        let compiler = Arc::new(Words::default());
        let engine = open(&dir, &clock, &compiler, change);
        Fixture { engine, clock, compiler, dir }
    }

    /// Closes the engine and opens it again. Members must be gone.
    pub(crate) fn reopen(self) -> Fixture {
        let Fixture { engine, clock, compiler, dir } = self;
        engine.close().expect("it closes");
        drop(engine);
        let engine = open(&dir, &clock, &compiler, |_| {});
        Fixture { engine, clock, compiler, dir }
    }

    /// A table with one Int64 column `n`.
    pub(crate) fn table(&self, name: &str, partitions: u32) -> Arc<TableInfo> {
        self.table_with(name, TableOptions { partitions, ..TableOptions::default() })
    }

    pub(crate) fn table_with(&self, name: &str, options: TableOptions) -> Arc<TableInfo> {
        let spec = TableSpec { namespace: "public".to_owned(), name: name.to_owned(), schema: schema(), options };
        self.engine.create_table(&who(), spec).expect("the table is created")
    }

    /// A topic whose definition is words of [`Words`].
    pub(crate) fn topic(&self, name: &str, table: &TableInfo, words: &str, on_error: OnError) -> Arc<TopicInfo> {
        let spec = topic_spec(name, table, words, on_error);
        self.engine.create_topic(&who(), spec).expect("the topic is created")
    }

    /// Appends the numbers as one batch; gives the first offset.
    pub(crate) fn append(
        &self,
        table: &TableInfo,
        partition: PartitionId,
        numbers: impl IntoIterator<Item = i64>,
    ) -> u64 {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        let batch = RecordBatch::try_new(schema(), vec![column]).expect("a batch");
        let append = Append { table: table.id, partition: PartitionChoice::Named(partition), batch };
        let receipt = self.engine.append(&who(), append, None).expect("it is queued").wait().expect("it is durable");
        receipt.appended.first().expect("rows were appended").first_offset
    }

    pub(crate) fn join(&self, config: ConsumerConfig, topics: &[&str]) -> Member {
        self.try_join(config, topics).expect("it joins")
    }

    pub(crate) fn try_join(&self, config: ConsumerConfig, topics: &[&str]) -> Result<Member> {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        self.engine.join(&who(), config, &topics)
    }

    /// What the group has committed, by partition.
    pub(crate) fn committed(&self, group: &str) -> BTreeMap<PartitionId, Offset> {
        let offsets = self.engine.group_offsets(&who(), "public", group).expect("the group is known");
        offsets.into_iter().filter_map(|at| Some((at.partition, at.committed?))).collect()
    }

    /// Events of one kind.
    pub(crate) fn events(&self, kind: &str) -> usize {
        self.engine.events(&who()).unwrap().iter().filter(|event| event.kind == kind).count()
    }
}

fn open(dir: &TempDir, clock: &Arc<ManualClock>, compiler: &Arc<Words>, change: impl Fn(&mut EngineOptions)) -> Engine {
    let mut options = EngineOptions::new(dir.path());
    options.clock = clock.clone();
    options.segment_threads = 0;
    options.free_space_floor_bytes = 0;
    change(&mut options);
    let engine = Engine::open_with(options).expect("the engine opens");
    engine.set_topic_compiler(compiler.clone());
    engine
}

pub(crate) fn who() -> Principal {
    Principal::anonymous()
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

/// A group that starts at the beginning and commits by hand.
pub(crate) fn manual(group: &str) -> ConsumerConfig {
    ConsumerConfig {
        group_id: group.to_owned(),
        client_id: "c".to_owned(),
        auto_offset_reset: AutoOffsetReset::Earliest,
        enable_auto_commit: false,
        ..ConsumerConfig::default()
    }
}

/// As [`manual`], with automatic commit.
pub(crate) fn automatic(group: &str) -> ConsumerConfig {
    ConsumerConfig { enable_auto_commit: true, ..manual(group) }
}

pub(crate) fn numbers(delivery: &Delivery) -> Vec<i64> {
    delivery.batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

/// All numbers of a poll, in the order of delivery.
pub(crate) fn polled(member: &Member) -> Vec<i64> {
    member.poll(MIB, NO_WAIT).expect("it polls").iter().flat_map(numbers).collect()
}

pub(crate) fn at(topic: &TopicInfo, partition: PartitionId) -> Assignment {
    Assignment { topic: topic.id, partition }
}

/// Compiles definitions of a few words: `even` keeps even numbers, `twice` gives each two times, `fail N` fails on N, `trap` fails on every negative
/// number as a guest's trap, `greedy` as one that wants too much memory, `panic N` panics on N, `host N` fails as the machinery does,
/// `tag N` gives ten times each number and the version of the plugin that the topic calls, and fails on N from version 2 on.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Topics compiled.
    pub compiled: AtomicUsize,
    /// Rows evaluated, by all operators.
    pub rows: Arc<AtomicUsize>,
    /// Calls of evaluate.
    pub calls: Arc<AtomicUsize>,
    /// Columns cast.
    pub casts: AtomicUsize,
}

impl Words {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl TopicCompiler for Words {
    fn compile(&self, topic: &TopicInfo, _table: &TableInfo, plugins: &TopicPlugins) -> Result<Arc<dyn BatchOperator>> {
        self.compiled.fetch_add(1, Ordering::SeqCst);
        let TopicSource::Select { definition, .. } = &topic.source else {
            unreachable!("identity topics need no compiler")
        };
        let mut words = definition.split(' ');
        let word = words.next().unwrap_or_default().to_owned();
        let number = words.next().map(|number| number.parse().expect("a number")).unwrap_or_default();
        Ok(Arc::new(Word {
            word,
            number,
            version: plugins.plugins.first().map_or(0, |(plugin, _)| plugin.version),
            schema: topic.output_schema.clone(),
            rows: self.rows.clone(),
            calls: self.calls.clone(),
        }))
    }

    fn compile_continuous(
        &self,
        info: &ContinuousInfo,
        _: &[Arc<TableInfo>],
        _: &TopicPlugins,
    ) -> Result<Arc<dyn ContinuousPlan>> {
        Err(Error::Unsupported(format!("topic {:?} has windows, and words know of none", info.name)))
    }

    fn try_cast(&self, values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        self.casts.fetch_add(1, Ordering::SeqCst);
        arrow_cast::cast(values, to).map_err(|error| Error::InvalidInput(error.to_string()))
    }
}

#[derive(Debug)]
struct Word {
    word: String,
    number: i64,
    /// Of the plugin that is called.
    version: u32,
    schema: SchemaRef,
    rows: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl BatchOperator for Word {
    fn inputs(&self) -> &[InputColumn] {
        &[InputColumn::Field(0)]
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        vec![false; chunks.len()]
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.rows.fetch_add(input.num_rows(), Ordering::SeqCst);
        let values = input.column(0).as_primitive::<Int64Type>().values();
        let fail = |kind| Err(OperatorError::new(kind, format!("no {}", self.number)));
        match self.word.as_str() {
            "fail" if values.contains(&self.number) => return fail(FailureKind::Data),
            "tag" if self.version > 1 && values.contains(&self.number) => return fail(FailureKind::Data),
            "host" if values.contains(&self.number) => return fail(FailureKind::Host),
            "panic" if values.contains(&self.number) => panic!("no {}", self.number),
            "trap" if values.iter().any(|value| *value < 0) => return fail(FailureKind::Trap),
            "greedy" if values.iter().any(|value| *value < 0) => return fail(FailureKind::Memory),
            _ => {}
        }
        let keep = |value: &i64| self.word != "even" || value % 2 == 0;
        let copies = if self.word == "twice" { 2 } else { 1 };
        let kept = (0..).zip(values).filter(|(_, value)| keep(value)).map(|(row, _)| row);
        let kept = kept.flat_map(|row| std::iter::repeat_n(row, copies));
        let rows = UInt32Array::from_iter_values(kept);
        let batch = take_record_batch(input, &rows).expect("rows can be taken");
        if self.word == "tag" {
            let tagged: ArrayRef =
                Arc::new(values.iter().map(|n| n * 10 + i64::from(self.version)).collect::<Int64Array>());
            let batch = RecordBatch::try_new(self.schema.clone(), vec![tagged]).expect("a batch");
            return Ok(Evaluated { batch, rows: RowMap::Every });
        }
        Ok(Evaluated { batch, rows: RowMap::Indices(rows.values().to_vec()) })
    }
}

/// Waits until it finds something.
pub(crate) fn wait<T>(mut look: impl FnMut() -> Option<T>, what: &str) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until something is so.
pub(crate) fn until(condition: impl Fn() -> bool) {
    wait(|| condition().then_some(()), "what does not come");
}

/// A topic of [`schema`] in the public namespace.
pub(crate) fn topic_spec(name: &str, table: &TableInfo, words: &str, on_error: OnError) -> TopicSpec {
    TopicSpec {
        namespace: "public".to_owned(),
        name: name.to_owned(),
        table: table.id,
        table_schema_version: table.schema_version(),
        definition: words.to_owned(),
        output_schema: schema(),
        plugins: Vec::new(),
        functions: Vec::new(),
        on_error,
    }
}
