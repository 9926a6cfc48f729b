//! What is sent, and where to.

use millstream_engine::{FailureKind, PluginHost as _, PluginLimits};

use super::{Hand, assert_says, call, patient, requests, said, trusting};
use crate::harness::{TestHost, assert_failure, tight};
use crate::web::Web;

#[test]
fn a_request_by_hand_works_and_is_counted() {
    let web = Web::saying("201 Created", "hello");
    let host = trusting();
    let mut hand = Hand::of(&web).with_header("X-One", "a b");
    hand.url = format!("http://{}/way?x=1#y", web.host());
    hand.body = b"what is sent".to_vec();
    let handler = hand.load(&host, &patient(), &hand.asks);
    assert!(said(&handler).ends_with("hello"));
    let seen = web.seen().remove(0);
    assert!(seen.starts_with("POST /way?x=1 HTTP/1.1\r\n") && seen.ends_with("\r\n\r\nwhat is sent"), "{seen}");
    for line in ["x-one: a b", &format!("host: {}", web.host()), "content-length: 12", "user-agent: millstream/"] {
        assert!(seen.contains(line), "{seen} lacks {line}");
    }
    assert!(!seen.to_lowercase().contains("accept-encoding"), "{seen}");
    let counted = requests(&host);
    assert_eq!((counted.requests, counted.bytes_sent, counted.bytes_received), (1, 12, 5));
    assert!(counted.failures.iter().all(|failures| *failures == 0) && counted.busy_us > 0, "{counted:?}");
}

#[test]
fn addresses_of_the_servers_own_network_are_denied() {
    let web = Web::saying("200 OK", "secret");
    let port = web.address.port();
    let names =
        ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "169.254.169.254"];
    for name in names {
        let site = format!("{name}:{port}");
        let hand = Hand::to(&site, &format!("http://{site}/"));
        let host = TestHost::new();
        let handler = hand.load(&host, &patient(), &hand.asks);
        let said = said(&handler);
        assert!(said.contains("stands for no address that plugins may reach"), "{name}: {said}");
        assert_eq!(requests(&host).failures, [1, 0, 0, 0, 0], "{name}");
        let lines = host.host.log_lines();
        assert!(
            lines.iter().any(|line| line.level == "warning" && line.line.contains("a request was denied")),
            "{name}"
        );
    }
    assert_eq!(web.connections(), 0);
}

#[test]
fn a_host_that_was_not_declared_and_granted_is_denied() {
    let (web, other) = (Web::saying("200 OK", "mine"), Web::saying("200 OK", "secret"));
    let mut hand = Hand::of(&web);
    hand.url = format!("http://{}/", other.host());
    assert_says(&hand, "is none of the hosts that it declares and is granted");
    // Declared, and not granted: one that is tried without a server.
    let hand = Hand::of(&other);
    let said = said(&hand.load(&trusting(), &patient(), &[]));
    assert!(said.contains("is none of the hosts"), "{said}");
    // Any that the operator names, and no others.
    let mut any = Hand::of(&web);
    any.asks = vec!["*".to_owned()];
    assert!(said_by(&any, &[web.host()]).ends_with("mine"));
    assert!(said_by(&any, &[other.host()]).contains("is none of the hosts"));
    assert_eq!(other.connections(), 0);
}

fn said_by(hand: &Hand, granted: &[String]) -> String {
    said(&hand.load(&trusting(), &patient(), granted))
}

