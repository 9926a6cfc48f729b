//! Certificates that a server makes for itself.

use std::os::unix::fs::PermissionsExt;

use super::text;
use crate::program::{Server, code, millstream, stderr};

#[test]
fn a_server_makes_its_certificate_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--tls", "self-signed"]);
    let folder = dir.path().join("data/tls");
    let mode = |name: &str| std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("key.pem"), mode("certificate.pem")), (0o600, 0o644));
    let (ready, certificate) = (server.ready.clone(), folder.join("certificate.pem"));
    let fingerprint = ready.trim().rsplit_once(" tls=").unwrap().1;
    for trust in [["--tls-ca", text(&certificate)], ["--tls-fingerprint", fingerprint]] {
        let (code, said) = super::command(&server, &trust);
        assert_eq!(code, 0, "{said}");
    }
    drop(server);
    let again = Server::over(dir.path(), &["--tls", "self-signed"]);
    assert!(again.ready.trim().ends_with(fingerprint), "{} {ready}", again.ready);
    drop(again);
    std::fs::remove_dir_all(&folder).unwrap();
    let anew = Server::over(dir.path(), &["--tls", "self-signed"]);
    assert!(!anew.ready.contains(fingerprint));
    // Nothing of a certificate that was being made stays behind.
    let left = std::fs::read_dir(dir.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with(".tls")));
}

#[test]
fn settings_that_give_no_tls_end_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    let home = super::Home::new();
    let other = super::Authority::new("others").server().write(dir.path(), "other");
    for (options, words) in [
        (vec!["--tls", "files"], ["tls_cert", "self-signed"]),
        (vec!["--tls", "on"], ["self-signed", "files"]),
        (vec!["--tls-cert", text(&home.certificate), "--tls-key", text(&home.key)], ["tls = files", "tls_cert"]),
        (vec!["--tls-client-ca", text(&home.ca)], ["tls is off", "tls_client_ca"]),
        (vec!["--tls", "files", "--tls-cert", "/no/such", "--tls-key", text(&home.key)], ["/no/such", "tls_cert"]),
        (vec!["--tls", "files", "--tls-cert", text(&broken), "--tls-key", text(&home.key)], ["broken.pem", "tls_cert"]),
        (
            vec!["--tls", "files", "--tls-cert", text(&home.certificate), "--tls-key", text(&home.certificate)],
            ["no private key", "tls_key"],
        ),
        (
            vec!["--tls", "files", "--tls-cert", text(&home.certificate), "--tls-key", text(&other.1)],
            ["does not go with", "other.key"],
        ),
        (vec!["--tls", "self-signed", "--tls-min-version", "1.1"], ["1.2", "1.3"]),
    ] {
        let mut command = millstream();
        command.arg("serve").arg("--data").arg(dir.path().join("data")).args(&options);
        command.args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--remoting", "127.0.0.1:0"]);
        let output = command.output().unwrap();
        let said = stderr(&output);
        assert!(code(&output) == 2 && words.iter().all(|word| said.contains(word)), "{options:?}: {said}");
    }
}

#[test]
fn an_address_that_others_reach_lacks_less_with_tls() {
    let dir = tempfile::tempdir().unwrap();
    for (tls, lacks) in [(&[][..], "authentication and TLS"), (&["--tls", "self-signed"], "no authentication:")] {
        let mut command = millstream();
        command.arg("serve").arg("--data").arg(dir.path().join("data")).args(["--grpc", "0.0.0.0:0"]).args(tls);
        let output = command.output().unwrap();
        assert!(code(&output) == 2 && stderr(&output).contains(lacks), "{}", stderr(&output));
    }
    let unprotected = ["--tls", "self-signed", "--tls-required", "never"];
    let mut command = millstream();
    command.arg("serve").arg("--data").arg(dir.path().join("data")).args(["--grpc", "0.0.0.0:0"]).args(unprotected);
    assert!(stderr(&command.output().unwrap()).contains("authentication and TLS"));
}
