use super::*;
use crate::record::ProducerRecord;
use crate::{Appended, Error, ErrorKind, ProducerStamp};

const TABLE: TableId = TableId(1);
const DAY_US: i64 = 24 * 3600 * 1_000_000;

fn stamp(epoch: u32, sequence: u64) -> ProducerStamp {
    ProducerStamp { id: 9, epoch, sequence }
}

fn run(sequence: u64) -> Appended {
    Appended { table: TABLE, partition: 0, first_offset: sequence * 10, rows: 10 }
}

fn take(history: &mut History, stamp: ProducerStamp, runs: usize) {
    let appended = vec![run(stamp.sequence); runs];
    history.push(Record::Producer(ProducerRecord { table: TABLE, stamp, appended }));
}

fn admit(history: &History, stamp: ProducerStamp) -> Result<Admission> {
    history.admit(&Submission { stamp: Some((TABLE, stamp)), ..Submission::default() })
}

#[test]
fn the_window_answers_repeats_and_no_more() {
    let mut history = History::new();
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
    let mut history = History::new();
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
    let mut history = History::new();
    take(&mut history, stamp(3, 0), 1);
    assert_eq!(admit(&history, stamp(2, 1)).unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(admit(&history, stamp(4, 1)).unwrap_err().kind(), ErrorKind::FailedPrecondition);
    assert_eq!(admit(&history, stamp(4, 0)).unwrap(), Admission::New);
    take(&mut history, stamp(4, 0), 1);
    assert_eq!(admit(&history, stamp(3, 0)).unwrap_err().kind(), ErrorKind::Fenced);
}

#[test]
fn silent_streams_are_forgotten_by_the_logs_clock() {
    let mut history = History::new();
    take(&mut history, stamp(5, 0), 1);
    history.now_us += 7 * DAY_US;
    history.push(Record::CleanShutdown);
    assert!(matches!(admit(&history, stamp(5, 0)), Ok(Admission::Duplicate(_))));
    history.now_us += 1;
    history.push(Record::CleanShutdown);
    assert_eq!(admit(&history, stamp(0, 0)).unwrap(), Admission::New);
    let error = admit(&history, stamp(5, 1)).unwrap_err().to_string();
    assert!(error.contains("begin a higher epoch at sequence 0"), "{error}");
}
