//! What comes back, or does not.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use millstream_engine::PluginLimits;

use super::{Hand, assert_says, patient, said, trusting};
use crate::harness::tight;
use crate::web::{Web, answer, say};

#[test]
fn a_redirection_is_an_answer_and_not_followed() {
    let hidden = Web::saying("200 OK", "secret");
    let location = format!("location: http://{}/\r\n", hidden.host());
    let web = Web::start(move |_, stream| say(stream, &answer("302 Found", &location, "elsewhere")));
    assert_says(&Hand::of(&web), "elsewhere");
    assert_eq!((web.connections(), hidden.connections()), (1, 0));
}

#[test]
fn an_answer_that_drips_is_broken_off() {
    for head in ["HTTP/1.1 200 OK\r\nx-drip: ", "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"] {
        let web = Web::start(move |_, stream| {
            say(stream, head);
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let began = Instant::now();
        let hand = Hand::of(&web);
        // Its own time-out, and what is left to the call.
        assert_says(&Hand { timeout_ms: 300, ..Hand::of(&web) }, "timed-out");
        let limits = PluginLimits { call_timeout_ms: 1_000, ..tight() };
        assert!(said(&hand.load(&trusting(), &limits, &hand.asks)).contains("timed-out"));
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
}

#[test]
fn too_large_answers_and_requests_are_not_taken() {
    let endless = Web::start(|_, stream| {
        say(stream, "HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    let chunked = Web::start(|_, stream| {
        say(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(format!("8000\r\n{}\r\n", "x".repeat(0x8000)).as_bytes()).is_ok() {}
    });
    let boasting = Web::start(|_, stream| say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx"));
    let headers = Web::start(|_, stream| {
        say(stream, "HTTP/1.1 200 OK\r\n");
        while stream.write_all(format!("x: {}\r\n", "y".repeat(1_000)).as_bytes()).is_ok() {}
    });
    let many = Web::start(|_, stream| say(stream, &answer("200 OK", &"x: y\r\n".repeat(80), "")));
    for (web, what) in
        [(endless, "endless"), (chunked, "chunked"), (boasting, "boasting"), (headers, "headers"), (many, "many")]
    {
        assert_eq!(Hand::of(&web).says().rsplit(' ').next(), Some("too-large"), "{what}");
    }
    let web = Web::saying("200 OK", "no");
    let fat = Hand { body: vec![b'x'; (1 << 20) + 1], ..Hand::of(&web) };
    assert_eq!(said(&fat.load(&trusting(), &large(), &fat.asks)).rsplit(' ').next(), Some("too-large"));
    assert_says(&Hand::of(&web).with_header("x", &"y".repeat(40_000)), "too-large");
    assert_eq!(web.connections(), 0);
}

fn large() -> PluginLimits {
    PluginLimits { output_bytes: 16 << 20, ..patient() }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it ends with the test, which fails where nothing is answered")]
fn nobody_at_the_other_end_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|gone| gone.local_addr()).expect("a port").port();
    let hand = Hand::to(&format!("127.0.0.1:{port}"), &format!("http://127.0.0.1:{port}/"));
    assert_says(&hand, "Connection refused");
    let mute = Web::start(|_, _| {});
    assert_says(&Hand::of(&mute), "error sending request");
    let torn = Web::start(|_, stream| say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"));
    assert_says(&Hand::of(&torn), "error decoding response body");
    // It speaks at once, and not TLS.
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let site = plain.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        plain.incoming().flatten().for_each(|mut stream| say(&mut stream, "HTTP/1.1 400 No\r\n\r\n"))
    });
    assert_says(&Hand::to(&site, &format!("https://{site}/")), "error sending request");
}
