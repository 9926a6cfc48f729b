use parking_lot::RwLock;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::model::{Appended, Error, ErrorKind, ProducerStamp};
use crate::platform::panic_text;
use crate::state::StateStore;
use crate::state::codec;
use crate::state::codec::KeyBytes;
use crate::state::{ProducerRecord, StreamStamp, Submission};

const ALL: fn() -> Lsn = || Lsn(u64::MAX);

#[test]
fn a_new_store_is_empty_and_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap(), State::default());
    assert_eq!(StateStore::open(dir.path()).unwrap_err().kind(), ErrorKind::FailedPrecondition);
    store.close();
    assert!(matches!(store.load(), Err(Error::Closed)));
    StateStore::open(dir.path()).unwrap();
}

#[test]
fn nothing_above_the_durable_lsn_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History::new();
    history.table("t", 1);
    let applied = history.state.applied();
    let state = RwLock::new(history.state);
    store.checkpoint(&state, || Lsn(applied.0 - 1)).unwrap();
    assert_eq!(store.checkpoint_lsn(), Lsn(0));
    store.checkpoint(&state, || applied).unwrap();
    assert_eq!(store.checkpoint_lsn(), applied);
    assert_eq!(store.load().unwrap(), *state.read());
}

#[test]
fn what_a_checkpoint_has_not_written_the_next_one_has() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History::new();
    let table = history.table("t", 1);
    let state = RwLock::new(history.state);
    let panics = || store.checkpoint_by(&state, ALL, |_, _| panic!("on purpose"));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
    let fails = store.checkpoint_by(&state, ALL, |_, _| Err(Error::Internal("on purpose".to_owned())));
    assert_eq!(fails.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(store.checkpoint_lsn(), Lsn(0));
    store.checkpoint(&state, ALL).unwrap();
    assert!(store.load().unwrap().table(table).is_some());
    assert_eq!(store.load().unwrap(), *state.read());
}

/// What producers that go on and on change is what they are, and not how much they do: a thousand of them bring no checkpoint forward.
#[test]
fn many_producers_at_work_fit_between_two_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History { state: store.load().unwrap(), ..History::new() };
    let table = history.table("t", 1);
    for sequence in 0..200 {
        history.now_us += 10_000;
        for id in 0..1_000 {
            let stamp = ProducerStamp { id, epoch: 0, sequence };
            let appended = [Appended { table, partition: 0, first_offset: 5_000_000_000 + sequence, rows: 500 }].into();
            history.push(Record::Producer(ProducerRecord { table, stamp, appended }));
        }
        history.records.clear();
    }
    let bytes = history.state.unwritten_bytes();
    assert!(bytes < 3 << 20, "{bytes} bytes");
}

/// A record that panics is not taken for applied, and nothing of it is written.
#[test]
fn half_a_record_is_never_checkpointed() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History::new();
    let table = history.table("t", 1);
    history.rows(table, 0, 10);
    let (before, applied) = (history.state.clone(), history.state.applied());
    let state = RwLock::new(history.state);
    store.checkpoint(&state, ALL).unwrap();
    let context = RecordContext { lsn: Lsn(applied.0 + 1), append_us: 2_000_000, epoch: 1 };
    let hole = Record::Rows(rows_record(table, 0, 20, 5));
    let applying = || state.write().apply(context, &hole).unwrap();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(applying)).unwrap_err();
    assert_eq!(state.read().applied(), applied);
    let error = store.checkpoint(&state, ALL).unwrap_err();
    assert!(error.to_string().contains("applying the record after LSN"), "{error}");
    assert_eq!(store.load().unwrap(), before);
}

