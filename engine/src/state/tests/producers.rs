use super::*;
use crate::model::{Appended, Error, ErrorKind, ProducerStamp};
use crate::state::ProducerRecord;
use crate::state::producers::{AGE_STEP_US, SPARED_US};
use crate::state::{StreamLimits, StreamStamp};

const TABLE: TableId = TableId(1);
const DAY_US: i64 = 24 * 3600 * 1_000_000;
/// After this a stream may be forgotten, whenever it was at work last.
const SILENT_US: i64 = SPARED_US + AGE_STEP_US;

/// With the table that the producers write to.
fn with_table() -> History {
    let mut history = History::new();
    assert_eq!(history.table("t", 1), TABLE);
    history
}

fn stamp(epoch: u32, sequence: u64) -> ProducerStamp {
    ProducerStamp { id: 9, epoch, sequence }
}

fn run(sequence: u64) -> Appended {
    Appended { table: TABLE, partition: 0, first_offset: sequence * 10, rows: 10 }
}

fn take(history: &mut History, stamp: ProducerStamp, runs: usize) {
    let appended = vec![run(stamp.sequence); runs];
    history.push(Record::Producer(ProducerRecord { table: TABLE, stamp, appended: appended.into() }));
}

fn admit(history: &History, stamp: ProducerStamp) -> Result<Admission> {
    history.admit(&Submission { stamp: Some(StreamStamp { table: TABLE, stamp }), ..Submission::default() })
}

#[test]
fn the_window_answers_repeats_and_no_more() {
    let mut history = with_table();
    for sequence in 0..200 {
        assert_eq!(admit(&history, stamp(0, sequence)).unwrap(), Admission::New);
        take(&mut history, stamp(0, sequence), 1);
    }
    for sequence in [72, 100, 199] {
        assert_eq!(admit(&history, stamp(0, sequence)).unwrap(), Admission::Duplicate(vec![run(sequence)]));
    }
    let error = admit(&history, stamp(0, 71)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.to_string().contains("its answer is no longer kept (72 to 199 are)"), "{error}");
    assert!(matches!(admit(&history, stamp(0, 201)), Err(Error::SequenceGap { last: 199, got: 201 })));
}

#[test]
fn wide_answers_shorten_the_window() {
    let mut history = with_table();
    for sequence in 0..20 {
        take(&mut history, stamp(0, sequence), 1_000);
    }
    assert!(matches!(admit(&history, stamp(0, 16)), Ok(Admission::Duplicate(_))));
    assert!(admit(&history, stamp(0, 15)).is_err());
    take(&mut history, stamp(0, 20), 60_000);
    assert!(matches!(admit(&history, stamp(0, 20)), Ok(Admission::Duplicate(answer)) if answer.len() == 60_000));
}

