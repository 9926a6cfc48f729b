//! Backups by the command line, of a server that runs.

use crate::program::{Server, code, millstream, stderr};

#[test]
fn a_server_is_backed_up_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let roots = dir.path().join("backups");
    std::fs::create_dir(&roots).unwrap();
    let root = roots.to_str().unwrap();
    let server = Server::over(dir.path(), &["--file-roots", root]);
    server.ok(&["sql", "-c", "CREATE TABLE words (id BIGINT NOT NULL, word VARCHAR)"]);
    server.ok(&["sql", "-c", "CREATE TOPIC long AS SELECT id FROM words WHERE length(word) > 3"]);
    server.ok(&["sql", "-c", "INSERT INTO words VALUES (1, 'one'), (2, 'three')"]);
    assert_eq!(
        server.ok(&["consume", "long", "--group", "g", "--from", "earliest", "--max-rows", "1", "--format", "csv"]),
        "id\n2\n"
    );
    let backup = roots.join("monday");
    let said = server.ok(&["backup", backup.to_str().unwrap()]);
    assert!(said.contains("are backed up to") && said.contains("up to LSN"), "{said}");
    server.ok(&["sql", "-c", "INSERT INTO words VALUES (3, 'later')"]);
    let again = server.run(&["backup", backup.to_str().unwrap()]);
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("already exists"), "{}", stderr(&again));
    let outside = server.run(&["backup", dir.path().join("elsewhere").to_str().unwrap()]);
    assert!(stderr(&outside).contains("file_roots"), "{}", stderr(&outside));

    let other = tempfile::tempdir().unwrap();
    let data = other.path().join("data");
    let restored = millstream().arg("restore").arg(&backup).arg("--data").arg(&data).output().unwrap();
    assert_eq!(code(&restored), 0, "{}", stderr(&restored));
    let restored = Server::over(other.path(), &[]);
    assert_eq!(restored.ok(&["sql", "-c", "SELECT id FROM words ORDER BY id", "--format", "csv"]), "id\n1\n2\n");
    let committed = "SELECT committed_offset FROM system.offsets WHERE group_id = 'g'";
    let here = server.ok(&["sql", "-c", committed, "--format", "csv"]);
    assert_eq!(restored.ok(&["sql", "-c", committed, "--format", "csv"]), here);
    let taken = millstream().arg("restore").arg(&backup).arg("--data").arg(&data).output().unwrap();
    assert!(stderr(&taken).contains("already exists"), "{}", stderr(&taken));
}
