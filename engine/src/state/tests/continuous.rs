//! Continuous topics: their steps, the pieces of their state, and what is on record of event time.

use parking_lot::RwLock;

use super::*;
use crate::model::{ContinuousId, ContinuousInfo, ContinuousSettings, ContinuousStart, ErrorKind};
use crate::state::{
    ContinuousHeader, ContinuousRecord, ContinuousStands, ContinuousStep, RecordedWatermark, SavedKey, StateStore,
    WatermarkAdvance,
};

fn topic(name: &str, source: TableId) -> ContinuousInfo {
    ContinuousInfo {
        id: ContinuousId(0),
        namespace: "public".to_owned(),
        name: name.to_owned(),
        sources: vec![source],
        source_versions: vec![1],
        definition: "windows".to_owned(),
        plugins: Vec::new(),
        functions: Vec::new(),
        output: TableId(0),
        late: Some(TableId(0)),
        fingerprint: "1".to_owned(),
        settings: ContinuousSettings { start: ContinuousStart::Latest, ..ContinuousSettings::default() },
        paused: false,
        version: 1,
        owner: Principal::anonymous(),
        created: Lsn(0),
    }
}

/// A topic with its tables, as one submission has them.
fn create(history: &mut History, name: &str, source: TableId) -> ContinuousId {
    history.table(name, 1);
    history.table(&format!("{name}$late"), 1);
    ContinuousId(history.change(Change::ContinuousCreated(topic(name, source))).unwrap().0)
}

const fn key(window_us: i64, sequence: u32) -> SavedKey {
    SavedKey { operator: 3, window_us, sequence }
}

fn step(history: &mut History, topic: ContinuousId, dropped: &[i64], saved: &[(SavedKey, Option<&[u8]>)]) {
    let output = history.state.catalog().continuous(topic).unwrap().output;
    let before = history.state.continuous_header(topic).cloned().unwrap_or_default();
    let header = ContinuousHeader {
        steps: before.steps + 1,
        watermark_us: Some(history.now_us),
        complete: true,
        ..ContinuousHeader::clone(&before)
    };
    let step = ContinuousStep {
        topic,
        output,
        header: Arc::new(header),
        dropped: dropped.iter().map(|window_us| (3, *window_us)).collect(),
        saved: saved.iter().map(|(key, piece)| (*key, piece.map(Arc::from))).collect(),
    };
    history.push(ContinuousRecord::Stepped(Box::new(step)).into());
}