#[test]
fn a_higher_epoch_fences_and_begins_anew() {
    let mut history = with_table();
    take(&mut history, stamp(3, 0), 1);
    assert_eq!(admit(&history, stamp(2, 1)).unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(admit(&history, stamp(4, 1)).unwrap_err().kind(), ErrorKind::FailedPrecondition);
    assert_eq!(admit(&history, stamp(4, 0)).unwrap(), Admission::New);
    take(&mut history, stamp(4, 0), 1);
    assert_eq!(admit(&history, stamp(3, 0)).unwrap_err().kind(), ErrorKind::Fenced);
}

#[test]
fn silent_streams_are_forgotten_by_the_logs_clock() {
    let mut history = with_table();
    take(&mut history, stamp(5, 0), 1);
    // However long, a silence of the whole log counts for an hour.
    history.now_us += 30 * DAY_US;
    history.push(Record::CleanShutdown);
    for _ in 1..7 * 24 {
        history.now_us += DAY_US / 24;
        history.push(Record::CleanShutdown);
    }
    assert!(matches!(admit(&history, stamp(5, 0)), Ok(Admission::Duplicate(_))));
    history.now_us += 1;
    history.push(Record::CleanShutdown);
    assert_eq!(admit(&history, stamp(0, 0)).unwrap(), Admission::New);
    let error = admit(&history, stamp(5, 1)).unwrap_err().to_string();
    assert!(error.contains("begin a higher epoch at sequence 0"), "{error}");
}

/// What the writer does with a fresh producer's first batch under a limit.
fn begin(history: &mut History, id: u128, limit: u64) -> Result<()> {
    let stamp = ProducerStamp { id, epoch: 0, sequence: 0 };
    assert_eq!(admit(history, stamp)?, Admission::New);
    let stamp = StreamStamp { table: TABLE, stamp };
    let limits = StreamLimits { default: limit, append_us: history.now_us };
    stamp.admit(&history.state, limits)?;
    history.push(stamp.record(&[run(0)]));
    while let Some(excess) = stamp.excess(&history.state, limits)? {
        history.push(Record::Change(Box::new(excess)));
    }
    Ok(())
}

/// A second between fresh producers, so that the limit's worth of them is spared at any time.
#[test]
fn a_million_producers_leave_the_limits_worth() {
    const LIMIT: u64 = 1_000;
    let mut history = with_table();
    for id in 0..1_000_000 {
        history.now_us += 1_000_000;
        begin(&mut history, id, LIMIT).unwrap();
        // The log is not what is measured here.
        history.records.clear();
        if id % 10_000 == 0 {
            let (answering, forgotten) = history.state.producer_streams();
            assert!(answering <= LIMIT && forgotten <= LIMIT, "{answering} and {forgotten}");
        }
    }
    assert!(history.state.producer_streams().1 > LIMIT / 2);
}

#[test]
fn a_forgotten_stream_is_refused_and_never_begun_again() {
    let mut history = with_table();
    let second = ProducerStamp { id: 0, epoch: 0, sequence: 1 };
    begin(&mut history, 0, 2).unwrap();
    take(&mut history, second, 1);
    begin(&mut history, 1, 2).unwrap();
    history.now_us += SILENT_US;
    begin(&mut history, 2, 2).unwrap();
    assert_eq!(history.state.producer_streams(), (2, 1));
    // Whether a repeat or the next batch: what was taken is not known any more.
    for sequence in [0, 1, 2] {
        let error = admit(&history, ProducerStamp { sequence, ..second }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert!(error.to_string().contains("begin a higher epoch at sequence 0"), "{error}");
    }
    let next = ProducerStamp { id: 0, epoch: 1, sequence: 0 };
    assert_eq!(admit(&history, next).unwrap(), Admission::New);
    take(&mut history, next, 1);
    assert_eq!(admit(&history, second).unwrap_err().kind(), ErrorKind::Fenced);
    assert!(matches!(admit(&history, next), Ok(Admission::Duplicate(_))));
}

#[test]
fn those_that_were_at_work_lately_are_spared() {
    let mut history = with_table();
    for id in 0..3 {
        begin(&mut history, id, 3).unwrap();
    }
    let refused = begin(&mut history, 3, 3).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Retry);
    assert!(refused.to_string().contains("has 3 producer streams, none of them silent for 15 minutes"), "{refused}");
    // The others go on, and one that falls silent makes room.
    for id in [0, 2] {
        history.now_us += SILENT_US / 2;
        take(&mut history, ProducerStamp { id, epoch: 0, sequence: 1 }, 1);
    }
    begin(&mut history, 3, 3).unwrap();
    assert_eq!(
        admit(&history, ProducerStamp { id: 1, epoch: 0, sequence: 1 }).unwrap_err().kind(),
        ErrorKind::FailedPrecondition
    );
    for id in [0, 2] {
        let repeat = ProducerStamp { id, epoch: 0, sequence: 1 };
        assert!(matches!(admit(&history, repeat), Ok(Admission::Duplicate(_))));
    }
}

#[test]
fn a_limit_that_is_lowered_holds_with_the_next_producer() {
    let mut history = with_table();
    for id in 0..1_000 {
        begin(&mut history, id, 1_000).unwrap();
    }
    history.now_us += SILENT_US;
    begin(&mut history, 1_000, 10).unwrap();
    assert_eq!(history.state.producer_streams(), (10, 10));
}

#[test]
fn a_table_takes_its_producers_with_it() {
    let mut history = with_table();
    let other = history.table("other", 1);
    take(&mut history, stamp(0, 0), 1);
    let record = ProducerRecord { table: other, stamp: stamp(0, 0), appended: [run(0)].into() };
    history.push(Record::Producer(record));
    history.change(Change::TableDropped { table: TABLE }).unwrap();
    assert_eq!(history.state.producer_streams(), (1, 0));
    // A record that comes late finds no table.
    take(&mut history, stamp(0, 1), 1);
    assert_eq!(history.state.producer_streams(), (1, 0));
    history.change(Change::TableDropped { table: other }).unwrap();
    assert_eq!(history.state.producer_streams(), (0, 0));
}