/// What earlier releases did not write follows from what they did; they also kept streams of tables that are gone.
#[test]
fn ages_of_streams_follow_from_the_streams() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History::new();
    let tables = [history.table("t", 1), history.table("u", 1)];
    for id in 0..20_u128 {
        history.now_us += 60_000_000;
        let stamp = ProducerStamp { id, epoch: 0, sequence: 0 };
        let table = tables[usize::from(id % 3 == 0)];
        history.push(Record::Producer(ProducerRecord { table, stamp, appended: [].into() }));
    }
    let answers = vec![(tables[0], 1), (tables[1], 3)];
    history.push(Change::ProducersForgotten { answers, whole: Vec::new() }.into());
    let state = RwLock::new(history.state);
    store.checkpoint(&state, ALL).unwrap();
    let before = state.read().clone();
    let gone = KeyBytes::new(b'r').u64(99).u128(5).done();
    let stream = codec::postcard(&(0_u32, 1_000_000_i64, Vec::<(u64, Vec<Appended>)>::new())).unwrap();
    store.downgrade(gone.clone(), stream);
    drop(store);
    for _ in 0..2 {
        let store = StateStore::open(dir.path()).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.producer_streams(), (18, 2));
        assert_eq!(loaded, before);
        let oldest = |state: &State| state.families.producers.excess("public", 15, i64::MAX).unwrap();
        assert_eq!(oldest(&loaded), oldest(&before));
        assert_eq!(oldest(&loaded).0.len(), 3);
    }
    // The next checkpoint has it all, and what was left of tables that are gone goes.
    let store = StateStore::open(dir.path()).unwrap();
    let mut loaded = store.load().unwrap();
    let context = RecordContext { lsn: Lsn(loaded.applied().0 + 1), append_us: 2_000_000, epoch: 1 };
    loaded.apply(context, &Record::CleanShutdown).unwrap();
    let loaded = RwLock::new(loaded);
    store.checkpoint(&loaded, ALL).unwrap();
    let mut keys = Vec::new();
    store.each_key(|key| keys.push(key.to_vec()));
    assert!(!keys.contains(&gone));
    assert_eq!(keys.iter().filter(|key| key[0] == b'x').count(), 20);
    assert_eq!(keys.iter().filter(|key| key[0] == b'v').count(), 0);
    assert_eq!(store.load().unwrap().producer_streams(), (18, 2));
}

#[test]
fn schema_versions_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History::new();
    let table = history.table("t", 1);
    for column in ["a", "b"] {
        let fields =
            vec![Field::new(column, DataType::Utf8, true), Field::new(format!("{column}2"), DataType::Int8, true)];
        history.change(Change::ColumnsAdded { table, fields }).unwrap();
    }
    let state = RwLock::new(history.state);
    store.checkpoint(&state, ALL).unwrap();
    let loaded = store.load().unwrap();
    let versions = &loaded.table(table).unwrap().schemas;
    assert_eq!(versions.iter().map(|schema| schema.fields().len()).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!(loaded, *state.read());
}

/// Whatever is flipped: an error, or a state that some checkpoint had. Never a panic, never an invented state.
#[test]
fn damage_is_an_error_or_an_older_checkpoint() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut states = vec![State::default()];
    for round in 0..3 {
        let store = StateStore::open(dir.path()).unwrap();
        let mut history = History { state: store.load().unwrap(), records: Vec::new(), now_us: 1_000_000 };
        for index in 0..50 {
            let table = history.table(&format!("t {round} {index}"), 3);
            history.rows(table, 1, 10);
        }
        let state = RwLock::new(history.state);
        store.checkpoint(&state, ALL).unwrap();
        states.push(state.read().clone());
    }
    let files: Vec<_> = walk(&dir.path().join("state"));
    for _ in 0..60 {
        let copy = tempfile::tempdir().unwrap();
        for file in &files {
            let target = copy.path().join(file.strip_prefix(dir.path()).unwrap());
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(file, target).unwrap();
        }
        let file = files.choose(&mut random).unwrap().strip_prefix(dir.path()).unwrap();
        let mut bytes = std::fs::read(copy.path().join(file)).unwrap();
        // Journals are allocated long before they are filled.
        let filled = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if filled == 0 {
            continue;
        }
        let at = random.random_range(0..filled);
        bytes[at] ^= 1 << random.random_range(0..8);
        std::fs::write(copy.path().join(file), bytes).unwrap();
        match StateStore::open(copy.path()).and_then(|store| Ok((store.load()?, store))) {
            Ok((state, _store)) => {
                // What is paged is read when it is compared, and may be what is damaged.
                let same = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| states.contains(&state)));
                let unread = |panic: Box<dyn std::any::Any + Send>| {
                    assert!(panic_text(panic.as_ref()).contains("the state store can be read: Corrupt"));
                    true
                };
                let known = same.unwrap_or_else(unread);
                assert!(known, "{} byte {at} gave an invented state", file.display());
            }
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Reopen),
                "{} byte {at}: {error}",
                file.display()
            ),
        }
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// The LSM itself takes whatever comes while it merges tables.
#[test]
fn a_checkpoint_waits_until_the_one_before_is_in_tables() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History::new();
    history.table("t", 1);
    store.fill(64 << 20);
    assert!(store.buffered_bytes() > 40 << 20);
    store.checkpoint(&RwLock::new(history.state), ALL).unwrap();
    let buffered = store.buffered_bytes() >> 20;
    assert!(buffered <= 24, "{buffered} MiB");
}

