//! From submissions to the records of one commit: admission, offsets, LSNs, ids, and the joining of small parts.
//!
//! Records of families and whole frames get their LSNs when they are admitted. Small parts are gathered by partition and
//! become frames at the end of the commit; a submission that must come after them in the log (a change, or a whole frame for
//! the same partition) closes the commit and opens the next.

use futures::channel::oneshot;

use super::joining::{JoinedFrames, JoinedPart};
use super::lane::Queued;
use crate::log::journal::{self, FramePayload, PlannedRecord};
use crate::log::rows::{PartitionKey, ipc};
use crate::model::{Appended, Durability, Error, Lsn, NamespaceLimits, Offset, Receipt, Result};
use crate::state::EncodedRows;
use crate::state::{Admission, State};
use crate::state::{Record, RecordContext, RowsRecord};
use crate::state::{RowsPart, RowsPayload, StreamLimits, Submission};

/// An answer that is given once the commit is applied. So is a refusal: it may rest on what is ahead, and whoever hears that there is
/// something already finds it.
#[derive(Debug)]
pub(in crate::log) struct Answer {
    pub sender: oneshot::Sender<Result<Receipt>>,
    pub outcome: Result<Receipt>,
}

/// A commit in the making.
#[derive(Debug)]
pub(in crate::log) struct Plan {
    pub append_us: i64,
    pub epoch: u64,
    next_lsn: Lsn,
    pub records: Vec<PlannedRecord>,
    joined: JoinedFrames,
    answers: Vec<(Answer, Vec<JoinedPart>)>,
    bytes: usize,
    /// Whether some submission must survive power loss once answered.
    pub sync: bool,
    pub refused: u64,
    /// Producer streams of a namespace that has no limit of its own; unlimited unless set.
    pub producer_streams: u64,
}

impl Plan {
    pub(in crate::log) fn new(next_lsn: Lsn, append_us: i64, epoch: u64) -> Plan {
        Plan {
            producer_streams: NamespaceLimits::UNLIMITED,
            append_us,
            epoch,
            next_lsn,
            records: Vec::new(),
            joined: JoinedFrames::default(),
            answers: Vec::new(),
            bytes: 0,
            sync: false,
            refused: 0,
        }
    }

    /// Nothing to write; there may be repeats and refusals to answer all the same.
    pub(in crate::log) fn writes_nothing(&self) -> bool {
        self.records.is_empty() && self.joined.is_empty()
    }

    /// Whether a submission must wait for the next commit.
    pub(in crate::log) fn closes_before(&self, queued: &Queued, max_bytes: usize) -> bool {
        let submission = &queued.submission;
        let full = self.bytes > 0 && self.bytes.saturating_add(queued.bytes) > max_bytes;
        let after_small_parts = !self.joined.is_empty()
            && (submission.records.iter().any(|record| record.kind().is_ok_and(|kind| kind.comes_after_rows()))
                || submission
                    .rows
                    .iter()
                    .any(|part| matches!(part.payload, RowsPayload::Encoded(_)) && self.joined.holds(key_of(part))));
        full || after_small_parts
    }

    /// Admits a submission, or refuses it alone and whole. An error is a defect: the plan is then of no use.
    pub(in crate::log) fn add(&mut self, queued: Queued, ahead: &mut State) -> Result<()> {
        let Queued { submission, bytes, answer, .. } = queued;
        let durability = submission.durability;
        let (outcome, joined) = match self.admit(&submission, ahead) {
            Ok(Admission::New) => {
                self.bytes = self.bytes.saturating_add(bytes);
                self.sync |= durability == Durability::Sync;
                let (receipt, joined) = self.place(submission, ahead)?;
                (Ok(receipt), joined)
            }
            Ok(Admission::Duplicate(appended)) => {
                let lsn = Lsn(self.next_lsn.0.saturating_sub(1));
                (Ok(Receipt { lsn, appended, duplicate: true, durability }), Vec::new())
            }
            Err(error) => {
                self.refused += 1;
                (Err(error), Vec::new())
            }
        };
        self.answers.push((Answer { sender: answer, outcome }, joined));
        Ok(())
    }

    /// Adds a record of the log's own.
    pub(in crate::log) fn add_own(&mut self, record: Record, ahead: &mut State) -> Result<()> {
        self.sync = true;
        self.push_control(record, ahead).map(drop)
    }

    /// Encodes the joined frames. Gives the answers, their LSNs filled in.
    pub(in crate::log) fn finish(&mut self) -> Result<Vec<Answer>> {
        let mut starts = Vec::new();
        for frame in self.joined.take() {
            let (lsn, rows) = (self.next_lsn, frame.encode()?);
            starts.push(lsn);
            self.next_lsn = Lsn(lsn.0 + u64::from(frame.record.rows));
            self.records.push(PlannedRecord {
                lsn,
                record: Record::Rows(frame.record),
                payload: FramePayload::Rows(rows),
            });
        }
        let answers = std::mem::take(&mut self.answers);
        Ok(answers
            .into_iter()
            .map(|(mut answer, joined)| {
                for part in joined {
                    let start = starts.get(part.frame).map_or(0, |start| start.0);
                    let last = Lsn(start + u64::from(part.rows_to_end) - 1);
                    if let Ok(receipt) = &mut answer.outcome {
                        receipt.lsn = receipt.lsn.max(last);
                    }
                }
                answer
            })
            .collect())
    }

