//! Whoever shows a certificate is known at each door, and to each request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Extension;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, http::StatusCode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::server::Connected;

use super::super::accept::Listener;
use super::super::budgets::Net;
use super::super::http1::{self, Site};
use super::super::limits::NetLimits;
use super::super::places::Capacity;
use super::super::sent::Sent;
use super::super::stop::Stop;
use super::{Speaking, Tls, TlsMode, TlsSettings};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Settings of a server whose own certificate is of `authority`, as its clients' are.
fn settings(dir: &Path, authority: &Issuer) -> TlsSettings {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    TlsSettings {
        mode: TlsMode::Files,
        certificate: write("cert.pem", params.signed_by(&key, authority).unwrap().pem()),
        key: write("key.pem", key.serialize_pem()),
        client_ca: Some(write("ca.pem", authority.pem())),
        ..TlsSettings::default()
    }
}

async fn listener(dir: &Path, authority: &Issuer) -> Listener {
    let tls = Tls::open(&settings(dir, authority), dir, &[]).unwrap();
    let net = Net::new(NetLimits::default());
    Listener::bind(&net, tls, "test", ([127, 0, 0, 1], 0).into(), Capacity::new(10)).await.unwrap()
}

/// A client that shows a certificate of `name`, which is a long one if it has `padding`.
fn client(authority: &Issuer, name: &str, padding: usize) -> TlsConnector {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "x".repeat(padding));
    let certificate = params.signed_by(&key, authority).unwrap().der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![certificate];
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap());
    Arc::new(config.unwrap()).into()
}

async fn connect(client: TlsConnector, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    client.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

#[tokio::test]
async fn connections_know_who_has_shown_a_certificate() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let listener = listener(dir.path(), &authority).await;
    let port = listener.address().unwrap().port();
    for speaking in [Speaking::Http1, Speaking::Http2, Speaking::Frames] {
        let asking = async {
            let mut stream = connect(client(&authority, "reports", 0), port).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream
        };
        let serving = async {
            let mut accepted = listener.accept(speaking).await;
            accepted.read_exact(&mut [0; 5]).await.unwrap();
            accepted
        };
        let (_asking, accepted) = futures::join!(asking, serving);
        let peer = accepted.connect_info();
        assert_eq!(peer.certificate_name(), Some("reports"), "{speaking:?}");
        assert_eq!(peer.certificate_alternatives(), ["a.example"]);
    }
}

async fn name(Extension(sent): Extension<Arc<Sent>>) -> String {
    sent.peer.certificate_name().unwrap_or("nobody").to_owned()
}

#[tokio::test]
async fn requests_know_it_too() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let listener = listener(dir.path(), &authority).await;
    let port = listener.address().unwrap().port();
    let router = Router::new().route("/", get(name));
    let refuse = |_| StatusCode::SERVICE_UNAVAILABLE.into_response();
    let needs_tls = || StatusCode::BAD_REQUEST.into_response();
    let (_running, stop) = Stop::new();
    let serving = http1::serve(listener, Site { router, probes: &[], refuse, needs_tls }, stop);
    let asking = async {
        let mut stream = connect(client(&authority, "reports", 0), port).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n\r\nreports"), "{answer}");
    };
    tokio::select! {
        () = asking => {}
        _ = serving => unreachable!("it serves until it is stopped"),
    }
}

#[tokio::test]
async fn long_handshakes_wait_for_room_and_longer_ones_are_refused() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let listener = listener(dir.path(), &authority).await;
    let port = listener.address().unwrap().port();
    for (name, padding) in [("long", 20_000), ("longer", 60_000)] {
        let asking = async {
            let mut stream = connect(client(&authority, name, padding), port).await.unwrap();
            // Whoever is refused may hear of it before this.
            let _ = stream.write_all(b"hello").await;
            stream
        };
        let serving = async {
            let mut accepted = listener.accept(Speaking::Frames).await;
            let read = tokio::time::timeout(Duration::from_secs(20), accepted.read_exact(&mut [0; 5])).await.unwrap();
            (read, accepted)
        };
        let (_asking, (read, accepted)) = futures::join!(asking, serving);
        match name {
            "long" => assert_eq!(accepted.connect_info().certificate_name(), Some(name), "{read:?}"),
            _ => assert!(read.unwrap_err().to_string().contains("36 KiB")),
        }
    }
}
