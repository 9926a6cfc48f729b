//! Epochs: each opening has its own, and nothing of an earlier one follows it.

use super::support::*;
use crate::platform::disk::SimDisk;

#[test]
fn every_opening_raises_the_epoch() {
    let disk = SimDisk::new(1);
    let mut last = 0;
    for round in 0..5 {
        let disk = disk.clone();
        let opened = open(&disk).expect("open");
        assert!(opened.log.epoch() > last, "round {round}");
        last = opened.log.epoch();
        if round % 2 == 0 {
            opened.create_table(&format!("t{round}"), 1).expect("create");
        }
    }
    let crashed = disk.crash(3);
    assert!(open(&crashed).expect("open").log.epoch() > last, "the epoch was durable before anything else");
}

#[test]
fn stale_commits_never_revive() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).expect("open");
    let t = opened.create_table("t", 1).expect("create");
    opened.do_now(small(t, 0, &[1])).expect("durable");
    let before = read(&disk, &log_file(1)).len();
    opened.do_now(small(t, 0, &[2])).expect("durable");
    let bytes = read(&disk, &log_file(1));
    let stale = bytes[before..].to_vec();
    let killed = with_bytes(&disk, &log_file(1), &bytes[..before]);
    drop(opened);
    drop(open(&killed).expect("open"));
    let mut bytes = read(&killed, &log_file(1));
    let clean_end = bytes.len();
    // The clean-shutdown record took the LSN; cut it so that the stale commit's LSN fits.
    bytes.truncate(before + 64);
    bytes.extend_from_slice(&stale);
    assert!(clean_end > before + 64);
    let revived = with_bytes(&killed, &log_file(1), &bytes);
    let opened = open(&revived).expect("open");
    assert_eq!(opened.values(t, 0).expect("rows"), [1], "the row of the earlier epoch stays away");
    assert_eq!(opened.event_kinds(), ["torn_tail_cut"]);
}
