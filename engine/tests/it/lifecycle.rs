use millstream_engine::{Engine, Error, ErrorKind, TableOptions};

use crate::support::{Store, me, message, options, places, rows};

#[test]
fn rows_and_definitions_outlive_closing() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let first = store.append(table.id, rows(0..10)).unwrap();
    assert_eq!(places(&first.appended), [(0, 0, 10)]);
    assert!(!first.duplicate);

    let store = store.reopen();
    assert_eq!(store.engine.table(&me(), "public", "t").unwrap(), table);
    assert_eq!(store.offsets(table.id), [(0, 10)]);
    let second = store.append(table.id, rows(10..15)).unwrap();
    assert_eq!(places(&second.appended), [(0, 10, 5)]);
    assert!(second.lsn > first.lsn);
}

#[test]
fn an_engine_that_was_not_closed_is_replayed() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    for id in 0..20 {
        store.append(table.id, rows([id])).unwrap();
    }
    let crashed = tempfile::tempdir().unwrap();
    copy(store.dir.path(), crashed.path());
    let engine = Engine::open_with(options(crashed.path())).unwrap();
    assert_eq!(engine.table_offsets(&me(), table.id).unwrap(), [(0, 20)]);
    assert_eq!(engine.table(&me(), "public", "t").unwrap(), table);
}

#[test]
fn a_store_is_open_once() {
    let store = Store::new();
    let again = Engine::open_with(options(store.dir.path())).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Retry, "{again}");
}

#[test]
fn closing_is_final_and_idempotent() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let clone = store.engine.clone();
    store.engine.close().unwrap();
    clone.close().unwrap();
    assert!(matches!(store.append(table.id, rows(0..1)), Err(Error::Closed)));
    assert!(matches!(clone.tables(&me()), Err(Error::Closed)));
    // The directory is free although the handles live on.
    let opened = Engine::open_with(options(store.dir.path())).unwrap();
    assert_eq!(opened.tables(&me()).unwrap().len(), 1);
}

#[test]
fn the_last_clone_closes() {
    let store = Store::new();
    let Store { dir, engine } = store;
    let clone = engine.clone();
    drop(engine);
    assert!(Engine::open_with(options(dir.path())).is_err());
    drop(clone);
    let opened = Engine::open_with(options(dir.path())).unwrap();
    assert!(opened.events(&me()).unwrap().is_empty(), "{:?}", opened.events(&me()).unwrap());
}

#[test]
fn checkpoints_make_openings_short() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    store.append(table.id, rows(0..1_000)).unwrap();
    let store = store.reopen();
    let stats = store.engine.stats(&me()).unwrap();
    assert!(stats.checkpoint_lsn.0 >= 1_000, "{stats:?}");
    assert_eq!(store.offsets(table.id), [(0, 1_000)]);
}

#[test]
fn a_state_store_ahead_of_its_log_is_refused() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let before = tempfile::tempdir().unwrap();
    let store = store.reopen();
    copy(&store.dir.path().join("log"), before.path());
    store.append(table.id, rows(0..100)).unwrap();
    store.engine.close().unwrap();
    std::fs::remove_dir_all(store.dir.path().join("log")).unwrap();
    copy(before.path(), &store.dir.path().join("log"));
    let error = Engine::open_with(options(store.dir.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_state_store_cut_short_while_created_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("state/keyspaces")).unwrap();
    std::fs::write(dir.path().join("state/0.jnl"), b"").unwrap();
    std::fs::write(dir.path().join("state/version"), b"").unwrap();
    let engine = Engine::open_with(options(dir.path())).unwrap();
    assert_eq!(engine.namespaces(&me()).unwrap(), ["public"]);
}

#[test]
fn settings_out_of_range_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = options(dir.path());
    wrong.max_commit_bytes = 1;
    assert_eq!(message(Engine::open_with(wrong)), "max_commit_bytes must be at least 65536, it is 1");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