/// The writer's thread then finds it in the cache.
#[test]
fn what_is_fetched_is_in_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History::new();
    let table = history.table("t", 1);
    let stamp = |id| ProducerStamp { id, epoch: 0, sequence: 0 };
    for id in 0..20_000 {
        history.push(Record::Producer(ProducerRecord { table, stamp: stamp(id), appended: [].into() }));
    }
    let state = RwLock::new(history.state);
    store.checkpoint(&state, ALL).unwrap();
    store.write_tables();
    drop(store);

    let store = StateStore::open(dir.path()).unwrap();
    let state = store.load().unwrap();
    let submission = |id| {
        let stamp = ProducerStamp { sequence: 1, ..stamp(id) };
        Submission { stamp: Some(StreamStamp { table, stamp }), ..Submission::default() }
    };
    let cached = |doing: &mut dyn FnMut()| {
        let before = store.cached_bytes();
        doing();
        store.cached_bytes() - before
    };
    let stored = state.stored_entries();
    let fetched = |id| cached(&mut || stored.fetch(&submission(id)));
    assert!(fetched(10_000) > 0);
    assert_eq!(fetched(10_000), 0, "it is there already");
    assert_eq!(cached(&mut || assert!(state.admit(&submission(10_000)).is_ok())), 0, "the writer reads no table");
    assert!(cached(&mut || assert!(state.admit(&submission(19_000)).is_ok())) > 0, "as it has to where nobody did");
    store.close();
    stored.fetch(&submission(5_000));
}

/// What was read is remembered only until a checkpoint is written.
#[test]
fn what_was_read_before_a_checkpoint_is_read_anew_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History::new();
    let table = history.table("t", 1);
    let state = RwLock::new(history.state);
    let apply = |state: &RwLock<State>, sequence| {
        let stamp = ProducerStamp { id: 7, epoch: 0, sequence };
        let record = Record::Producer(ProducerRecord { table, stamp, appended: [].into() });
        let mut state = state.write();
        let lsn = Lsn(state.applied().0 + 1);
        state.apply(RecordContext { lsn, append_us: 2_000_000, epoch: 1 }, &record).unwrap();
    };
    let next = |state: &RwLock<State>| {
        let takes = |sequence| {
            let stamp = StreamStamp { table, stamp: ProducerStamp { id: 7, epoch: 0, sequence } };
            matches!(
                state.read().admit(&Submission { stamp: Some(stamp), ..Submission::default() }),
                Ok(Admission::New)
            )
        };
        (0..9).find(|sequence| takes(*sequence))
    };
    for sequence in 0..4 {
        assert_eq!(next(&state), Some(sequence));
        apply(&state, sequence);
        assert_eq!(next(&state), Some(sequence + 1));
        store.checkpoint(&state, ALL).unwrap();
        assert_eq!(state.read().families.producers.stored().in_memory(), 0);
        assert_eq!(next(&state), Some(sequence + 1), "from the store");
        assert_eq!(next(&state), Some(sequence + 1));
    }
}
