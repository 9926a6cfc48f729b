//! Dead letters are durable before a reader passes the rows they are of, and are written once.
//!
//! What keeps them single is in the log: a submission holds letters and the run of source offsets that has them, and is
//! taken only if the dead-letter table still ends where it ended when that run was looked up. However often a row is
//! evaluated, by whichever group, before or after a crash, its letter is written by the first evaluation alone.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;

use crate::chunks::{Chunk, ChunkRows, Projection};
use crate::contract::InputColumn;
use crate::cursor;
use crate::cursor::Tables;
use crate::model::OffsetSet;
use crate::model::OperatorError;
use crate::model::{
    Append, Durability, Error, Offset, PartitionChoice, PartitionId, Result, TableInfo, TopicId, TopicInfo,
};
use crate::model::{Letter, Origin, letter_rows};
use crate::state::Change;
use crate::state::{EndOffset, Submission};
use crate::write::Appender;
use crate::write::pieces;

/// How often a submission is made again after letters of another partition came first.
const ATTEMPTS: usize = 16;
/// Letters of one submission, as a share of what it may hold.
const PIECES_PER_SUBMISSION: usize = 4;
/// Runs without faults that are remembered of one topic; more are forgotten, at no harm but shorter runs in the log.
const MAX_RUNS: usize = 4_096;

/// What was examined since opening. Runs in which no row failed are only noted here: they are recorded with the next
/// letter, so that the runs in the log join.
#[derive(Debug)]
pub(super) struct DeadLetters {
    tables: Arc<Tables>,
    appender: Arc<Appender>,
    topics: Mutex<HashMap<TopicId, Arc<Mutex<Seen>>>>,
}

/// Of one topic. Its lock is held while letters are written: those of one topic are written by one reader at a time.
#[derive(Debug, Default)]
struct Seen {
    version: u32,
    partitions: HashMap<PartitionId, OffsetSet>,
}

impl DeadLetters {
    pub(super) fn new(tables: &Arc<Tables>, appender: &Arc<Appender>) -> DeadLetters {
        DeadLetters { tables: tables.clone(), appender: appender.clone(), topics: Mutex::default() }
    }

    /// `examined` was evaluated, and the rows at `faults` failed. Returns once each of them has a durable letter.
    pub(super) fn settle(
        &self,
        topic: &TopicInfo,
        partition: PartitionId,
        examined: Range<Offset>,
        faults: &[(Offset, OperatorError)],
    ) -> Result<()> {
        let slot = self.topics.lock().entry(topic.id).or_default().clone();
        let mut seen = slot.lock();
        if seen.version != topic.base_version() {
            *seen = Seen { version: topic.base_version(), ..Seen::default() };
        }
        let offsets = seen.partitions.entry(partition).or_default();
        if !faults.is_empty() {
            let run = offsets.clone().insert(examined.clone());
            self.write_missing(topic, partition, run, faults)?;
        }
        if offsets.runs() >= MAX_RUNS {
            *offsets = OffsetSet::default();
        }
        offsets.insert(examined);
        Ok(())
    }

    /// Writes the letters that are not there yet, and that `run` has them.
    fn write_missing(
        &self,
        topic: &TopicInfo,
        partition: PartitionId,
        run: Range<Offset>,
        faults: &[(Offset, OperatorError)],
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let desk = Desk::open((&self.tables, &self.appender), topic, partition, faults)?;
            if desk.missing.is_empty() {
                return Ok(());
            }
            match desk.write(run.clone()) {
                // Letters of another partition have come first.
                Err(Error::FailedPrecondition(_)) => {}
                written => return written,
            }
        }
        Err(Error::Busy(format!("the dead letters of topic {:?} could not be written", topic.name)))
    }

    pub(super) fn forget(&self, topic: TopicId) {
        self.topics.lock().remove(&topic);
    }
}

/// What stands when letters are to be written.
struct Desk<'a> {
    tables: &'a Tables,
    appender: &'a Appender,
    topic: &'a TopicInfo,
    partition: PartitionId,
    source: Arc<TableInfo>,
    letters: Arc<TableInfo>,
    end: Offset,
    missing: Vec<&'a (Offset, OperatorError)>,
}

