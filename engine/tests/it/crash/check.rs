//! What is found after a crash, held against what the client knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::SchemaRef;
use millstream_engine::{
    Append, BatchOperator, ChunkStatistics, Durability, Engine, Error, ErrorKind, Evaluated, InputColumn, Offset,
    OperatorError, PartitionChoice, PartitionId, Principal, Result, RowMap, ScanRequest, TopicId,
};

use super::history::{GROUP, Outcome, Sent, batch, options};

/// The store after the crash.
pub(super) enum Found {
    Open(Box<Opened>),
    Refused(Error),
}

/// An open store and what the client knew.
pub(super) struct Opened {
    engine: Engine,
    sent: Vec<Sent>,
    tables: Vec<(String, u32, Durability, usize)>,
    committed: BTreeMap<String, (Option<Offset>, Vec<Offset>)>,
    retained: BTreeSet<String>,
    _dir: Arc<tempfile::TempDir>,
}

/// A partition's start, and its ids in offset order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rows {
    start: Offset,
    ids: Vec<i64>,
}

/// By table and partition.
pub(super) type Contents = BTreeMap<(String, PartitionId), Rows>;

pub(super) fn reopen(outcome: &Outcome) -> Found {
    match Engine::open_with(options(outcome.dir.path(), &outcome.disk, &outcome.clock)) {
        Ok(engine) => Found::Open(Box::new(Opened {
            engine,
            sent: outcome.sent.clone(),
            tables: outcome.tables.clone(),
            committed: outcome.committed.clone(),
            retained: outcome.retained.clone(),
            _dir: outcome.dir.clone(),
        })),
        Err(error) => Found::Refused(error),
    }
}

impl Found {
    pub(super) fn opened(self, what: &str) -> Opened {
        match self {
            Found::Open(found) => *found,
            Found::Refused(error) => panic!("{what}: does not open: {error}"),
        }
    }

    pub(super) fn expect_all_kept(self, what: &str) {
        let found = self.opened(what);
        let contents = found.contents();
        found.check_catalog(what);
        found.check_rows(&contents, |sent| sent.durable, what);
        found.check_committed(what);
        found.check_repeats(what);
        found.check_goes_on(what);
    }

    pub(super) fn expect_everything_written(self, what: &str) {
        let found = self.opened(what);
        found.check_rows(&found.contents(), |_| true, what);
    }
}

impl Opened {
    /// Every row of every table that is there; fails if offsets are not dense.
    pub(super) fn contents(&self) -> Contents {
        self.read().unwrap_or_else(|error| panic!("reading failed: {error}"))
    }

    fn read(&self) -> Result<Contents> {
        let who = Principal::anonymous();
        let mut contents = Contents::new();
        for table in self.engine.tables(&who)? {
            for (partition, (start, end)) in self.engine.table_offsets(&who, table.id)?.into_iter().enumerate() {
                let partition = partition as PartitionId;
                let operator = Arc::new(Ids::of(table.schema()));
                let request = ScanRequest {
                    topic: TopicId(table.id.0),
                    ranges: Some(vec![(partition, start..end)]),
                    event_time_us: None,
                    operator,
                };
                let mut next = start;
                let rows = contents.entry((table.name.clone(), partition)).or_default();
                rows.start = start;
                for batch in self.engine.scan(&who, request)? {
                    let batch = batch?;
                    assert_eq!(batch.range.start, next, "a gap or an overlap in {} {partition}", table.name);
                    next = batch.range.end;
                    assert_eq!(batch.batch.num_rows() as u64, batch.range.end - batch.range.start);
                    check_text(&batch.batch);
                    rows.ids.extend(batch.batch.column(0).as_primitive::<Int64Type>().values());
                }
                assert_eq!(next, end, "{} {partition} ends early", table.name);
            }
        }
        Ok(contents)
    }

    fn check_catalog(&self, what: &str) {
        for (name, partitions, _, added) in &self.tables {
            let table = self
                .engine
                .table(&Principal::anonymous(), "public", name)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(table.options.partitions, *partitions, "{what}");
            assert!(table.schema().fields().len() >= 2 + added, "{what}: an added column of {name} is gone");
        }
    }

    /// Acknowledged rows lie where the acknowledgement said; nothing is doubled or invented; submissions are whole.
    fn check_rows(&self, contents: &Contents, must_be_kept: impl Fn(&Sent) -> bool, what: &str) {
        let mut known: BTreeSet<i64> = BTreeSet::new();
        for sent in &self.sent {
            let gone = |table: &String| sent.expired && self.retained.contains(table);
            let there = |part: &(String, _, _)| gone(&part.0) || is_there(contents, part);
            let present: Vec<bool> = sent.parts.iter().map(there).collect();
            let whole = present.iter().all(|p| *p);
            assert!(whole || present.iter().all(|p| !p), "{what}: half of a submission is there: {sent:?}");
            for (number, (table, partition, ids)) in sent.parts.iter().enumerate() {
                known.extend(ids);
                let Some(offsets) = sent.acknowledged.as_ref().filter(|_| must_be_kept(sent)) else { continue };
                let rows = contents.get(&(table.clone(), *partition)).cloned().unwrap_or_default();
                let Some(at) = offsets[number].checked_sub(rows.start) else {
                    assert!(gone(table), "{what}: {table} {partition} begins at {} too early", rows.start);
                    continue;
                };
                let found = rows.ids.get(at as usize..at as usize + ids.len());
                assert_eq!(found, Some(&ids[..]), "{what}: {table} {partition} at {}", offsets[number]);
            }
        }
        let all: Vec<i64> = contents.values().flat_map(|rows| &rows.ids).copied().collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{what}: a row is there twice");
        assert!(all.iter().all(|id| known.contains(id)), "{what}: a row that nobody sent");
    }

