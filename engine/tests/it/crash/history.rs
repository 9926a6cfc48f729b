//! Random histories: what a client does, and what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use millstream_engine::disk::SimDisk;
use millstream_engine::{
    Append, AutoOffsetReset, ColumnSpec, ConsumerConfig, Durability, Engine, EngineOptions, ManualClock, Offset,
    PartitionChoice, PartitionId, Principal, ProducerStamp, Result, TableOptions, TableSpec,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::check::{Found, reopen};
use super::state;

/// What a client does next.
#[derive(Debug, Clone)]
enum Step {
    CreateTable {
        partitions: u32,
        durability: Durability,
        retention_ms: Option<u64>,
    },
    /// One submission over the tables and partitions named: seen whole or not at all.
    Append {
        parts: Vec<(usize, PartitionId, usize)>,
        stamped: bool,
    },
    AddColumn {
        table: usize,
    },
    /// Reads what there is of a table as a group and commits it.
    Commit {
        table: usize,
    },
    CutSegments {
        table: usize,
    },
    /// Time passes, and what is due is done: retention, segments cut and merged, the log trimmed, files deleted.
    Maintain {
        minutes: u64,
    },
    Reopen,
}

/// How long tables keep rows that do not keep them for ever, and what makes all rows older.
const RETENTION_MINUTES: u64 = 60;
const LONG_MINUTES: u64 = 180;

/// A sequence of steps, made from a seed.
#[derive(Debug, Clone)]
pub(super) struct History {
    steps: Vec<Step>,
}

/// One submission: where each row was sent to. Rows are known by their ids.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// (table name, partition, ids).
    pub(super) parts: Vec<(String, PartitionId, Vec<i64>)>,
    pub(super) stamp: Option<ProducerStamp>,
    /// First offsets, if it was acknowledged.
    pub(super) acknowledged: Option<Vec<Offset>>,
    pub(super) durable: bool,
    /// Since it was sent.
    minutes: u64,
    /// Retention may have deleted it, where its table has one.
    pub(super) expired: bool,
}

/// What the client knows when the disk fails or the history ends.
pub(super) struct Outcome {
    pub(super) disk: SimDisk,
    pub(super) dir: Arc<tempfile::TempDir>,
    pub(super) engine: Option<Engine>,
    /// (name, partitions, durability, columns added that were acknowledged).
    pub(super) tables: Vec<(String, u32, Durability, usize)>,
    pub(super) sent: Vec<Sent>,
    /// Per table: the committed offset that was acknowledged last, and those that were asked for since.
    pub(super) committed: BTreeMap<String, (Option<Offset>, Vec<Offset>)>,
    /// Tables with a retention.
    pub(super) retained: BTreeSet<String>,
    pub(super) clock: Arc<ManualClock>,
    /// Of the state store, after each step.
    marks: Vec<state::Mark>,
    next_id: i64,
}

pub(super) const GROUP: &str = "crash";
pub(super) const PRODUCER: u128 = 7;

pub(super) fn options(dir: &Path, disk: &SimDisk, clock: &Arc<ManualClock>) -> EngineOptions {
    let mut options = EngineOptions::new(dir);
    options.disk = Arc::new(disk.clone());
    options.seed = Some(1);
    options.log_file_bytes = 8 << 10;
    options.clock = clock.clone();
    // Nothing is handed to this thread: maintenance is a step.
    options.segment_threads = 1;
    options.maintenance_interval_ms = 3_600_000;
    options
}

impl History {
    pub(super) fn random(seed: u64) -> History {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut steps = Vec::new();
        let mut partitions: Vec<u32> = Vec::new();
        for _ in 0..chance.random_range(4..9) {
            let step = match chance.random_range(0..20) {
                _ if partitions.is_empty() => create(&mut chance, &mut partitions),
                0 => create(&mut chance, &mut partitions),
                1 => Step::AddColumn { table: chance.random_range(0..partitions.len()) },
                2 | 3 => Step::Commit { table: chance.random_range(0..partitions.len()) },
                4 => Step::CutSegments { table: chance.random_range(0..partitions.len()) },
                5 => Step::Reopen,
                _ => append(&mut chance, &partitions),
            };
            steps.push(step);
        }
        History { steps }
    }

    /// Rows that go through everything that happens to rows with time: cut, merged, trimmed from the log, deleted.
    pub(super) fn of_maintenance(seed: u64) -> History {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut partitions = Vec::new();
        let mut steps = vec![create(&mut chance, &mut partitions)];
        if let Some(Step::CreateTable { retention_ms, .. }) = steps.first_mut() {
            *retention_ms = (!seed.is_multiple_of(3)).then_some(RETENTION_MINUTES * 60_000);
        }
        for _ in 0..chance.random_range(4..7) {
            steps.push(append(&mut chance, &partitions));
            steps.push(Step::Maintain { minutes: chance.random_range(11..20) });
        }
        if chance.random_range(0..2) == 0 {
            steps.push(Step::Reopen);
        }
        steps.push(Step::Maintain { minutes: LONG_MINUTES });
        steps.push(append(&mut chance, &partitions));
        History { steps }
    }

