//! Which files statements reach, and how written ones come to be.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millstream_engine::ErrorKind;
use millstream_sql::{Error, SqlOptions};

use crate::support::{Store, open};

/// A store with `t (a)` of three rows, whose root is `root` in the directory; `outside` lies beside it.
async fn store() -> (Store, tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for made in ["root", "outside", "own"] {
        std::fs::create_dir(dir.path().join(made)).unwrap();
    }
    let own_dirs = vec![dir.path().join("own"), root.join("data")];
    let store = open(SqlOptions { file_roots: vec![root.clone()], own_dirs, ..SqlOptions::default() });
    store.run("CREATE TABLE t (a INT)").await;
    store.run("INSERT INTO t VALUES (1), (2), (3)").await;
    (store, dir, root)
}

async fn error(store: &Store, sql: &str) -> Error {
    let executed = tokio::time::timeout(Duration::from_secs(60), store.rows(sql)).await;
    executed.unwrap_or_else(|_| panic!("{sql} hangs")).expect_err(sql)
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reached_without_a_root() {
    let store = open(SqlOptions::default());
    store.run("CREATE TABLE t (a INT)").await;
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("there.csv");
    std::fs::write(&there, "a\n1\n").unwrap();
    for sql in [
        format!("COPY t FROM '{}'", there.display()),
        format!("COPY t TO '{}' WITH (overwrite = true)", there.display()),
        format!("CREATE PLUGIN p FROM '{}'", there.display()),
        "COPY t FROM '/no/such/file.csv'".to_owned(),
        "COPY t TO '/'  WITH (format = 'csv')".to_owned(),
    ] {
        let error = error(&store, &sql).await;
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{sql}: {error}");
        assert!(error.to_string().contains("file_roots"), "{error}");
    }
    assert_eq!(names(dir.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_nowhere_else() {
    let (store, dir, root) = store().await;
    let outside = dir.path().join("outside");
    std::fs::write(outside.join("secret.csv"), "a\n7\n").unwrap();
    symlink(outside.join("secret.csv"), root.join("file.csv")).unwrap();
    symlink(&outside, root.join("directory")).unwrap();
    symlink(root.join("within"), root.join("inner")).unwrap();
    std::fs::create_dir(root.join("within")).unwrap();
    for path in
        ["file.csv", "directory/secret.csv", "../outside/secret.csv", "directory/missing.csv", "../outside/missing.csv"]
    {
        let path = root.join(path);
        let error = error(&store, &format!("COPY t FROM '{}'", path.display())).await;
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}: {error}", path.display());
    }
    for path in ["directory/new.csv", "../outside/new.csv", "../new.csv", "within/../../new.csv"] {
        let path = root.join(path);
        let error = error(&store, &format!("COPY t TO '{}'", path.display())).await;
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}: {error}", path.display());
    }
    // A link where a file is to be made is neither followed nor replaced.
    let error = error(&store, &format!("COPY t TO '{}/file.csv' WITH (overwrite = true)", root.display())).await;
    assert!(error.to_string().contains("not a regular file"), "{error}");
    assert_eq!(std::fs::read_to_string(outside.join("secret.csv")).unwrap(), "a\n7\n");
    assert_eq!(names(&outside).len(), 1);
    // One that stays under the root is as good as any path.
    store.run(&format!("COPY t TO '{}/inner/t.csv'", root.display())).await;
    assert_eq!(store.run(&format!("COPY t FROM '{}/within/t.csv'", root.display())).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_files_are_out_of_reach() {
    let (store, dir, root) = store().await;
    let (own, data) = (dir.path().join("own"), root.join("data"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("log.csv"), "a\n7\n").unwrap();
    // Parts of a data directory may lie elsewhere.
    std::fs::create_dir(root.join("segments")).unwrap();
    symlink(root.join("segments"), own.join("segments")).unwrap();
    symlink(&data, root.join("link")).unwrap();
    for sql in [
        format!("COPY t FROM '{}'", data.join("log.csv").display()),
        format!("COPY t FROM '{}/link/log.csv'", root.display()),
        format!("COPY t TO '{}'", data.join("new.csv").display()),
        format!("COPY t TO '{}' WITH (overwrite = true)", data.join("log.csv").display()),
        format!("COPY t TO '{}/segments/new.csv'", root.display()),
    ] {
        let error = error(&store, &sql).await;
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{sql}: {error}");
        assert!(error.to_string().contains("of the server itself"), "{error}");
    }
    assert_eq!((names(&data).len(), names(&root.join("segments")).len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_hold_nobody_up() {
    let (store, _dir, root) = store().await;
    let pipe = root.join("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for sql in [
        format!("COPY t FROM '{}'", pipe.display()),
        format!("COPY t TO '{}' WITH (overwrite = true)", pipe.display()),
        format!("COPY t FROM '{}' WITH (format = 'csv')", root.display()),
    ] {
        let error = error(&store, &sql).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_stays_unless_the_statement_says_so() {
    let (store, _dir, root) = store().await;
    let file = root.join("t.csv");
    std::fs::write(&file, "mine").unwrap();
    let copy = format!("COPY t TO '{}'", file.display());
    for option in ["", " WITH (overwrite = false)"] {
        let error = error(&store, &format!("{copy}{option}")).await;
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert!(error.to_string().contains("overwrite = true"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(store.run(&format!("{copy} WITH (overwrite = true)")).await, 3);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\n1\n2\n3\n");
    // A statement that fails after its first rows leaves what was there, and nothing beside it.
    let failing = "SELECT 10 / (500000 - value) AS a FROM generate_series(1, 500000)";
    error(&store, &format!("COPY ({failing}) TO '{}' WITH (overwrite = true)", file.display())).await;
    error(&store, &format!("COPY ({failing}) TO '{}'", root.join("new.csv").display())).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\n1\n2\n3\n");
    assert_eq!(names(&root), BTreeSet::from(["t.csv".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_write_one_name_at_once_do_not_meet() {
    const ROWS: i64 = 20_000;
    let (store, _dir, root) = store().await;
    for (round, option) in ["", " WITH (overwrite = true)"].into_iter().enumerate() {
        let file = root.join(format!("{round}.csv"));
        let copies = (0..6).map(|writer| {
            let (session, file) = (store.session.clone(), file.display().to_string());
            let sql =
                format!("COPY (SELECT {writer} AS a, value AS b FROM generate_series(1, {ROWS})) TO '{file}'{option}");
            async move { session.execute(&sql).await.map(drop) }
        });
        let ended = futures::future::join_all(copies).await;
        let done = ended.iter().filter(|ended| ended.is_ok()).count();
        assert_eq!(done, if option.is_empty() { 1 } else { 6 }, "{ended:?}");
        for error in ended.into_iter().filter_map(Result::err) {
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        }
        // Whosever it is, it is his alone.
        let text = std::fs::read_to_string(&file).unwrap();
        let mut lines = text.lines().skip(1);
        let writer = lines.clone().next().unwrap().split(',').next().unwrap().to_owned();
        assert!(
            (1..=ROWS).all(|row| lines.next() == Some(format!("{writer},{row}").as_str())) && lines.next().is_none()
        );
    }
    assert_eq!(names(&root).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_names_are_not_taken_for_ours() {
    let (store, dir, root) = store().await;
    let victim = dir.path().join("outside/victim");
    std::fs::write(&victim, "mine").unwrap();
    let process = std::process::id();
    symlink(&victim, root.join(format!("t.csv.{process}.unfinished"))).unwrap();
    for number in 0..200 {
        symlink(&victim, root.join(format!("t.csv.{process}-{number}.unfinished"))).unwrap();
    }
    // It finds a free name, or says that there is none.
    let copied = store.rows(&format!("COPY t TO '{}/t.csv'", root.display())).await;
    assert!(copied.is_ok() || !root.join("t.csv").exists());
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
}
