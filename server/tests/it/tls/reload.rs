//! New certificates while clients are there.

use rustls::pki_types::CertificateDer;

use super::authority::{Stream, connect, get};
use super::{Home, events, until};

fn shown(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn new_files_are_shown_to_new_connections() {
    let home = Home::new();
    let server = home.serve(&[]);
    let open = || connect(server.http, home.client(None)).unwrap();
    let mut live = open();
    let first = shown(&live);
    let renewed = home.authority.server();
    std::fs::write(&home.certificate, &renewed.certificate).unwrap();
    std::fs::write(&home.key, &renewed.key).unwrap();
    until("the new certificate is shown", || shown(&open()) != first);
    let second = shown(&open());
    assert_eq!(get(&mut live, "/readyz").unwrap(), "http/1.1 200 ok", "who was there goes on");
    until("that is told", || events(&server, "tls_certificate_changed").contains("SHA256:"));
    assert!(!events(&server, "tls_certificate_refused").contains("SHA256:"));

    std::fs::write(&home.key, "no key").unwrap();
    until("the broken key is told of", || events(&server, "tls_certificate_refused").contains("no private key"));
    assert_eq!(shown(&open()), second, "the old one is shown on");
    std::fs::remove_file(&home.certificate).unwrap();
    until("the missing file is told of", || events(&server, "tls_certificate_refused").contains("No such file"));
    assert_eq!(shown(&open()), second);
    home.authority.server().write(home.path(), "server");
    until("a pair that is whole is taken", || shown(&open()) != second);
    assert_eq!(get(&mut live, "/readyz").unwrap(), "http/1.1 200 ok");
}
