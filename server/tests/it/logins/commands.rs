//! The command line: who it says it is, and the way back in.

use std::process::Stdio;

use super::{ADMIN, ANN, admin, done, run, server, told};
use crate::program::{Server, code, millstream, stderr, stdout};

const NEW: &str = "a new password";

/// Runs `millstream passwd` with a password on standard input.
fn passwd(dir: &std::path::Path, user: &str, password: &str) -> std::process::Output {
    use std::io::Write;
    let mut command = millstream();
    command.args(["passwd", user, "--password-file", "-", "--data"]).arg(dir.join("data"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who does not get as far as to read it closes it.
    let _ = child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn commands_log_in_by_flags_files_and_variables() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    let token = run(async {
        let admin = admin(&server).await;
        done(&admin, &[&format!("CREATE USER ann PASSWORD '{ANN}'"), "CREATE TABLE t (id BIGINT)"]).await;
        done(&admin, &["GRANT ALL ON TABLE t TO ann"]).await;
        told(&admin, "CREATE TOKEN n FOR ann").await
    });
    let file = dir.path().join("password");
    std::fs::write(&file, format!("{ANN}\n")).unwrap();
    let file = file.to_str().unwrap();
    let command = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = millstream();
        command.args(arguments).args(["--url", &server.url()]).envs(variables.iter().copied());
        command.stdin(Stdio::null()).output().unwrap()
    };
    let select = ["sql", "-c", "SELECT count(*) AS n FROM t", "--format", "csv"];
    let with = |more: &[&'static str]| [&select[..], more].concat();
    for (arguments, variables) in [
        (with(&["--user", "ann", "--password", ANN]), vec![]),
        ([&select[..], &["--user", "ann", "--password-file", file]].concat(), vec![]),
        ([&select[..], &["--token", &token]].concat(), vec![]),
        (with(&[]), vec![("MILLSTREAM_TOKEN", token.as_str())]),
        (with(&[]), vec![("MILLSTREAM_USER", "ann"), ("MILLSTREAM_PASSWORD", ANN)]),
        (with(&["--user", "ann"]), vec![("MILLSTREAM_PASSWORD", ANN), ("MILLSTREAM_TOKEN", "mst_other")]),
    ] {
        let output = command(&arguments, &variables);
        assert_eq!((code(&output), stdout(&output)), (0, "n\n0\n"), "{arguments:?}: {}", stderr(&output));
    }
    for arguments in [with(&[]), with(&["--user", "ann"]), with(&["--token", "mst_other"])] {
        let output = command(&arguments, &[]);
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert!(!stderr(&output).contains("mst_other"), "{}", stderr(&output));
    }
    let output = command(&with(&["--user", "ann", "--token", "mst_other"]), &[]);
    assert_eq!(code(&output), 2);
    // Every command that talks to a server takes them.
    for arguments in [vec!["topic", "list"], vec!["group", "list"], vec!["transaction", "list"], vec!["plugin", "list"]]
    {
        let known = command(&[&arguments[..], &["--token", &token]].concat(), &[]);
        assert!(!stderr(&known).contains("log in"), "{arguments:?}: {}", stderr(&known));
        let nobody = command(&arguments, &[]);
        let told = stderr(&nobody).to_owned();
        assert!(code(&nobody) == 1 && told.contains("log in"), "{arguments:?}: {told}");
    }
}

#[test]
fn who_has_the_data_directory_gets_back_in() {
    let dir = tempfile::tempdir().unwrap();
    let admin_is_in = |server: &Server, password: &str| {
        let output = server.run(&["sql", "-c", "SHOW USERS", "--user", "admin", "--password", password]);
        code(&output) == 0
    };
    let first = Server::over(dir.path(), &[]);
    let refused = passwd(dir.path(), "admin", NEW);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("a server runs on"), "{}", stderr(&refused));
    first.ended_log();

    let made = passwd(dir.path(), "admin", ADMIN);
    assert_eq!((code(&made), stdout(&made)), (0, "the password of \"admin\" is set\n"), "{}", stderr(&made));
    let second = Server::over(dir.path(), &[]);
    assert!(admin_is_in(&second, ADMIN) && !admin_is_in(&second, NEW));
    second.ended_log();

    assert_eq!(code(&passwd(dir.path(), "admin", NEW)), 0);
    let unknown = passwd(dir.path(), "nobody", NEW);
    assert!(code(&unknown) == 1 && stderr(&unknown).contains("nobody"), "{}", stderr(&unknown));
    let short = passwd(dir.path(), "admin", "short");
    assert!(code(&short) == 2 && stderr(&short).contains("8 to 1024 bytes"), "{}", stderr(&short));
    // Where there are users the variable makes nobody.
    let third = server(dir.path(), &[]);
    assert!(admin_is_in(&third, NEW) && !admin_is_in(&third, ADMIN));
}

#[test]
fn a_first_password_that_will_not_do_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = millstream();
    command.arg("serve").arg("--data").arg(dir.path().join("data")).env("MILLSTREAM_INIT_ADMIN_PASSWORD", "sesame");
    let output = command.args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--remoting", "127.0.0.1:0"]).output();
    let output = output.unwrap();
    assert_eq!(code(&output), 2);
    let told = stderr(&output);
    assert!(told.contains("MILLSTREAM_INIT_ADMIN_PASSWORD") && !told.contains("sesame"), "{told}");
    let missing =
        millstream().args(["passwd", "admin", "--data", "/nonexistent", "--password-file", "-"]).output().unwrap();
    assert_eq!(code(&missing), 2);
    assert!(!std::path::Path::new("/nonexistent").exists());
}
