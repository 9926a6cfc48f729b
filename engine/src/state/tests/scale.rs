//! The ten-thousandth definition costs what the first did.

use std::time::{Duration, Instant};

use super::*;
use crate::model::GroupMode;
use crate::state::OffsetsRecord;

const BATCH: usize = 500;

#[test]
fn definitions_cost_the_same_at_ten_thousand() {
    let mut history = History::new();
    let id = history.table("t", 4);
    let mut batches: Vec<Duration> = Vec::new();
    for batch in 0..20 {
        let begun = Instant::now();
        for index in 0..BATCH {
            let name = format!("{batch} {index}");
            history.change(Change::TopicCreated(topic("public", &name, id, vec![]))).unwrap();
            let (namespace, group) = ("public".to_owned(), name.clone());
            history.change(Change::GroupCreated { namespace, group, mode: GroupMode::Shared }).unwrap();
            let entries = vec![(TopicId(id.0), 0, 0)];
            history.push(Record::Offsets(OffsetsRecord { group: super::group(&name, None), entries }));
            history.rows(id, 0, 1);
        }
        batches.push(begun.elapsed());
    }
    assert_eq!(history.state.groups().count(), 20 * BATCH);
    // The best of several, because other work shares the machine; a scan would make it twenty times as slow.
    let best = |batches: &[Duration]| batches.iter().min().copied().unwrap_or_default();
    let (early, late) = (best(&batches[..5]), best(&batches[15..]));
    assert!(late < early * 10, "500 definitions took {early:?} at first and {late:?} at last");
}
