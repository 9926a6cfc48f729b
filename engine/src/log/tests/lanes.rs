//! In which order submissions with rows and without are taken.

use crate::log::tests::support::*;
use crate::model::{Error, GroupMode, TableId};
use crate::platform::disk::SimDisk;
use crate::state::Change;
use crate::state::State;
use crate::state::Submission;

fn change(change: Change) -> Submission {
    Submission::of([change])
}

fn group(name: &str) -> Submission {
    let (namespace, group) = ("public".to_owned(), name.to_owned());
    change(Change::GroupCreated { namespace, group, mode: GroupMode::Shared })
}

/// A log that has a table and does not run yet.
fn waiting(queue_bytes: usize) -> (Opened, TableId) {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    opened.log.close().expect("close");
    let opened = open_with(&disk, State::default(), |options| options.queue_bytes = queue_bytes).expect("open");
    (opened, t)
}

#[test]
fn what_has_no_rows_overtakes_rows() {
    let (opened, t) = waiting(1 << 20);
    let rows = opened.submit(small(t, 0, &[1, 2, 3])).expect("queued");
    let first = opened.submit(group("a")).expect("queued");
    let second = opened.submit(group("b")).expect("queued");
    let _opened = opened.started();
    let lsn = |receipt: crate::model::PendingReceipt| receipt.wait().expect("durable").lsn;
    let (rows, first, second) = (lsn(rows), lsn(first), lsn(second));
    assert!(first < second, "in their own order: {first:?}, {second:?}");
    assert!(second < rows, "before the rows: {second:?}, {rows:?}");
}

#[test]
fn a_table_ends_after_the_rows_that_were_queued_for_it() {
    let (opened, t) = waiting(1 << 20);
    let before = opened.submit(small(t, 0, &[1])).expect("queued");
    let dropped = opened.submit(change(Change::TableDropped { table: t })).expect("queued");
    let after = opened.submit(small(t, 0, &[2])).expect("queued");
    let _opened = opened.started();
    before.wait().expect("it was there before");
    dropped.wait().expect("it is dropped");
    assert!(matches!(after.wait(), Err(Error::NotFound { .. })));
}

#[test]
fn the_sequence_of_a_producer_is_kept_where_a_batch_has_no_rows() {
    let (opened, t) = waiting(1 << 20);
    let first = opened.submit(stamped(small(t, 0, &[1]), t, 0)).expect("queued");
    let empty = opened.submit(stamped(Submission::default(), t, 1)).expect("queued");
    let last = opened.submit(stamped(small(t, 0, &[2]), t, 2)).expect("queued");
    let _opened = opened.started();
    for receipt in [first, empty, last] {
        receipt.wait().expect("it is in its place");
    }
}

#[test]
fn rows_go_on_while_there_is_always_something_without_rows() {
    let (opened, t) = waiting(1 << 20);
    let rows = opened.submit(small(t, 0, &[1])).expect("queued");
    // More than a commit takes of them.
    let groups: Vec<_> = (0..4_000).map(|n| opened.log.enqueue(group(&format!("g{n}"))).expect("queued")).collect();
    let opened = opened.started();
    let rows = rows.wait().expect("durable").lsn;
    let mut last = rows;
    for group in groups {
        last = last.max(group.wait().expect("room").wait().expect("durable").lsn);
    }
    assert!(rows < last, "the rows did not come last: {rows:?}, {last:?}");
    assert_eq!(opened.values(t, 0).expect("rows"), [1]);
}

#[test]
fn room_goes_to_those_who_wait_in_their_order() {
    let (opened, t) = waiting(1);
    let mut tickets: Vec<_> = (0..5).map(|v| Some(opened.log.enqueue(small(t, 0, &[v])).expect("queued"))).collect();
    let taken_back = tickets.remove(2);
    drop(taken_back);
    let opened = opened.started();
    for ticket in tickets.into_iter().flatten() {
        ticket.wait().expect("room").wait().expect("durable");
    }
    assert_eq!(opened.values(t, 0).expect("rows"), [0, 1, 3, 4]);
}
