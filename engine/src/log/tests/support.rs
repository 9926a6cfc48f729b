//! A log with a state beside it, and what tests ask of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parking_lot::{Mutex, RwLock};

use crate::log::{CommitSink, Log, encode};
use crate::model::{
    Durability, Offset, PartitionId, PendingReceipt, ProducerStamp, Receipt, Result, TableId, TableInfo, TableOptions,
};
use crate::platform::Events;
use crate::platform::Threads;
use crate::platform::disk::{Disk, SimDisk};
use crate::platform::{Clock, EngineOptions};
use crate::state::State;
use crate::state::{Change, Record, RecordContext};
use crate::state::{RowsPart, RowsPayload, StreamStamp, Submission};

pub(super) const DIR: &str = "/store";

pub(super) fn log_file(first: u64) -> PathBuf {
    Path::new(DIR).join("log").join(format!("{first:020}.log"))
}

/// Time that moves when told.
#[derive(Debug, Default)]
pub(super) struct TestClock(pub(super) AtomicI64);

impl Clock for TestClock {
    fn wall_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.wall_us().unsigned_abs())
    }
}

#[derive(Debug)]
pub(super) struct Sink {
    pub(super) state: RwLock<State>,
    /// Records of each commit, in order.
    pub(super) commits: Mutex<Vec<Vec<(RecordContext, Record)>>>,
    pub(super) checkpoints: AtomicUsize,
    /// The state of the last checkpoint.
    pub(super) checkpoint: Mutex<State>,
}

impl CommitSink for Sink {
    fn apply_commit(&self, records: &[(RecordContext, Record)]) -> Result<()> {
        let mut state = self.state.write();
        for (context, record) in records {
            state.apply(*context, record)?;
        }
        self.commits.lock().push(records.to_vec());
        Ok(())
    }

    fn wake(&self, _records: &[(RecordContext, Record)]) {}

    fn checkpoint(&self) -> Result<()> {
        *self.checkpoint.lock() = self.state.read().clone();
        self.checkpoints.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// An open log; `start` has been called where there is a sink.
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) sink: Arc<Sink>,
    pub(super) events: Arc<Events>,
    pub(super) clock: Arc<TestClock>,
    started: bool,
}

pub(super) fn options(disk: &SimDisk, clock: &Arc<TestClock>) -> EngineOptions {
    let mut options = EngineOptions::new(DIR);
    options.disk = Arc::new(disk.clone());
    options.clock = clock.clone();
    options.seed = Some(7);
    options
}

/// Opens and starts, replaying everything.
pub(super) fn open(disk: &SimDisk) -> Result<Opened> {
    open_with(disk, State::default(), |_| {}).map(Opened::started)
}

/// Opens without starting: what is submitted waits and is taken at once by [`Opened::started`].
pub(super) fn open_with(disk: &SimDisk, state: State, set: impl FnOnce(&mut EngineOptions)) -> Result<Opened> {
    open_by(disk, state, set, Log::open)
}

/// As [`open_with`], the log by `open`.
pub(super) fn open_by(
    disk: &SimDisk,
    mut state: State,
    set: impl FnOnce(&mut EngineOptions),
    open: impl FnOnce(&EngineOptions, Arc<Events>, &mut State) -> Result<Log>,
) -> Result<Opened> {
    let clock = Arc::new(TestClock(AtomicI64::new(1_000_000)));
    let mut options = options(disk, &clock);
    set(&mut options);
    let events = Arc::new(Events::new(clock.clone()));
    let checkpoint = Mutex::new(state.clone());
    let log = open(&options, events.clone(), &mut state)?;
    let sink = Arc::new(Sink {
        state: RwLock::new(state),
        commits: Mutex::default(),
        checkpoints: AtomicUsize::new(0),
        checkpoint,
    });
    Ok(Opened { log, sink, events, clock, started: false })
}

impl Opened {
    pub(super) fn started(mut self) -> Opened {
        if !std::mem::replace(&mut self.started, true) {
            let ahead = self.sink.state.read().ahead();
            let threads = Threads::new(self.clock.clone(), self.events.clone());
            self.log.start(ahead, self.sink.clone(), &threads).expect("threads start");
        }
        self
    }

    pub(super) fn submit(&self, submission: Submission) -> Result<PendingReceipt> {
        self.log.submit(submission)
    }