fn saved(state: &State, topic: ContinuousId) -> Vec<(SavedKey, Vec<u8>)> {
    let mut found = Vec::new();
    state
        .saved(topic)
        .each(|key, piece| {
            found.push((key, piece.to_vec()));
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn a_topic_knows_its_tables_and_when_it_begins() {
    let mut history = History::new();
    let source = history.table("t", 2);
    let id = create(&mut history, "w", source);
    let info = history.state.catalog().continuous_named("public", "w").unwrap().clone();
    assert_eq!((info.id, info.output, info.late), (id, TableId(id.0 - 2), Some(TableId(id.0 - 1))));
    assert_eq!(info.settings.start, ContinuousStart::At(history.now_us), "what was latest then");
    for table in [source, info.output, TableId(id.0 - 1)] {
        assert_eq!(history.change(Change::TableDropped { table }).unwrap_err().kind(), ErrorKind::FailedPrecondition);
    }
    history.change(Change::ContinuousDropped { topic: id }).unwrap();
    history.change(Change::TableDropped { table: info.output }).unwrap();
    assert!(history.state.catalog().continuous_named("public", "w").is_none());
}

#[test]
fn pieces_come_back_in_order_and_go_with_their_window() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History { state: store.load().unwrap(), ..History::new() };
    let source = history.table("t", 1);
    let (first, other) = (create(&mut history, "w", source), create(&mut history, "x", source));
    let piece: Option<&[u8]> = Some(b"new");
    step(&mut history, first, &[], &[(key(60, 0), Some(b"a")), (key(-60, 1), Some(b"c")), (key(-60, 0), Some(b"b"))]);
    step(&mut history, other, &[], &[(key(60, 0), Some(b"x"))]);
    let all = [(key(-60, 0), b"b".to_vec()), (key(-60, 1), b"c".to_vec()), (key(60, 0), b"a".to_vec())];
    assert_eq!(saved(&history.state, first), all);
    let state = RwLock::new(history.state);
    store.checkpoint(&state, || Lsn(u64::MAX)).unwrap();
    assert_eq!(saved(&store.load().unwrap(), first), all);
    history.state = state.into_inner();
    step(&mut history, first, &[-60], &[(key(60, 0), piece), (key(60, 1), None), (key(120, 0), piece)]);
    let left = [(key(60, 0), b"new".to_vec()), (key(120, 0), b"new".to_vec())];
    assert_eq!(saved(&history.state, first), left);
    let state = RwLock::new(history.state);
    for _ in 0..2 {
        // What is void is hidden before it is swept, and after.
        store.checkpoint(&state, || Lsn(u64::MAX)).unwrap();
        assert_eq!(saved(&store.load().unwrap(), first), left);
    }
    assert_eq!(saved(&state.read(), other), [(key(60, 0), b"x".to_vec())]);
    assert_eq!(store.load().unwrap(), *state.read());
    history.state = state.into_inner();
    history.change(Change::ContinuousDropped { topic: first }).unwrap();
    assert!(saved(&history.state, first).is_empty() && history.state.continuous_header(first).is_none());
    // A step that comes after its topic's end says nothing.
    let late = ContinuousStep {
        topic: first,
        output: source,
        header: Arc::default(),
        dropped: Vec::new(),
        saved: vec![(key(1, 1), Some(Arc::from(&b"z"[..])))],
    };
    history.push(ContinuousRecord::Stepped(Box::new(late)).into());
    assert!(saved(&history.state, first).is_empty());
}

#[test]
fn a_step_follows_the_one_that_it_knows_and_a_silence_is_one() {
    let mut history = History::new();
    let source = history.table("t", 2);
    let topic = create(&mut history, "w", source);
    let admit = |history: &History, steps, version, silent: Option<Vec<u64>>| {
        let silent = silent.map(|ends| vec![(source, ends)]);
        let stands = ContinuousStands { topic, version, steps, silent };
        let submission = Submission { preconditions: vec![stands.into()], ..Submission::default() };
        history.admit(&submission).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(admit(&history, 0, 1, None), Ok(()));
    step(&mut history, topic, &[], &[]);
    assert_eq!(admit(&history, 0, 1, None), Err(ErrorKind::Fenced));
    assert_eq!(admit(&history, 1, 1, Some(vec![0, 0])), Ok(()));
    history.rows(source, 1, 5);
    assert_eq!(admit(&history, 1, 1, Some(vec![0, 0])), Err(ErrorKind::Retry));
    assert_eq!(admit(&history, 1, 1, Some(vec![0, 5])), Ok(()));
    history.change(Change::PartitionsAdded { table: source, partitions: 3 }).unwrap();
    assert_eq!(admit(&history, 1, 1, Some(vec![0, 5])), Ok(()), "a partition without rows");
    history.rows(source, 2, 1);
    assert_eq!(admit(&history, 1, 1, Some(vec![0, 5])), Err(ErrorKind::Retry));
    let info = history.state.catalog().continuous(topic).unwrap().clone();
    let paused = ContinuousInfo { paused: true, version: 2, ..ContinuousInfo::clone(&info) };
    history.change(Change::ContinuousReplaced(paused.clone())).unwrap();
    assert_eq!(history.change(Change::ContinuousReplaced(paused)).unwrap_err().kind(), ErrorKind::Retry);
    assert_eq!(admit(&history, 1, 2, None), Err(ErrorKind::Fenced), "it is paused");
}

#[test]
fn watermarks_rise_and_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History { state: store.load().unwrap(), ..History::new() };
    let source = history.table("t", 1);
    let topic = create(&mut history, "w", source);
    let advance = |history: &mut History, to_us| {
        history.now_us += 10;
        history.push(ContinuousRecord::Advanced(WatermarkAdvance { table: source, to_us }).into());
        history.now_us
    };
    let first = advance(&mut history, 5);
    advance(&mut history, 4);
    let second = advance(&mut history, 9);
    let wanted =
        [(first, 5), (second, 9)].map(|(instant_us, watermark_us)| RecordedWatermark { instant_us, watermark_us });
    assert_eq!(*history.state.recorded_watermarks(source), wanted);
    step(&mut history, topic, &[], &[]);
    let output = history.state.catalog().continuous(topic).unwrap().output;
    assert_eq!(history.state.recorded_watermarks(output).len(), 1, "a step says it of its output");
    let state = RwLock::new(history.state);
    store.checkpoint(&state, || Lsn(u64::MAX)).unwrap();
    assert_eq!(*store.load().unwrap().recorded_watermarks(source), wanted);
    history.state = state.into_inner();
    for to_us in 10..2_000 {
        advance(&mut history, to_us);
    }
    assert_eq!(history.state.recorded_watermarks(source).len(), 1_024);
    assert_eq!(history.state.recorded_watermarks(source).last().unwrap().watermark_us, 1_999);
}