    fn check_committed(&self, what: &str) {
        let who = Principal::anonymous();
        for (table, (acknowledged, asked)) in &self.committed {
            let found = self.engine.group_offsets(&who, "public", GROUP).unwrap_or_default();
            let found = found.iter().find(|o| o.topic == *table && o.partition == 0).and_then(|o| o.committed);
            let allowed = found == *acknowledged || found.is_some_and(|offset| asked.contains(&offset));
            assert!(allowed, "{what}: {table} has committed {found:?}, acknowledged {acknowledged:?}, asked {asked:?}");
        }
    }

    /// The last stamped batch sent again is there once.
    fn check_repeats(&self, what: &str) {
        let Some(sent) = self.sent.iter().rev().find(|sent| sent.stamp.is_some() && sent.durable) else { return };
        let who = Principal::anonymous();
        let (name, partition, ids) = &sent.parts[0];
        let table = self.engine.table(&who, "public", name).unwrap_or_else(|error| panic!("{what}: {error}")).id;
        let append = Append { table, partition: PartitionChoice::Named(*partition), batch: batch(ids) };
        let receipt = self.engine.append(&who, append, sent.stamp).and_then(|pending| pending.wait());
        let receipt = receipt.unwrap_or_else(|error| panic!("{what}: the repeat failed: {error}"));
        if let Some(offsets) = &sent.acknowledged {
            assert!(receipt.duplicate, "{what}: the repeat was taken for new");
            assert_eq!(receipt.appended[0].first_offset, offsets[0], "{what}");
        }
        let contents = self.contents();
        let rows = &contents[&(name.clone(), *partition)];
        let gone = sent.expired && self.retained.contains(name);
        let there = rows.ids.iter().filter(|id| ids.contains(id)).count();
        assert!(there == ids.len() || (gone && there == 0), "{what}: the repeat was doubled");
    }

    /// The store takes new rows.
    fn check_goes_on(&self, what: &str) {
        let who = Principal::anonymous();
        let Some((name, ..)) = self.tables.first() else { return };
        let table = self.engine.table(&who, "public", name).unwrap_or_else(|error| panic!("{what}: {error}")).id;
        let rows = self.contents()[&(name.clone(), 0)].clone();
        let before = rows.start + rows.ids.len() as Offset;
        let append = Append { table, partition: PartitionChoice::Named(0), batch: batch(&[-1, -2]) };
        let receipt = self.engine.append(&who, append, None).and_then(|pending| pending.wait());
        let receipt = receipt.unwrap_or_else(|error| panic!("{what}: a new append failed: {error}"));
        assert_eq!(receipt.appended[0].first_offset, before, "{what}: offsets are not dense");
        self.engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// What is there is what the first so many submissions left; or reading says which file is damaged.
    pub(super) fn expect_prefix(&self, what: &str) {
        let contents = match self.read() {
            Ok(contents) => contents,
            Err(error) => return assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}"),
        };
        let there: Vec<bool> =
            self.sent.iter().map(|sent| sent.parts.iter().all(|part| is_there(&contents, part))).collect();
        let kept = there.iter().take_while(|there| **there).count();
        assert!(there.iter().skip(kept).all(|there| !there), "{what}: not a prefix: {there:?}");
        self.check_rows(&contents, |_| false, what);
    }

    /// Each table gives the right rows or a damage error that names the file.
    pub(super) fn expect_right_rows_or_errors(&self, what: &str) {
        match self.read() {
            Ok(contents) => self.check_rows(&contents, |_| true, what),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}"),
        }
    }
}

fn is_there(contents: &Contents, (table, partition, ids): &(String, PartitionId, Vec<i64>)) -> bool {
    let rows = contents.get(&(table.clone(), *partition)).map_or(&[][..], |rows| rows.ids.as_slice());
    rows.windows(ids.len()).any(|run| run == ids)
}

fn check_text(rows: &RecordBatch) {
    let text = rows.column(1).as_string::<i32>();
    for (id, text) in rows.column(0).as_primitive::<Int64Type>().values().iter().zip(text) {
        assert_eq!(text, (id % 5 != 0).then(|| format!("row {id}")).as_deref(), "row {id} came back changed");
    }
}

/// Reads the first two columns.
#[derive(Debug)]
struct Ids {
    schema: SchemaRef,
}

impl Ids {
    fn of(schema: &SchemaRef) -> Ids {
        Ids { schema: Arc::new(schema.project(&[0, 1]).expect("two columns")) }
    }
}

impl BatchOperator for Ids {
    fn inputs(&self) -> &[InputColumn] {
        &[InputColumn::Field(0), InputColumn::Field(1)]
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        vec![false; chunks.len()]
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        Ok(Evaluated { batch: input.clone(), rows: RowMap::Every })
    }
}