impl<'a> Desk<'a> {
    fn open(
        (tables, appender): (&'a Tables, &'a Appender),
        topic: &'a TopicInfo,
        partition: PartitionId,
        faults: &'a [(Offset, OperatorError)],
    ) -> Result<Desk<'a>> {
        let state = tables.ledger.state.read();
        let gone = |name: &str| Error::NotFound { what: "table", name: name.to_owned() };
        let source = state.table(topic.table).cloned().ok_or_else(|| gone("of the topic"))?;
        let letters = state.catalog().letters_of(topic).cloned().ok_or_else(|| gone("of dead letters"))?;
        let end = state.partition(letters.id, 0).map_or(0, |partition| partition.end);
        let examined = state.examined(topic.id, partition).filter(|examined| examined.version == topic.base_version());
        let has_one = |offset: Offset| examined.is_some_and(|examined| examined.offsets.contains(offset));
        let missing = faults.iter().filter(|(offset, _)| !has_one(*offset)).collect();
        drop(state);
        Ok(Desk { tables, appender, topic, partition, source, letters, end, missing })
    }

    /// All that are missing, in as many submissions as they take. The last one says that all of `run` has its letters.
    fn write(mut self, run: Range<Offset>) -> Result<()> {
        let letters = self.with_rows()?;
        let rows = letter_rows(&letters, self.origin(), self.letters.schema())?;
        let bytes = self.tables.ledger.options.max_commit_bytes / PIECES_PER_SUBMISSION;
        let mut written = 0;
        let mut from = run.start;
        for piece in pieces(&rows, usize::MAX, bytes) {
            let of_piece = letters.get(written..written + piece.num_rows()).unwrap_or_default();
            written += piece.num_rows();
            let last = of_piece.last().map_or(run.end, |letter| letter.offset + 1);
            let next = if written == letters.len() { run.end } else { last };
            match self.submit(piece, from..next) {
                Err(Error::TooLarge { .. }) => self.submit(self.without_rows(of_piece)?, from..next)?,
                submitted => submitted?,
            }
            self.end += of_piece.len() as u64;
            from = next;
        }
        Ok(())
    }

    fn origin(&self) -> Origin<'a> {
        Origin { topic: self.topic, partition: self.partition, consumed: false }
    }

    fn submit(&self, batch: RecordBatch, offsets: Range<Offset>) -> Result<()> {
        let Desk { tables, appender, topic, partition, letters, end, .. } = self;
        let mut spare = tables.ledger.options.max_commit_bytes;
        let append = Append { table: letters.id, partition: PartitionChoice::Named(0), batch };
        let lettered = Change::RowsLettered {
            topic: topic.id,
            version: topic.base_version(),
            partition: *partition,
            first: offsets.start,
            next: offsets.end,
        };
        let submission = Submission {
            rows: appender.prepare(letters, &append, &mut spare)?,
            records: vec![lettered.into()],
            preconditions: vec![EndOffset { table: letters.id, partition: 0, end: *end }.into()],
            durability: Durability::Sync,
            ..Submission::default()
        };
        tables.ledger.log.submit(submission)?.wait().map(drop)
    }

    /// The rows at fault with all their columns, read anew: the topic has read only those that it uses.
    fn with_rows(&self) -> Result<Vec<Letter>> {
        let columns = self.source.schema_of(self.topic.table_schema_version)?.fields().len();
        let inputs: Vec<InputColumn> = (0..columns).map(InputColumn::Field).collect();
        let projection = Projection::new(&self.source, &inputs)?;
        let mut chunk: Option<Chunk> = None;
        let mut letters = Vec::with_capacity(self.missing.len());
        for (offset, error) in &self.missing {
            if !chunk.as_ref().is_some_and(|chunk| (chunk.base_offset..chunk.next_offset).contains(offset)) {
                chunk = cursor::chunk_at(self.tables, &projection, self.source.id, self.partition, *offset, None)?;
            }
            let row = chunk.as_ref().and_then(|chunk| match &chunk.rows {
                ChunkRows::Batch(batch) => {
                    let row = usize::try_from(offset - chunk.base_offset).unwrap_or(usize::MAX);
                    (row < batch.num_rows()).then(|| batch.slice(row, 1))
                }
                ChunkRows::Pruned => None,
            });
            letters.push(Letter { offset: *offset, failure: error.failure(), error: error.clone(), row });
        }
        Ok(letters)
    }

    /// Letters of rows that are as large as a commit may be: only the place tells of the row.
    fn without_rows(&self, letters: &[Letter]) -> Result<RecordBatch> {
        let bare: Vec<Letter> = letters.iter().map(Letter::bare).collect();
        letter_rows(&bare, self.origin(), self.letters.schema())
    }
}