    /// The first LSN after the plan's records.
    pub(in crate::log) fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// Every waiting submitter, when the plan can't be carried out.
    pub(in crate::log) fn refuse_all(&mut self, error: &Error) {
        for (answer, _) in self.answers.drain(..) {
            let _ = answer.sender.send(Err(error.clone()));
        }
    }

    /// Gives an admitted submission its offsets and LSNs.
    fn place(&mut self, submission: Submission, ahead: &mut State) -> Result<(Receipt, Vec<JoinedPart>)> {
        let mut last = Lsn(0);
        for mut record in submission.records {
            record.numbered(self.next_lsn);
            last = self.push_control(record, ahead)?;
        }
        let whole: Vec<PartitionKey> = submission.rows.iter().filter(is_whole).map(key_of).collect();
        let (mut appended, mut joined) = (Vec::with_capacity(submission.rows.len()), Vec::new());
        for part in submission.rows {
            let base = end_of(ahead, &part)?;
            let record = rows_record(&part, base, self.append_us);
            appended.push(Appended {
                table: part.table,
                partition: part.partition,
                first_offset: base,
                rows: u64::from(part.rows),
            });
            match part.payload {
                RowsPayload::Small(batch) if !whole.contains(&(record.table, record.partition)) => {
                    // The LSN is provisional; nothing that admission looks at depends on it.
                    ahead.apply_ahead(self.context(), &Record::Rows(record))?;
                    joined.push(self.joined.join(record, batch));
                }
                RowsPayload::Small(batch) => last = self.push_rows(record, ipc::encode(&batch)?, ahead)?,
                RowsPayload::Encoded(rows) => last = self.push_rows(record, rows, ahead)?,
            }
        }
        if let Some(stamp) = submission.stamp {
            last = self.push_control(stamp.record(&appended), ahead)?;
            if let Some(excess) = stamp.excess(ahead, self.stream_limits())? {
                self.push_control(excess.into(), ahead)?;
            }
        }
        Ok((Receipt { lsn: last, appended, duplicate: false, durability: submission.durability }, joined))
    }

    fn push_rows(&mut self, record: RowsRecord, rows: EncodedRows, ahead: &mut State) -> Result<Lsn> {
        self.push(Record::Rows(record), FramePayload::Rows(rows), ahead)
    }

    fn push_control(&mut self, record: Record, ahead: &mut State) -> Result<Lsn> {
        let (kind, payload) = journal::encode(&record)?;
        self.push(record, FramePayload::Control(kind, payload), ahead)
    }

    /// Numbers a record and applies it ahead; gives its last LSN.
    fn push(&mut self, record: Record, payload: FramePayload, ahead: &mut State) -> Result<Lsn> {
        ahead.apply_ahead(self.context(), &record)?;
        let (lsn, next) = (self.next_lsn, Lsn(self.next_lsn.0 + record.lsns()));
        self.records.push(PlannedRecord { lsn, record, payload });
        self.next_lsn = next;
        Ok(Lsn(next.0 - 1))
    }

    /// Checks a submission against the state that includes everything ahead of it.
    fn admit(&self, submission: &Submission, ahead: &State) -> Result<Admission> {
        let admission = ahead.admit(submission)?;
        if admission == Admission::New {
            for part in &submission.rows {
                end_of(ahead, part)?;
            }
            if let Some(stamp) = &submission.stamp {
                stamp.admit(ahead, self.stream_limits())?;
            }
        }
        Ok(admission)
    }

    fn stream_limits(&self) -> StreamLimits {
        StreamLimits { default: self.producer_streams, append_us: self.append_us }
    }

    /// Of the record that comes next.
    fn context(&self) -> RecordContext {
        RecordContext { lsn: self.next_lsn, append_us: self.append_us, epoch: self.epoch }
    }
}

/// Where a partition ends. An error if it does not exist, or no longer.
fn end_of(ahead: &State, part: &RowsPart) -> Result<Offset> {
    let state = ahead.partition(part.table, part.partition).ok_or_else(|| Error::NotFound {
        what: "partition",
        name: format!("{} of a table that was dropped", part.partition),
    })?;
    Ok(state.end)
}

/// Parts that know no event time, shown by an empty range, take append time.
fn rows_record(part: &RowsPart, base_offset: Offset, append_us: i64) -> RowsRecord {
    let timeless = part.min_event_us > part.max_event_us;
    RowsRecord {
        table: part.table,
        partition: part.partition,
        schema_version: part.schema_version,
        base_offset,
        rows: part.rows,
        min_event_us: if timeless { append_us } else { part.min_event_us },
        max_event_us: if timeless { append_us } else { part.max_event_us },
        frame_bytes: 0,
    }
}

fn is_whole(part: &&RowsPart) -> bool {
    matches!(part.payload, RowsPayload::Encoded(_))
}

fn key_of(part: &RowsPart) -> PartitionKey {
    (part.table, part.partition)
}