    /// Plays the history until it ends or the disk fails.
    pub(super) fn run(&self, disk: &SimDisk) -> Outcome {
        let base = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let dir = Arc::new(tempfile::tempdir_in(base).expect("temporary directory"));
        let clock = Arc::new(ManualClock::new(1_800_000_000_000_000));
        let mut outcome = Outcome {
            disk: disk.clone(),
            engine: Engine::open_with(options(dir.path(), disk, &clock)).ok(),
            dir,
            retained: BTreeSet::new(),
            clock,
            marks: Vec::new(),
            tables: Vec::new(),
            sent: Vec::new(),
            committed: BTreeMap::new(),
            next_id: 0,
        };
        assert!(outcome.engine.is_some() || disk.faulted(), "a store does not open on a disk without faults");
        for step in &self.steps {
            outcome.marks.push(state::Mark::of(outcome.dir.path(), disk));
            if outcome.engine.is_none() || outcome.play(step).is_err() {
                break;
            }
        }
        outcome
    }
}

fn create(chance: &mut StdRng, partitions: &mut Vec<u32>) -> Step {
    partitions.push(chance.random_range(1..4));
    let durability = if chance.random_range(0..4) == 0 { Durability::Os } else { Durability::Sync };
    Step::CreateTable { partitions: partitions[partitions.len() - 1], durability, retention_ms: None }
}

fn append(chance: &mut StdRng, partitions: &[u32]) -> Step {
    let parts = (0..chance.random_range(1..3))
        .map(|_| {
            let table = chance.random_range(0..partitions.len());
            let rows =
                if chance.random_range(0..5) == 0 { chance.random_range(200..400) } else { chance.random_range(1..6) };
            (table, chance.random_range(0..partitions[table]), rows)
        })
        .collect();
    Step::Append { parts, stamped: chance.random_range(0..3) == 0 }
}

pub(super) fn batch(ids: &[i64]) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("text", DataType::Utf8, true)]);
    let text: StringArray = ids.iter().map(|id| (id % 5 != 0).then(|| format!("row {id}"))).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(text)];
    RecordBatch::try_new(Arc::new(schema), columns).expect("batch")
}

impl Outcome {
    fn play(&mut self, step: &Step) -> Result<()> {
        let who = Principal::anonymous();
        let engine = self.engine.clone().expect("open");
        match step {
            Step::CreateTable { partitions, durability, retention_ms } => {
                let name = format!("t{}", self.tables.len());
                let options = TableOptions {
                    partitions: *partitions,
                    durability: *durability,
                    retention_ms: *retention_ms,
                    ..TableOptions::default()
                };
                self.retained.extend(retention_ms.map(|_| name.clone()));
                let schema = batch(&[]).schema();
                engine.create_table(
                    &who,
                    TableSpec { namespace: "public".into(), name: name.clone(), schema, options },
                )?;
                self.tables.push((name, *partitions, *durability, 0));
            }
            Step::Append { parts, stamped } => self.append(&engine, parts, *stamped)?,
            Step::AddColumn { table } => {
                let (name, _, _, added) = &mut self.tables[*table];
                let column = ColumnSpec { name: format!("added_{added}"), data_type: DataType::Int32 };
                engine.add_columns(&who, "public", name, vec![column])?;
                *added += 1;
            }
            Step::Commit { table } => self.commit(&engine, *table)?,
            Step::CutSegments { table } => {
                let id = engine.table(&who, "public", &self.tables[*table].0)?.id;
                engine.cut_segments(&who, id)?;
            }
            Step::Maintain { minutes } => {
                self.clock.advance(Duration::from_secs(minutes * 60));
                for sent in &mut self.sent {
                    sent.minutes += minutes;
                    sent.expired = sent.minutes > RETENTION_MINUTES;
                }
                engine.maintain(&who)?;
            }
            Step::Reopen => {
                self.engine = None;
                let closed = engine.close();
                drop(engine);
                closed?;
                self.engine = Some(Engine::open_with(options(self.dir.path(), &self.disk, &self.clock))?);
            }
        }
        Ok(())
    }