    pub(super) fn do_now(&self, submission: Submission) -> Result<Receipt> {
        self.log.submit(submission)?.wait()
    }

    /// Creates a table of [`schema`] and gives its id.
    pub(super) fn create_table(&self, name: &str, partitions: u32) -> Result<TableId> {
        self.do_now(table(name, partitions)).map(|receipt| TableId(receipt.lsn.0))
    }

    /// The values of a partition, and a check that its offsets are dense from 0.
    pub(super) fn values(&self, table: TableId, partition: PartitionId) -> Result<Vec<i64>> {
        let mut values = Vec::new();
        while let Some(frame) = self.log.frame_at(table, partition, values.len() as Offset)? {
            assert_eq!(frame.base_offset, values.len() as Offset, "offsets are dense");
            let batch = frame.batch(&schema())?;
            assert_eq!(batch.num_rows() as u32, frame.rows);
            values.extend(column(batch).values().iter().copied());
        }
        let end = self.sink.state.read().partition(table, partition).map_or(0, |partition| partition.end);
        assert_eq!(end, values.len() as Offset, "the state knows as many rows as the log holds");
        Ok(values)
    }

    pub(super) fn event_kinds(&self) -> Vec<&'static str> {
        self.events.list().iter().map(|event| event.kind).collect()
    }
}

pub(super) fn column(batch: &RecordBatch) -> &Int64Array {
    batch.column(0).as_any().downcast_ref().expect("the first column is Int64")
}

pub(super) fn schema() -> SchemaRef {
    let fields = vec![Field::new("v", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    Arc::new(Schema::new(fields))
}

pub(super) fn batch(values: &[i64]) -> RecordBatch {
    let text: StringArray = values.iter().map(|v| (v % 3 != 0).then(|| format!("value {v}"))).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(values.to_vec())), Arc::new(text)];
    RecordBatch::try_new(schema(), columns).expect("columns fit the schema")
}

pub(super) fn table(name: &str, partitions: u32) -> Submission {
    let info = TableInfo {
        id: TableId(0),
        namespace: "public".to_owned(),
        name: name.to_owned(),
        schemas: vec![schema()],
        options: TableOptions { partitions, ..TableOptions::default() },
        owner: crate::model::Principal::anonymous(),
        created: crate::model::Lsn(0),
    };
    Submission::of([Change::TableCreated(info)])
}

pub(super) fn part(table: TableId, partition: PartitionId, values: &[i64], whole: bool) -> RowsPart {
    let batch = batch(values);
    let payload = match whole {
        true => RowsPayload::Encoded(encode(&batch).expect("the batch is encoded")),
        false => RowsPayload::Small(batch),
    };
    RowsPart {
        table,
        partition,
        schema_version: 1,
        rows: values.len() as u32,
        min_event_us: i64::MAX,
        max_event_us: i64::MIN,
        payload,
    }
}

pub(super) fn small(table: TableId, partition: PartitionId, values: &[i64]) -> Submission {
    Submission { rows: vec![part(table, partition, values, false)], ..Submission::default() }
}

pub(super) fn whole(table: TableId, partition: PartitionId, values: &[i64]) -> Submission {
    Submission { rows: vec![part(table, partition, values, true)], ..Submission::default() }
}

pub(super) fn stamped(mut submission: Submission, table: TableId, sequence: u64) -> Submission {
    submission.stamp = Some(StreamStamp { table, stamp: ProducerStamp { id: 42, epoch: 0, sequence } });
    submission
}

pub(super) fn lazily(mut submission: Submission) -> Submission {
    submission.durability = Durability::Os;
    submission
}

/// Bytes of a file.
pub(super) fn read(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).expect("the file is there");
    let mut bytes = vec![0; file.len().expect("its length") as usize];
    file.read_at(&mut bytes, 0).expect("its bytes");
    bytes
}

/// The same disk with one file's bytes replaced.
pub(super) fn with_bytes(disk: &SimDisk, path: &Path, bytes: &[u8]) -> SimDisk {
    let copy = disk.kill(1);
    let file = copy.open(path).expect("the file is there");
    file.truncate(0).expect("truncate");
    file.write_at(&[bytes], 0).expect("write");
    file.sync().expect("sync");
    copy
}

/// xorshift64*.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound.max(1)
    }
}
