//! The HTTP door.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::program::Server;

fn open(server: &Server, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // Where there is no place, it is closed before it has sent anything.
    let _ = stream.write_all(request.as_bytes());
    stream
}

/// The status of a probe, if it comes.
fn probe(server: &Server, path: &str) -> Option<String> {
    let mut answer = String::new();
    let mut stream = open(server, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().next().map(str::to_owned)
}

#[test]
fn a_body_that_stops_coming_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--receive-timeout-ms", "500"]);
    for body in ["Content-Length: 3000000\r\n\r\nSELECT", "Transfer-Encoding: chunked\r\n\r\n6\r\nSELECT\r\n"] {
        let begun = Instant::now();
        let mut stream = open(&server, &format!("POST /v1/sql HTTP/1.1\r\nHost: localhost\r\n{body}"));
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 408");
        assert!(begun.elapsed() < Duration::from_secs(25), "it was not the time-out that ended it");
    }
    server.until_metric("ingress_bytes", 0.0);
}

#[test]
fn clients_that_hold_all_places_do_not_hide_how_the_server_is() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--header-timeout-ms", "600000"]);
    let silent: Vec<TcpStream> = (0..1024).map(|_| open(&server, "POST /v1/sql HTTP/1.1\r\n")).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    // The last of them may not have been accepted yet.
    while !probe(&server, "/v1/sql").is_some_and(|status| status.contains("503")) {
        assert!(Instant::now() < deadline, "there are places left");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(probe(&server, path).as_deref(), Some("HTTP/1.1 200 OK"), "{path}");
    }
    // A probe that does nothing is soon gone, and leaves its place to the next.
    let idle: Vec<TcpStream> = (0..64).map(|_| open(&server, "GET /healthz HTTP/1.1\r\n")).collect();
    while probe(&server, "/healthz").as_deref() != Some("HTTP/1.1 200 OK") {
        assert!(Instant::now() < deadline, "idle probes keep their places");
    }
    drop((silent, idle));
}

#[test]
fn a_reader_who_never_reads_gives_up_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--write-idle-timeout-ms", "500"]);
    let statement =
        "SELECT a.value, b.value, 'and so on' FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b";
    let request =
        format!("POST /v1/sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{statement}", statement.len());
    let never = open(&server, &request);
    server.until_metric("connections_ended_total", 1.0);
    server.until_metric("egress_bytes", 0.0);
    drop(never);
}