    fn append(&mut self, engine: &Engine, parts: &[(usize, PartitionId, usize)], stamped: bool) -> Result<()> {
        let who = Principal::anonymous();
        let parts = if stamped { &parts[..1] } else { parts };
        let (mut appends, mut described, mut durable) = (Vec::new(), Vec::new(), true);
        for (table, partition, rows) in parts {
            let (name, _, durability, _) = &self.tables[*table];
            let ids: Vec<i64> = (self.next_id..).take(*rows).collect();
            self.next_id += *rows as i64;
            durable &= *durability == Durability::Sync;
            let table = engine.table(&who, "public", name)?.id;
            appends.push(Append { table, partition: PartitionChoice::Named(*partition), batch: batch(&ids) });
            described.push((name.clone(), *partition, ids));
        }
        let stamp = stamped.then(|| {
            let table = &described[0].0;
            let sequence = self.sent.iter().filter(|s| s.stamp.is_some() && s.parts[0].0 == *table).count() as u64;
            ProducerStamp { id: PRODUCER, epoch: 0, sequence }
        });
        self.sent.push(Sent { parts: described, stamp, acknowledged: None, durable, minutes: 0, expired: false });
        let receipt = engine.append_all(&who, appends, stamp)?.wait()?;
        let offsets = first_offsets(&receipt.appended, parts.len());
        self.sent.last_mut().expect("sent").acknowledged = Some(offsets);
        Ok(())
    }

    fn commit(&mut self, engine: &Engine, table: usize) -> Result<()> {
        let name = self.tables[table].0.clone();
        let config = ConsumerConfig {
            group_id: GROUP.into(),
            auto_offset_reset: AutoOffsetReset::Earliest,
            enable_auto_commit: false,
            ..ConsumerConfig::default()
        };
        let entry = self.committed.entry(name.clone()).or_default();
        entry.1.push(0); // a new group's start is committed at once
        let member = engine.join(&Principal::anonymous(), config, &[name])?;
        let first = member.assignment().into_iter().find(|assignment| assignment.partition == 0).expect("partition 0");
        let end = member.offsets()?.iter().find(|offsets| offsets.partition == 0).expect("partition 0").end;
        entry.1.push(end);
        member.commit(&[(first, end)])?.wait()?;
        *entry = (Some(end), Vec::new());
        member.leave()
    }

    /// The disk after power loss, opened again, with the state store as it may be found beside it.
    pub(super) fn after_crash(mut self, seed: u64) -> Found {
        let found = self.disk.crash(seed);
        self.abandon(found);
        state::roll_back(self.dir.path(), &self.disk, &self.marks, seed);
        reopen(&self)
    }

    /// Another process on the same machine, which acknowledges a row more. The store must open.
    pub(super) fn restarted(mut self, seed: u64) -> Outcome {
        let found = self.disk.kill(seed);
        self.abandon(found);
        self.marks.clear();
        let options = options(self.dir.path(), &self.disk, &self.clock);
        self.engine = Some(Engine::open_with(options).unwrap_or_else(|error| panic!("it does not open: {error}")));
        if !self.tables.is_empty() {
            let append = Step::Append { parts: vec![(0, 0, 1)], stamped: false };
            self.play(&append).unwrap_or_else(|error| panic!("it takes no rows: {error}"));
        }
        self
    }

    /// The disk after the process alone died, opened again.
    pub(super) fn after_kill(mut self, seed: u64) -> Found {
        let found = self.disk.kill(seed);
        self.abandon(found);
        reopen(&self)
    }

    /// Closed in order.
    pub(super) fn closed(mut self) -> Outcome {
        let engine = self.engine.take().expect("open");
        engine.close().expect("close");
        self
    }

    pub(super) fn reopen(&self) -> Found {
        reopen(self)
    }

    /// True while no log file was trimmed.
    pub(super) fn log_is_whole(&self) -> bool {
        state::oldest_log(&self.disk).is_some_and(|lsn| lsn <= 1)
    }

    /// Whether segments that were written are not there any more.
    pub(super) fn segments_went(&self) -> bool {
        let stats = self.engine.as_ref().expect("open").stats(&Principal::anonymous()).expect("figures");
        stats.segment_bytes_written > stats.segment_bytes
    }

    pub(super) fn forget_checkpoints(&self) {
        std::fs::remove_dir_all(self.dir.path().join("state")).expect("remove the state store");
    }

    /// The old engine can do no more harm, and gives its state store free, before the disk is taken for the one found.
    fn abandon(&mut self, found: SimDisk) {
        self.disk.power_off();
        if let Some(engine) = self.engine.take() {
            let _refused = engine.close();
        }
        self.disk = found;
    }
}

/// The first offset of each part, from runs in the parts' order.
fn first_offsets(appended: &[millstream_engine::Appended], parts: usize) -> Vec<Offset> {
    assert!(appended.len() >= parts, "an answer for each part");
    appended.iter().map(|run| run.first_offset).collect()
}
