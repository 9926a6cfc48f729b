//! Each door by TLS, and without.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::version::{TLS12, TLS13};
use serde_json::json;

use super::authority::{Authority, connect, get, trusting};
use super::{Home, at, command, text};
use crate::program::Server;
use crate::remoting::{Remoting, message};

#[test]
fn every_door_speaks_tls_and_on_this_machine_plaintext_too() {
    let home = Home::new();
    let server = home.serve(&[]);
    assert!(server.ready.contains(" tls=SHA256:"), "{}", server.ready);
    for version in [&TLS12, &TLS13] {
        let client = trusting(&home.authority.pem(), None, &[version]);
        let mut http = connect(server.http, client.clone()).unwrap();
        assert_eq!(http.conn.protocol_version(), Some(version.version));
        for _ in 0..2 {
            assert_eq!(get(&mut http, "/readyz").unwrap(), "http/1.1 200 ok");
        }
        let mut remoting = Remoting::over(connect(server.remoting, client).unwrap());
        let (code, header, _) = remoting.ask(310, &message("t", 0, "UNIQ_KEY\u{1}id\u{2}"), &vec![b'x'; 200_000]);
        assert_eq!(code, 0, "{header}");
    }
    assert_eq!(command(&server, &["--tls-ca", text(&home.ca)]), (0, "one\n1\n".to_owned()));

    assert_eq!(server.http("GET", "/readyz", &[], b"").0, 200);
    assert_eq!(server.ok(&["sql", "--format", "csv", "-c", "SELECT 1 AS one"]), "one\n1\n");
    assert_eq!(Remoting::connect(server.remoting).ask(105, &json!({"topic": "t"}), b"").0, 0);
}

#[test]
fn where_tls_is_required_nobody_is_served_without() {
    let home = Home::new();
    let server = home.serve(&["--tls-required", "always"]);
    let (status, answer) = server.http("POST", "/v1/sql", &[], b"CREATE TABLE t (a BIGINT)");
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, 400, "{answer}");
    assert!(answer.contains("invalid_input") && answer.contains("https://"), "{answer}");
    assert_eq!(at(&server.url(), "SELECT 1", &[]).0, 3);
    let mut remoting = TcpStream::connect(server.remoting).unwrap();
    remoting.write_all(&[0, 0, 0, 4, 0, 0, 0, 0]).unwrap();
    assert!(matches!(remoting.read(&mut [0; 1]), Ok(0) | Err(_)));
    let url = format!("grpc+tls://127.0.0.1:{}", server.grpc.port());
    let tables = at(&url, "SELECT count(*) AS n FROM system.tables", &["--tls-ca", text(&home.ca)]);
    assert_eq!(tables, (0, "n\n0\n".to_owned()));
    let figures = figures(&server, &home);
    let counted = figures.lines().find_map(|line| line.strip_prefix("millstream_tls_handshakes_refused_total "));
    assert!(counted.is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count >= 3)), "{counted:?}");
}

fn figures(server: &Server, home: &Home) -> String {
    let mut stream = connect(server.http, home.client(None)).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn old_versions_and_other_protocols_are_refused() {
    let home = Home::new();
    let server = home.serve(&["--tls-min-version", "1.3"]);
    let old = trusting(&home.authority.pem(), None, &[&TLS12]);
    assert!(connect(server.http, old).is_err());
    let new = trusting(&home.authority.pem(), None, &[&TLS13]);
    assert!(connect(server.http, new.clone()).is_ok());
    for (address, protocol, taken) in [
        (server.http, "http/1.1", true),
        (server.http, "h2", false),
        (server.grpc, "h2", true),
        (server.grpc, "http/1.1", false),
        (server.remoting, "h2", true),
    ] {
        let mut client = new.clone();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        assert_eq!(connect(address, client).is_ok(), taken, "{protocol}");
    }
}

#[test]
fn clients_show_certificates() {
    let home = Home::new();
    let (ours, others) = (home.authority.client("reports"), Authority::new("others").client("reports"));
    let shown = ours.write(home.path(), "reports");
    let optional = home.serve(&["--tls-client-ca", text(&home.ca)]);
    let asks = |server: &Server, shown| {
        connect(server.http, home.client(shown)).and_then(|mut http| get(&mut http, "/readyz"))
    };
    assert!(asks(&optional, None).is_ok());
    assert!(asks(&optional, Some(&ours)).is_ok());
    assert!(asks(&optional, Some(&others)).is_err(), "one that does not hold is worse than none");
    drop(optional);
    let required = home.serve(&["--tls-client-ca", text(&home.ca), "--tls-client-certificates", "required"]);
    assert!(asks(&required, None).is_err());
    assert!(asks(&required, Some(&others)).is_err());
    assert!(asks(&required, Some(&ours)).is_ok());
    let ca = ["--tls-ca", text(&home.ca)];
    assert_eq!(command(&required, &ca).0, 3);
    let own = ["--tls-client-cert", text(&shown.0), "--tls-client-key", text(&shown.1)];
    assert_eq!(command(&required, &[&ca[..], &own].concat()).0, 0);
    let mut remoting = Remoting::over(connect(required.remoting, home.client(Some(&ours))).unwrap());
    assert_eq!(remoting.ask(105, &json!({"topic": "TBW102"}), b"").0, 0);
}
