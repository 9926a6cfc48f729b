//! Whom clients trust.

use super::{Authority, Home, at, command, events, text, until};
use crate::program::Server;

/// The fingerprint in the ready line.
fn fingerprint(server: &Server) -> String {
    server.ready.trim().rsplit_once(" tls=").unwrap().1.to_owned()
}

#[test]
fn a_server_is_known_by_its_issuer_or_by_itself() {
    let home = Home::new();
    let server = home.serve(&[]);
    let (code, said) = command(&server, &[]);
    assert!(code != 0 && said.contains("certificate"), "the machine's own know nothing of it: {said}");
    let other = home.path().join("other.pem");
    std::fs::write(&other, Authority::new("others").pem()).unwrap();
    assert_eq!(command(&server, &["--tls-ca", text(&other)]).0, 3);

    let right = fingerprint(&server);
    let colons: Vec<&str> = (7..right.len()).step_by(2).map(|at| &right[at..at + 2]).collect();
    let colons = colons.join(":").to_uppercase();
    for right in [right.as_str(), &right[7..], &colons] {
        assert_eq!(command(&server, &["--tls-fingerprint", right]).0, 0, "{right}");
    }
    let wrong = format!("SHA256:{}", "0".repeat(64));
    let (code, said) = command(&server, &["--tls-fingerprint", &wrong]);
    assert!(code == 3 && said.contains(&right) && said.contains(&wrong), "{said}");
    assert_eq!(command(&server, &["--tls-fingerprint", &wrong, "--tls-ca", text(&home.ca)]).0, 3, "both must hold");
    assert_eq!(command(&server, &["--tls-fingerprint", &right, "--tls-ca", text(&other)]).0, 3, "both must hold");
    assert_eq!(command(&server, &["--tls-fingerprint", "SHA256:12"]).0, 2);
    assert_eq!(command(&server, &["--tls-ca", "/no/such/file"]).0, 2);
    // A client that was told whom to trust does not go on without TLS.
    let output = server.run(&["sql", "-c", "SELECT 1", "--tls-fingerprint", &right]);
    assert_eq!(crate::program::code(&output), 2);
}

#[test]
fn a_certificate_that_holds_no_longer_is_known_by_its_fingerprint_alone() {
    let home = Home::new();
    home.authority.expired().write(home.path(), "server");
    let server = home.serve(&[]);
    let (code, said) = command(&server, &["--tls-ca", text(&home.ca)]);
    assert!(code == 3 && said.contains("xpired"), "{said}");
    assert_eq!(command(&server, &["--tls-fingerprint", &fingerprint(&server)]).0, 0);
    until("its end is told", || events(&server, "tls_certificate_ends").contains("holds no longer"));
}

#[test]
fn another_name_is_not_believed() {
    let home = Home::new();
    // Loopback has more than one address.
    let server = home.serve(&["--grpc", "127.0.0.2:0"]);
    let url = format!("grpc+tls://{}", server.grpc);
    let (code, said) = at(&url, "SELECT 1", &["--tls-ca", text(&home.ca)]);
    assert!(code == 3 && said.contains("not valid for"), "{said}");
    let (code, said) = at(&url, "SELECT 1", &["--tls-fingerprint", &fingerprint(&server)]);
    assert_eq!(code, 0, "{said}");
}
