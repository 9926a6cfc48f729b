//! `serve`: the ready line, settings, and how it ends.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::program::{Server, code, millstream, stderr, stdout};

#[test]
fn it_says_when_it_is_ready_and_ends_in_order() {
    for signal in ["TERM", "INT"] {
        let server = Server::start();
        assert_eq!(
            server.ready,
            format!("ready grpc={} http={} remoting={}\n", server.grpc, server.http, server.remoting)
        );
        assert_ne!(server.grpc.port(), 0);
        server.signal(signal);
        assert_eq!(server.wait(), (Some(0), String::new()), "SIG{signal}");
    }
}

#[test]
fn it_ends_in_order_with_connections_open() {
    let server = Server::start();
    let idle: Vec<TcpStream> = [server.grpc, server.http, server.remoting]
        .into_iter()
        .map(|address| TcpStream::connect(address).unwrap())
        .collect();
    server.ok(&["sql", "-c", "SELECT 1"]);
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
    drop(idle);
}

#[test]
fn rows_survive_an_orderly_end_and_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::over(dir.path(), &[]);
    server.ok(&["sql", "-c", "CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2)"]);
    server.kill();
    let server = Server::over(dir.path(), &[]);
    server.ok(&["sql", "-c", "INSERT INTO t VALUES (3)"]);
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
    let server = Server::over(dir.path(), &[]);
    let rows = server.ok(&["sql", "--format", "csv", "-c", "SELECT a FROM t ORDER BY a"]);
    assert_eq!(rows, "a\n1\n2\n3\n");
}

#[test]
fn a_directory_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &[]);
    let mut second = millstream();
    second.arg("serve").arg("--data").arg(dir.path().join("data")).args([
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--remoting",
        "127.0.0.1:0",
    ]);
    let output = second.output().unwrap();
    assert_eq!((code(&output), stdout(&output)), (1, ""));
    assert!(stderr(&output).contains("cannot open the store"), "{}", stderr(&output));
    drop(server);
}

#[test]
fn settings_come_from_flag_variable_and_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("millstream.toml");
    let refused = |text: &str, variables: &[(&str, &str)], flags: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut command = millstream();
        command.arg("serve").arg("--config").arg(&file).args(flags).envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{}", stderr(&output));
        stderr(&output).to_owned()
    };
    assert!(refused("", &[], &[]).contains("--data DIR"));
    let unknown = refused("data = '/d'\ngrcp = '127.0.0.1:1'\n", &[], &[]);
    assert!(unknown.contains("unknown key grcp") && unknown.contains("grpc, http"), "{unknown}");
    let unknown = refused("data = '/d'", &[("MILLSTREAM_GRCP", "x")], &[]);
    assert!(unknown.contains("unknown environment variable MILLSTREAM_GRCP"), "{unknown}");
    assert!(refused("data = '/d'\ngrpc = 'file'", &[], &[]).contains("key grpc of "));
    let variables = [("MILLSTREAM_GRPC", "variable")];
    assert!(
        refused("data = '/d'\ngrpc = 'file'", &variables, &[])
            .contains("environment variable MILLSTREAM_GRPC: \"variable\"")
    );
    assert!(refused("data = '/d'\ngrpc = 'file'", &variables, &["--grpc", "flag"]).contains("flag --grpc: \"flag\""));
    assert!(refused("data = '/d'", &[], &["--no-such-flag"]).contains("--no-such-flag"));
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let mut command = millstream();
    command.arg("serve").arg("--data").arg(dir.path()).args(["--grpc", "127.0.0.1:0", "--http", &address]);
    let output = command.output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains(&format!("cannot listen on {address} (http)")), "{}", stderr(&output));
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--header-timeout-ms", "200"]);
    let mut silent = TcpStream::connect(server.http).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let begun = Instant::now();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20));
}
