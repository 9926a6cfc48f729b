//! Peers that speak TLS badly, slowly or not at all.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::authority::{connect, get};
use super::{Home, command, text};
use crate::program::Server;

/// How long the server gives a handshake in these tests, and what is far beyond it.
const HANDSHAKE_MS: &str = "500";
const LATE: Duration = Duration::from_secs(20);

fn doors(server: &Server) -> [SocketAddr; 3] {
    [server.grpc, server.http, server.remoting]
}

/// Sends what it can of `bytes`.
fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LATE)).unwrap();
    let _ = stream.write_all(bytes);
    stream
}

/// Whether the server has ended it by now, whatever it has said before.
fn is_ended(mut stream: TcpStream) -> bool {
    let begun = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new());
    begun.elapsed() < LATE
}

/// A handshake record that says it has `stated` bytes of a message that says it has `message`.
fn record(stated: u16, message: u32, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = message.to_be_bytes();
    [&[22, 3, 1], &stated.to_be_bytes()[..], &[1, high, middle, low], body].concat()
}

#[test]
fn whoever_does_not_speak_tls_ends_his_own_connection() {
    let home = Home::new();
    let server = home.serve(&["--tls-required", "always", "--header-timeout-ms", HANDSHAKE_MS]);
    let garbage: Vec<u8> = (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let whole = record(0x4000, 0x00ff_ffff, &garbage[..0x3ffc]);
    for address in doors(&server) {
        for bytes in [
            // Nothing, half a record, and half a message.
            vec![],
            vec![22],
            vec![22, 3, 1, 2, 0, 1],
            record(512, 400, &[3, 3]),
            // Records that lie about their length, and messages that do.
            record(0xffff, 4, &garbage[..1000]),
            record(0, 0, &[]),
            record(4, 0x00ff_ffff, &[]),
            [whole.clone(), whole.clone(), whole.clone(), whole.clone(), whole.clone()].concat(),
            // Noise, with the right first byte and without.
            [&[22], &garbage[..]].concat(),
            garbage.clone(),
            // An alert, application data, and a change of cipher before there is any.
            vec![21, 3, 3, 0, 2, 1, 0],
            vec![23, 3, 3, 0, 5, 1, 2, 3, 4, 5],
            vec![20, 3, 3, 0, 1, 1],
        ] {
            let mut live = connect(server.http, home.client(None)).unwrap();
            let hostile = send(address, &bytes);
            assert_eq!(get(&mut live, "/readyz").unwrap(), "http/1.1 200 ok");
            assert!(is_ended(hostile), "{address} {:?}", &bytes[..bytes.len().min(12)]);
        }
    }
    assert_eq!(command(&server, &["--tls-ca", text(&home.ca)]).0, 0);
}

#[test]
fn a_slow_handshake_is_late_as_a_whole() {
    let home = Home::new();
    let server = home.serve(&["--header-timeout-ms", HANDSHAKE_MS]);
    for (number, address) in (1..).zip(doors(&server)) {
        let mut stream = send(address, &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);
        let begun = Instant::now();
        // A byte at a time is no progress.
        while stream.write_all(&[7]).is_ok() {
            assert!(begun.elapsed() < LATE, "{address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        server.until_metric("tls_handshakes_refused_total", f64::from(number));
    }
}

#[test]
fn handshakes_have_their_places_from_the_start() {
    let home = Home::new();
    let server = home.serve(&["--grpc-connections", "4", "--header-timeout-ms", "3000"]);
    let held: Vec<TcpStream> = (0..4).map(|_| send(server.grpc, &[22, 3, 1])).collect();
    server.until_metric("grpc_connections", 4.0);
    let begun = Instant::now();
    assert!(is_ended(send(server.grpc, &[22, 3, 1])));
    assert!(begun.elapsed() < Duration::from_secs(3), "it is closed as it comes");
    assert!(held.into_iter().all(is_ended));
    server.until_metric("grpc_connections", 0.0);
    assert_eq!(command(&server, &["--tls-ca", text(&home.ca)]).0, 0);
}

#[test]
fn asking_for_new_keys_again_and_again_ends_the_connection() {
    let home = Home::new();
    let server = home.serve(&[]);
    let mut stream = connect(server.http, home.client(None)).unwrap();
    assert_eq!(get(&mut stream, "/readyz").unwrap(), "http/1.1 200 ok");
    let mut ended = false;
    for _ in 0..1_000 {
        ended = stream.conn.refresh_traffic_keys().is_err() || stream.flush().is_err();
        if ended {
            break;
        }
    }
    assert!(ended || get(&mut stream, "/readyz").is_err());
    assert_eq!(command(&server, &["--tls-ca", text(&home.ca)]).0, 0);
}
