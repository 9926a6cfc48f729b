//! What the writer makes of submissions.

use std::sync::atomic::Ordering;

use futures::FutureExt;

use super::support::*;
use crate::model::{Appended, Durability, Error, ErrorKind, TableId};
use crate::platform::disk::{Fault, SimDisk};
use crate::state::State;
use crate::state::{Change, Record};
use crate::state::{EndOffset, Submission};

#[test]
fn small_parts_of_one_partition_become_one_frame() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 2).expect("create");
    opened.log.close().expect("close");
    let opened = open_with(&disk, State::default(), |_| {}).expect("open");
    let waiting: Vec<_> =
        (0..10).map(|v| opened.submit(small(t, (v % 2) as u32, &[v, v + 100])).expect("queued")).collect();
    let opened = opened.started();
    let receipts: Vec<_> = waiting.into_iter().map(|receipt| receipt.wait().expect("durable")).collect();
    for (at, receipt) in receipts.iter().enumerate() {
        let first_offset = (at / 2 * 2) as u64;
        let partition = (at % 2) as u32;
        assert_eq!(receipt.appended, [Appended { table: t, partition, first_offset, rows: 2 }]);
        let frame = opened.log.frame_at(t, partition, first_offset).expect("read").expect("there");
        assert_eq!(receipt.lsn.0, frame.lsn.0 + first_offset + 1, "the LSN of the submission's last row");
    }
    assert_eq!(opened.values(t, 0).expect("rows"), [0, 100, 2, 102, 4, 104, 6, 106, 8, 108]);
    assert_eq!(opened.values(t, 1).expect("rows"), [1, 101, 3, 103, 5, 105, 7, 107, 9, 109]);
    let commits = opened.sink.commits.lock();
    assert_eq!(commits.len(), 1, "one commit");
    assert_eq!(commits[0].len(), 2, "a frame for each partition");
}

#[test]
fn whole_frames_and_changes_keep_their_order_after_small_parts() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    opened.log.close().expect("close");
    let opened = open_with(&disk, State::default(), |_| {}).expect("open");
    let mut mixed = whole(t, 0, &[3]);
    mixed.rows.insert(0, part(t, 0, &[2], false));
    let drop = Submission::of([Change::TableDropped { table: t }]);
    let waiting: Vec<_> = [small(t, 0, &[1]), mixed, small(t, 0, &[4]), drop, small(t, 0, &[5])]
        .into_iter()
        .map(|submission| opened.submit(submission).expect("queued"))
        .collect();
    let opened = opened.started();
    let answers: Vec<_> = waiting.into_iter().map(crate::model::PendingReceipt::wait).collect();
    let offsets: Vec<u64> = answers[..3].iter().flatten().flat_map(|r| &r.appended).map(|a| a.first_offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
    assert!(answers[3].is_ok());
    assert!(matches!(answers[4], Err(Error::NotFound { .. })), "the table is gone: {:?}", answers[4]);
    let commits = opened.sink.commits.lock();
    let lsns: Vec<u64> = commits.iter().flatten().map(|(context, _)| context.lsn.0).collect();
    assert!(lsns.is_sorted_by(|a, b| a < b), "LSNs go up: {lsns:?}");
    let last = commits.iter().flatten().last().map(|(_, record)| record.clone());
    assert!(matches!(last, Some(Record::Change(_))), "nothing follows the drop: {last:?}");
}

/// So that the checkpoint that they wait for can be taken of all that was written before.
#[test]
fn commits_wait_while_they_are_held_and_all_before_is_durable() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    let lazily = |value| Submission { durability: Durability::Os, ..small(t, 0, &[value]) };
    let before = opened.do_now(lazily(1)).expect("taken").lsn;
    opened.log.hold(true);
    let mut waiting = opened.submit(lazily(2)).expect("queued");
    assert!(opened.log.sequencer.until_waits(), "the writer goes on");
    assert!((&mut waiting).now_or_never().is_none(), "answered while held");
    assert_eq!(opened.log.durable(), before);
    opened.log.hold(false);
    waiting.wait().expect("taken once it is let go");
    // Nobody is held while the log closes.
    opened.log.hold(true);
    let last = opened.submit(lazily(3)).expect("queued");
    opened.log.close().expect("close");
    last.wait().expect("taken all the same");
}