#[test]
fn requests_take_the_capability_and_the_operators_word() {
    let hand = || Hand::to("api.example.com", "https://api.example.com/");
    assert!(Hand { asks: Vec::new(), ..hand() }.refusal(&[]).contains("it imports \"http\" without asking for it"));
    let refusal = hand().refusal(&[]);
    assert!(refusal.contains("requests to \"api.example.com\", which is not granted"), "{refusal}");
    for (asks, granted, reason) in [
        (
            &["api.example.com"][..],
            &["api.example.com:8443"][..],
            "\"api.example.com:8443\" are granted, and the module asks",
        ),
        (&["api.example.com", "API.example.com."], &["api.example.com"], "\"api.example.com\" is declared twice"),
        (&["*.example.com"], &["a.example.com"], "hosts are named one by one"),
        (&["http://a.example.com"], &[], "sends requests to what is no host"),
        (&["*"], &[], "hosts that the operator names, and none is"),
        (&["*"], &["*"], "\"*\" is no host"),
    ] {
        let asks = asks.iter().map(|host| (*host).to_owned()).collect();
        let refusal = Hand { asks, ..hand() }.refusal(granted);
        assert!(refusal.contains(reason), "{refusal} lacks {reason:?}");
    }
    let asks = (0..17).map(|n| format!("h{n}.example")).collect();
    assert!(Hand { asks, ..hand() }.refusal(&[]).contains("17 hosts, more than 16"));
}

#[test]
fn what_is_no_sound_request_is_invalid() {
    let web = Web::saying("200 OK", "no");
    let hand = || Hand::of(&web);
    let url = |url: &str| Hand { url: url.replace("HOST", &web.host()), ..hand() };
    for (hand, text) in [
        (hand().with_header("x", "1\r\nHost: evil"), "has a value with control characters"),
        (hand().with_header("x: 1\r\nevil", "1"), "has no name of HTTP"),
        (hand().with_header("Host", "evil"), "is the host's own"),
        (hand().with_header("Content-Length", "0"), "is the host's own"),
        (hand().with_header("Transfer-Encoding", "chunked"), "is the host's own"),
        (Hand { method: "GET / HTTP/1.1\r\nX: y\r\n\r\nGET".to_owned(), ..hand() }, "is no method"),
        (Hand { method: "CONNECT".to_owned(), ..hand() }, "is no method that plugins may use"),
        (url("http://me:secret@HOST/"), "names a user"),
        (url("http://@HOST/"), "names a user"),
        (url("ftp://HOST/"), "neither https:// nor http://"),
        (url("file:///etc/passwd"), "neither https:// nor http://"),
        (url("unix:///run/docker.sock"), "neither https:// nor http://"),
        (url("//HOST/"), "is no URL"),
    ] {
        assert_says(&hand, text);
    }
    assert_eq!(web.connections(), 0);
}

#[test]
fn requests_without_end_are_ended() {
    let flood = "(loop $more (call $go) (br $more))";
    let web = Web::saying("200 OK", "again");
    let hand = Hand { check: flood, ..Hand::of(&web) };
    let host = trusting();
    let limits = PluginLimits { call_timeout_ms: 3_000, ..tight() };
    assert_failure(&call(&hand.load(&host, &limits, &hand.asks)), FailureKind::Timeout, "check took longer");
    assert!(web.connections() <= 1_000 && requests(&host).requests > 1, "{} connections", web.connections());

    // Those that are not sent count as well.
    let counted = "(local $n i32) (loop $more (call $go) (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $n) (i32.const 1001))))";
    let hand = Hand { check: counted, method: "N O".to_owned(), ..Hand::of(&web) };
    let host = trusting();
    let handler = hand.load(&host, &patient(), &hand.asks);
    assert!(said(&handler).contains("a call may send 1000 requests"));
    assert_eq!(requests(&host).failures, [1, 1_000, 0, 0, 0]);
    assert!(said(&handler).contains("a call may send 1000 requests"), "each call has as many");
}

#[test]
fn nothing_is_sent_before_the_plugin_is_open() {
    let web = Web::saying("200 OK", "no");
    // They trap if it is not denied.
    let denied = "(call $send_it) (if (i32.ne (i32.load8_u (i32.const 4096)) (i32.const 1)) (then unreachable))
        (if (i32.load8_u (i32.const 4100)) (then unreachable))";
    let hand = Hand { describe: denied, open: denied, check: "", ..Hand::of(&web) };
    call(&hand.load(&trusting(), &patient(), &hand.asks));
    assert_eq!(web.connections(), 0);
}
