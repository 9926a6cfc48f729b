//! What a server refuses as it comes: requests from elsewhere, files, addresses that others reach.

use std::path::Path;
use std::process::Command;

use crate::program::{Server, code, millstream, stderr, stdout};

/// Answers `POST /v1/sql` as a browser or a tool would send it: status and body.
fn post(server: &Server, headers: &[(&str, &str)], statement: &str) -> (u16, String) {
    let (status, body) = server.http("POST", "/v1/sql", headers, statement.as_bytes());
    (status, String::from_utf8(body).unwrap())
}

fn tables(server: &Server) -> String {
    server.ok(&["sql", "-c", "SELECT count(*) AS n FROM system.tables", "--format", "csv"])
}

#[test]
fn requests_by_other_names_and_from_foreign_pages_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--http-hosts", "mill.example", "--http-body-limit-bytes", "4kB"]);
    let own = format!("http://{}", server.http);
    for headers in [
        // A page whose name was made to point here, by GET and as a form.
        vec![("Host", "evil.example")],
        vec![("Host", "evil.example:8080"), ("Origin", "http://evil.example:8080")],
        vec![("Origin", "http://evil.example"), ("Content-Type", "text/plain")],
        vec![("Origin", "null")],
        vec![("Origin", "http://localhost:3000"), ("Sec-Fetch-Site", "same-site")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
        vec![("Referer", "http://evil.example/page.html"), ("Content-Type", "application/x-www-form-urlencoded")],
    ] {
        // Refused before the body is looked at, which here is over the limit.
        for statement in ["CREATE TABLE t (a BIGINT)".to_owned(), "x".repeat(10_000)] {
            let (status, answer) = post(&server, &headers, &statement);
            assert_eq!(status, 403, "{headers:?}: {answer}");
            assert!(answer.contains("permission_denied"), "{answer}");
        }
        assert_eq!(server.http("GET", "/metrics", &headers, b"").0, 403, "{headers:?}");
        assert_eq!(server.http("GET", "/v1/nothing", &headers, b"").0, 403, "{headers:?}");
        // Probes come by any name.
        assert_eq!(server.http("GET", "/healthz", &headers, b"").0, 200, "{headers:?}");
        assert_eq!(server.http("GET", "/readyz", &headers, b"").0, 200, "{headers:?}");
    }
    assert_eq!(tables(&server), "n\n0\n");
    let (_, answer) = post(&server, &[("Host", "evil.example")], "SELECT 1");
    assert!(answer.contains("http_hosts"), "the answer says what to do: {answer}");
    for (number, headers) in [
        vec![],
        vec![("Host", "localhost:1")],
        vec![("Host", "mill.example")],
        vec![("Host", "mill.example"), ("Origin", "https://mill.example"), ("Sec-Fetch-Site", "same-origin")],
        vec![("Origin", own.as_str())],
    ]
    .iter()
    .enumerate()
    {
        let (status, answer) = post(&server, headers, &format!("CREATE TABLE t{number} (a BIGINT)"));
        assert_eq!(status, 200, "{headers:?}: {answer}");
    }
    assert_eq!(tables(&server), "n\n5\n");
}