#[test]
fn a_submission_is_refused_alone_and_whole() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    let mut wrong = small(t, 0, &[1]);
    wrong.rows.push(part(t, 7, &[2], false));
    assert_eq!(opened.do_now(wrong).expect_err("no such partition").kind(), ErrorKind::NotFound);
    let mut late = small(t, 0, &[1]);
    late.preconditions.push(EndOffset { table: t, partition: 0, end: 5 }.into());
    assert_eq!(opened.do_now(late).expect_err("not at 5").kind(), ErrorKind::FailedPrecondition);
    opened.do_now(small(t, 0, &[3])).expect("this one is right");
    assert_eq!(opened.values(t, 0).expect("rows"), [3]);
}

#[test]
fn a_repeat_gets_the_first_answer_even_while_the_first_is_under_way() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    opened.log.close().expect("close");
    let opened = open_with(&disk, State::default(), |_| {}).expect("open");
    let first = opened.submit(stamped(small(t, 0, &[1, 2]), t, 0)).expect("queued");
    let again = opened.submit(stamped(small(t, 0, &[1, 2]), t, 0)).expect("queued");
    let opened = opened.started();
    let (first, again) = (first.wait().expect("durable"), again.wait().expect("durable"));
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.appended, again.appended);
    let later = opened.do_now(stamped(small(t, 0, &[1, 2]), t, 0)).expect("answered");
    assert_eq!((later.duplicate, &later.appended), (true, &first.appended));
    drop(opened);
    let opened = open(&disk).expect("open");
    let later = opened.do_now(stamped(small(t, 0, &[1, 2]), t, 0)).expect("answered");
    assert_eq!((later.duplicate, &later.appended), (true, &first.appended), "after a restart");
    assert_eq!(opened.values(t, 0).expect("rows"), [1, 2]);
    let gap = opened.do_now(stamped(small(t, 0, &[9]), t, 5)).expect_err("a gap");
    assert!(matches!(gap, Error::SequenceGap { .. }));
}

#[test]
fn what_no_commit_can_hold_is_refused_at_once() {
    let disk = SimDisk::new(1);
    let opened = open_with(&disk, State::default(), |options| options.max_commit_bytes = 10_000).expect("open");
    let values: Vec<i64> = (0..2_000).collect();
    let error = opened.submit(whole(TableId(1), 0, &values)).expect_err("too large");
    assert!(matches!(error, Error::TooLarge { limit: 10_000, .. }), "{error}");
    let opened = opened.started();
    let t = opened.create_table("t", 1).expect("create");
    for run in values.chunks(200) {
        opened.do_now(whole(t, 0, run)).expect("it fits");
    }
    assert_eq!(opened.values(t, 0).expect("rows"), values);
}

#[test]
fn lazy_rows_are_visible_before_a_sync_and_synced_before_long() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    let durable = opened.log.durable();
    let receipt = opened.do_now(lazily(small(t, 0, &[1]))).expect("written");
    assert_eq!(receipt.durability, Durability::Os);
    assert_eq!(opened.values(t, 0).expect("rows"), [1]);
    while opened.log.durable() == durable {
        std::thread::yield_now();
    }
    assert!(opened.log.durable() >= receipt.lsn);
}

