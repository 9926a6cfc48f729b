//! What is admitted of consumers and their state.

use super::*;
use crate::model::{Error, GroupMode};
use crate::state::{CommittedOffset, ConsumerRuns};
use crate::state::{OffsetsRecord, StateRecord};

/// A consumer of `in` that writes to `out`, and the table that it reads.
fn consumed() -> (History, ConsumerId, TableId) {
    let mut history = History::new();
    let (input, output) = (history.table("in", 2), history.table("out", 1));
    let plugin = PluginId(history.change(consumer_plugin("p", 1)).unwrap().0);
    let (namespace, group) = ("public".to_owned(), "g".to_owned());
    history.change(Change::GroupCreated { namespace, group, mode: GroupMode::Shared }).unwrap();
    let made = history.change(consumer("c", TopicId(input.0), plugin, "g", output)).unwrap();
    (history, ConsumerId(made.0), input)
}

fn written(consumer: ConsumerId, key: usize, value: usize) -> StateRecord {
    let writes = vec![(Arc::from(vec![1; key]), Some(Arc::from(vec![2; value])))];
    StateRecord { consumer, partition: 0, writes }
}

fn admit_state(history: &History, record: StateRecord) -> Result<Admission> {
    history.admit(&Submission::of([record]))
}

#[test]
fn state_has_bounds() {
    let (mut history, id, _) = consumed();
    assert!(matches!(admit_state(&history, written(id, 0, 1)), Err(Error::Internal(_))));
    assert!(matches!(admit_state(&history, written(id, 1_025, 1)), Err(Error::Internal(_))));
    assert!(matches!(admit_state(&history, written(ConsumerId(9_999), 1, 1)), Err(Error::NotFound { .. })));
    // 2,000 bytes, and an entry counts 64 beside key and value.
    assert!(admit_state(&history, written(id, 10, 1_926)).is_ok());
    let error = admit_state(&history, written(id, 10, 1_927)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { size: 2_001, limit: 2_000, .. }), "{error}");
    history.push(Record::State(written(id, 10, 1_926)));
    assert_eq!(history.state.kept_bytes(id), 2_000);
    // What is there is replaced, not added to.
    assert!(admit_state(&history, written(id, 10, 1_900)).is_ok());
    assert!(admit_state(&history, written(id, 11, 0)).is_err());
    let partition = StateRecord { partition: 2, ..written(id, 1, 1) };
    assert!(matches!(admit_state(&history, partition), Err(Error::NotFound { what: "partition", .. })));
}

#[test]
fn another_version_begins_where_nothing_was_read_yet() {
    let (mut history, id, input) = consumed();
    history.rows(input, 0, 50);
    let entries = vec![(TopicId(input.0), 0, 30)];
    history.push(Record::Offsets(OffsetsRecord { group: group("g", None), entries }));
    let second = PluginId(history.change(consumer_plugin("p", 2)).unwrap().0);
    let replaced = |history: &History, from: u64| {
        let found = history.state.catalog().consumer(id).unwrap().as_ref().clone();
        let outputs = found.outputs.clone();
        let upcoming =
            Some(crate::model::UpcomingVersion { plugin: second, outputs, from: [(0, from), (1, 0)].into() });
        Change::PluginConsumerReplaced(PluginConsumerInfo { upcoming, version: found.version + 1, ..found })
    };
    let admit = |history: &History, change| history.admit(&Submission::of([change]));
    let refused = admit(&history, replaced(&history, 29)).unwrap_err();
    assert!(
        matches!(&refused, Error::Busy(why) if why.contains("has read partition 0 up to offset 30, past 29")),
        "{refused}"
    );
    history.change(replaced(&history, 30)).unwrap();
    let found = history.state.catalog().consumer(id).unwrap().clone();
    let at = |partition, offset| found.version_at(partition, offset).plugin;
    assert_eq!((at(0, 29), at(0, 30), at(1, 0), at(7, 0)), (found.plugin, second, second, second));
    assert_eq!(found.version_at(0, 3).until, 30);
    // Once it is under way, rows that are read do not stand in the way of pausing.
    history.push(Record::Offsets(OffsetsRecord { group: group("g", None), entries: vec![(TopicId(input.0), 0, 40)] }));
    assert!(admit(&history, replaced(&history, 30)).is_ok());
}

#[test]
fn a_second_runner_and_an_altered_consumer_are_fenced() {
    let (mut history, id, input) = consumed();
    let topic = TopicId(input.0);
    let expects = |offset| Submission {
        preconditions: vec![CommittedOffset { group: group("g", None), topic, partition: 0, offset }.into()],
        ..Submission::default()
    };
    let runs = |version| Submission {
        preconditions: vec![ConsumerRuns { consumer: id, version }.into()],
        ..Submission::default()
    };
    assert!(history.admit(&expects(None)).is_ok());
    history.rows(input, 0, 5);
    history.push(Record::Offsets(OffsetsRecord { group: group("g", None), entries: vec![(topic, 0, 5)] }));
    assert!(history.admit(&expects(Some(5))).is_ok());
    for offset in [None, Some(4), Some(6)] {
        assert!(matches!(history.admit(&expects(offset)), Err(Error::Fenced(_))));
    }
    assert!(history.admit(&runs(1)).is_ok());
    let info = PluginConsumerInfo {
        paused: true,
        version: 2,
        ..history.state.catalog().consumer(id).unwrap().as_ref().clone()
    };
    history.change(Change::PluginConsumerReplaced(info.clone())).unwrap();
    assert!(matches!(history.change(Change::PluginConsumerReplaced(info)), Err(Error::Busy(_))));
    for version in [1, 2] {
        assert!(matches!(history.admit(&runs(version)), Err(Error::Fenced(_))), "it is paused");
    }
    history.change(Change::PluginConsumerDropped { consumer: id }).unwrap();
    assert!(matches!(history.admit(&runs(2)), Err(Error::Fenced(_))));
}

#[test]
fn state_goes_with_its_consumer() {
    let (mut history, id, _) = consumed();
    history.push(Record::State(written(id, 3, 3)));
    assert!(history.state.kept(id, 0).get(&[1; 3]).unwrap().is_some());
    history.change(Change::PluginConsumerDropped { consumer: id }).unwrap();
    assert_eq!((history.state.kept_bytes(id), history.state.kept(id, 0).get(&[1; 3]).unwrap()), (0, None));
    // A runner that was late finds nobody.
    history.push(Record::State(written(id, 3, 3)));
    assert_eq!(history.state.kept_bytes(id), 0);
}