#[test]
fn the_flight_door_speaks_nothing_that_pages_speak() {
    use std::io::{Read, Write};
    let server = Server::start();
    for (method, kind) in [("POST", "application/grpc-web+proto"), ("POST", "text/plain"), ("OPTIONS", "text/plain")] {
        let mut stream = std::net::TcpStream::connect(server.grpc).unwrap();
        let path = "/arrow.flight.protocol.FlightService/DoGet";
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
}

/// What a statement that is refused says.
fn refused(server: &Server, statement: &str) -> String {
    let output = server.run(&["sql", "-c", statement]);
    assert_eq!(code(&output), 1, "{statement}: {}", stdout(&output));
    stderr(&output).to_owned()
}

#[test]
fn statements_reach_no_file_unless_a_root_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &[]);
    server.ok(&["sql", "-c", "CREATE TABLE t (a BIGINT)"]);
    let file = dir.path().join("t.csv");
    std::fs::write(&file, "a\n1\n").unwrap();
    let new = dir.path().join("new.csv");
    let missing = dir.path().join("missing.csv");
    for statement in [
        format!("COPY t FROM '{}'", file.display()),
        format!("COPY t FROM '{}'", missing.display()),
        format!("COPY t TO '{}'", new.display()),
        format!("COPY (SELECT 1 AS one) TO '{}' WITH (overwrite = true)", file.display()),
        format!("CREATE PLUGIN p FROM '{}'", file.display()),
    ] {
        let said = refused(&server, &statement);
        assert!(said.contains("file_roots") && said.contains("millstream import"), "{statement}: {said}");
    }
    assert!(!new.exists());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\n1\n");
    // The client's own files need no setting.
    server.ok(&["import", "t", file.to_str().unwrap()]);
    server.ok(&["export", "t", new.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&new).unwrap(), "a\n1\n");
}

#[test]
fn the_servers_own_files_are_out_of_reach_whatever_the_roots() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let server = Server::over(dir.path(), &["--file-roots", root]);
    server.ok(&["sql", "-c", "CREATE TABLE t (a BIGINT)"]);
    let own = dir.path().join("data");
    std::os::unix::fs::symlink(&own, dir.path().join("link")).unwrap();
    for path in [own.join("new.csv"), dir.path().join("link/new.csv"), dir.path().join("data/../data/new.csv")] {
        let said = refused(&server, &format!("COPY t TO '{}'", path.display()));
        assert!(said.contains("of the server itself"), "{said}");
    }
    let lock = std::fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_file()).unwrap();
    let said = refused(&server, &format!("COPY t FROM '{}' WITH (format = 'csv')", lock.display()));
    assert!(said.contains("of the server itself"), "{said}");
    server.ok(&["sql", "-c", &format!("COPY t TO '{root}/t.csv'")]);
    drop(server);

    for (root, word) in [(own.as_path(), "data directory"), (Path::new("/no/such/directory"), "No such file")] {
        let said = start_refused(dir.path(), &["--file-roots", root.to_str().unwrap()]);
        assert!(said.contains("file_roots") && said.contains(word), "{said}");
    }
}

/// What a server says that refuses to start.
fn start_refused(dir: &Path, options: &[&str]) -> String {
    let mut command = millstream();
    command.arg("serve").arg("--data").arg(dir.join("data"));
    if !options.contains(&"--grpc") {
        command.args(["--grpc", "127.0.0.1:0"]);
    }
    for door in ["--http", "--remoting"].into_iter().filter(|door| !options.contains(door)) {
        command.args([door, "127.0.0.1:0"]);
    }
    let output = ended(command.args(options));
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    stderr(&output).to_owned()
}

fn ended(command: &mut Command) -> std::process::Output {
    command.output().unwrap()
}

#[test]
fn an_address_that_others_reach_must_be_wanted() {
    let dir = tempfile::tempdir().unwrap();
    for (door, address) in [
        ("--grpc", "0.0.0.0:0"),
        ("--http", "0.0.0.0:0"),
        ("--http", "[::]:0"),
        ("--remoting", "0.0.0.0:0"),
        ("--grpc", "192.0.2.1:0"),
    ] {
        let said = start_refused(dir.path(), &[door, address]);
        assert!(said.contains("--insecure") && said.contains(address), "{said}");
    }
    assert!(!dir.path().join("data").exists(), "nothing is opened before");
    for insecure in [&["--insecure"][..], &["--insecure", "true"]] {
        let options = [&["--http", "0.0.0.0:0"], insecure].concat();
        let server = Server::over(dir.path(), &options);
        assert_eq!(server.http.ip().to_string(), "0.0.0.0");
    }
    let said = start_refused(dir.path(), &["--http", "0.0.0.0:0", "--insecure", "false"]);
    assert!(said.contains("--insecure"), "{said}");
}