#[test]
fn after_a_failed_sync_everything_is_refused_until_reopened() {
    for fault in [Fault::Error, Fault::NoSpace] {
        let disk = SimDisk::new(1);
        let opened = open(&disk).expect("open");
        let t = opened.create_table("t", 1).expect("create");
        opened.do_now(small(t, 0, &[1])).expect("durable");
        let at = disk.operations() + u64::from(fault == Fault::Error);
        disk.fail_at(at, fault);
        let error = opened.do_now(small(t, 0, &[2])).expect_err("it fails");
        assert!(matches!(error, Error::LogFailed { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Reopen);
        let refused = opened.do_now(small(t, 0, &[3])).expect_err("refused, at once or in the end");
        assert!(matches!(refused, Error::LogFailed { .. }), "{refused}");
        assert_eq!(opened.values(t, 0).expect("reads go on"), [1]);
        assert!(opened.log.close().is_err(), "there is no clean end");
        drop(opened);
        disk.set_free_bytes(1 << 40);
        let opened = open(&disk.kill(3)).expect("open");
        opened.do_now(small(t, 0, &[4])).expect("durable");
        let values = opened.values(t, 0).expect("rows");
        assert!(values == [1, 4] || values == [1, 2, 4], "{values:?}");
    }
}

#[test]
fn below_the_free_space_floor_appends_wait_and_the_rest_goes_on() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    disk.set_free_bytes(1000);
    let error = opened.do_now(small(t, 0, &[1])).expect_err("no space");
    assert!(matches!(error, Error::DiskFull { free: 1000, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Retry);
    opened.create_table("u", 1).expect("changes go on");
    disk.set_free_bytes(1 << 40);
    opened.clock.0.fetch_add(2_000_000, Ordering::SeqCst);
    opened.do_now(small(t, 0, &[1])).expect("there is space again");
}

#[test]
fn closing_refuses_and_append_time_never_goes_back() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    for time in [5_000_000, 3_000_000, 9_000_000, 1] {
        opened.clock.0.store(time, Ordering::SeqCst);
        opened.do_now(small(t, 0, &[time])).expect("durable");
    }
    let times: Vec<i64> =
        (0..4).map(|offset| opened.log.frame_at(t, 0, offset).expect("read").expect("there").append_us).collect();
    assert_eq!(times, [5_000_000, 5_000_001, 9_000_000, 9_000_001], "each commit has a time of its own");
    opened.log.close().expect("close");
    assert!(matches!(opened.submit(small(t, 0, &[1])), Err(Error::Closed)));
    drop(opened);
    let opened = open(&disk).expect("open");
    opened.do_now(small(t, 0, &[1])).expect("durable");
    let frame = opened.log.frame_at(t, 0, 4).expect("read").expect("there");
    // The clean end was a commit, too.
    assert_eq!(frame.append_us, 9_000_003, "the clock of the new opening stands at an earlier time");
    assert_eq!(opened.event_kinds(), Vec::<&str>::new());
}

#[test]
fn many_producers_and_readers_agree() {
    const THREADS: i64 = 6;
    const APPENDS: i64 = 60;
    let disk = SimDisk::new(1);
    let opened = open_with(&disk, State::default(), |options| {
        (options.log_file_bytes, options.tail_bytes, options.queue_bytes) = (20_000, 5_000, 20_000);
    });
    let opened = opened.expect("open").started();
    let t = opened.create_table("t", 2).expect("create");
    let opened = &opened;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for append in 0..APPENDS {
                    let value = thread * 1_000_000 + append * 1_000;
                    let values: Vec<i64> = (value..value + 1 + append % 7).collect();
                    let make = if append % 3 == 0 { whole } else { small };
                    let receipt = opened.do_now(make(t, (thread % 2) as u32, &values)).expect("durable");
                    let first = receipt.appended[0].first_offset;
                    let frame = opened.log.frame_at(t, (thread % 2) as u32, first).expect("read").expect("there");
                    let at = (first - frame.base_offset) as usize;
                    let batch = frame.batch(&schema()).expect("decoded");
                    assert_eq!(column(batch).values()[at..at + values.len()], values, "read your writes");
                }
            });
        }
    });
    for partition in 0..2 {
        let values = opened.values(t, partition).expect("rows");
        for thread in (0..THREADS).filter(|thread| thread % 2 == i64::from(partition)) {
            let own: Vec<i64> = values.iter().copied().filter(|value| value / 1_000_000 == thread).collect();
            assert!(own.is_sorted(), "each producer's rows are in its order");
            assert_eq!(own.len() as i64, (0..APPENDS).map(|append| 1 + append % 7).sum::<i64>());
        }
    }
    let mut stats = crate::model::EngineStats::default();
    opened.log.stats(&mut stats);
    assert!(stats.log_files > 2 && stats.commits <= stats.submissions + stats.log_files, "{stats:?}");
}
