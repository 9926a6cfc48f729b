//! Checkback handlers that send requests as no sound one does.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use millstream_engine::{
    CheckbackHandler, FailureKind, LoadedPlugin, OperatorError, PluginHost as _, PluginLimits, PluginRequests,
    PluginSettings,
};

use super::{component, escaped};
use crate::harness::{TestHost, assert_failure, no_tables, tight};
use crate::web::{Web, answer, say};

const SEND: &str = r#"(import "millstream:plugin/http@0.2.0" "send"
    (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;

/// A handler that sends one request, and answers with an error that says what came of it: the body, the error's own text, or
/// what it is called.
struct Hand {
    asks: Vec<String>,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout_ms: u32,
    /// Where it is sent from.
    describe: &'static str,
    open: &'static str,
    check: &'static str,
}

impl Hand {
    /// Asks for all of `web`.
    fn of(web: &Web) -> Hand {
        Hand::to(&web.host(), &format!("http://{}/", web.host()))
    }

    fn to(host: &str, url: &str) -> Hand {
        Hand {
            asks: vec![host.to_owned()],
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 0,
            describe: "",
            open: "",
            check: "(call $go)",
        }
    }

    fn with_header(mut self, name: &str, value: &str) -> Hand {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Memory: 16 its name; 64 the description; 96 the result of `open`; 128 that of `check`; 256 words; 512 the capabilities,
    /// 28 bytes each; 4096 what a request gives; 8192 texts; the sixteenth page what the host sends.
    fn module(&self) -> Vec<u8> {
        let mut texts: Vec<u8> = Vec::new();
        let mut place = |text: &[u8]| {
            let at = 8192 + u32::try_from(texts.len()).expect("small");
            texts.extend(text);
            texts.resize(texts.len().next_multiple_of(8), 0);
            [at, u32::try_from(text.len()).expect("small")]
        };
        let asks: Vec<[u32; 2]> = self.asks.iter().map(|host| place(host.as_bytes())).collect();
        let asked: Vec<u32> = asks.iter().flat_map(|[at, length]| [4, *at, *length, 0, 0, 0, 0]).collect();
        let pairs: Vec<u32> = self
            .headers
            .iter()
            .flat_map(|(name, value)| [place(name.as_bytes()), place(value.as_bytes())].concat())
            .collect();
        let headers = place(&pairs.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
        let [method, url, body] = [self.method.as_bytes(), self.url.as_bytes(), &self.body].map(place);
        let words = |words: &[u32]| -> String { words.iter().map(|word| escaped(&word.to_le_bytes())).collect() };
        let count = |length: usize| u32::try_from(length).expect("few");
        let text = format!(
            r#"(module
              {import}
              (memory (export "memory") 80)
              (data (i32.const 16) "hand")
              (data (i32.const 64) "{description}")
              (data (i32.const 128) "\01")
              (data (i32.const 256) "timed-outtoo-large")
              (data (i32.const 512) "{asked}")
              (data (i32.const 8192) "{texts}")
              (func $tell (param i32 i32) (i32.store (i32.const 132) (local.get 0)) (i32.store (i32.const 136) (local.get 1)))
              (func $send_it (call $send (i32.const {}) (i32.const {}) (i32.const {}) (i32.const {}) (i32.const {})
                (i32.const {}) (i32.const {}) (i32.const {}) (i32.const {}) (i32.const 4096)))
              (func $go (local $kind i32)
                (call $send_it)
                (if (i32.eqz (i32.load8_u (i32.const 4096)))
                  (then (call $tell (i32.load (i32.const 4112)) (i32.load (i32.const 4116))) (return)))
                (local.set $kind (i32.load8_u (i32.const 4100)))
                (if (i32.lt_u (local.get $kind) (i32.const 3))
                  (then (call $tell (i32.load (i32.const 4104)) (i32.load (i32.const 4108))) (return)))
                (if (i32.eq (local.get $kind) (i32.const 3))
                  (then (call $tell (i32.const 256) (i32.const 9)) (return)))
                (call $tell (i32.const 265) (i32.const 9)))
              (func (export "millstream:plugin/checkback@0.2.0#describe") (result i32) {describe} i32.const 64)
              (func (export "millstream:plugin/checkback@0.2.0#open") (param i32 i32 i32 i32) (result i32) {open} i32.const 96)
              (func (export "millstream:plugin/checkback@0.2.0#check") (param i32 i32) (result i32) {check} i32.const 128)
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1048576))"#,
            method[0],
            method[1],
            url[0],
            url[1],
            headers[0],
            self.headers.len(),
            body[0],
            body[1],
            self.timeout_ms,
            import = SEND,
            description = words(&[16, 4, 0, 0, 512, count(self.asks.len())]),
            asked = words(&asked),
            texts = escaped(&texts),
            describe = self.describe,
            open = self.open,
            check = self.check,
        );
        component("v0.2", "checkback-handler", &text)
    }

    /// What it says came of its request, over a host that lets it go where it asks to.
    fn says(&self) -> String {
        let host = trusting();
        said(&self.load(&host, &patient(), &self.asks))
    }

    fn load(&self, host: &TestHost, limits: &PluginLimits, granted: &[String]) -> Arc<dyn CheckbackHandler> {
        let settings =
            PluginSettings { limits: limits.clone(), http_hosts: granted.to_vec(), ..PluginSettings::default() };
        match host.host.load_alone(&self.module(), &settings, no_tables()) {
            Ok(LoadedPlugin::Checkback(handler)) => handler,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&self, granted: &[&str]) -> String {
        let http_hosts = granted.iter().map(|host| (*host).to_owned()).collect();
        let settings = PluginSettings { limits: tight(), http_hosts, ..PluginSettings::default() };
        let refused = TestHost::new().host.inspect_with("public", "late", &self.module(), &settings);
        refused.map(|described| panic!("{described:?}")).unwrap_or_else(|e| e.to_string())
    }
}

/// A host whose operator lets requests go to this machine.
fn trusting() -> TestHost {
    TestHost::with(|options| options.http_allow = "127.0.0.0/8,::1/128".parse().expect("networks"))
}

fn patient() -> PluginLimits {
    PluginLimits { call_timeout_ms: 20_000, ..tight() }
}

fn call(handler: &Arc<dyn CheckbackHandler>) -> OperatorError {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).expect("a batch");
    handler.check(&batch).expect_err("it always answers with an error")
}

fn said(handler: &Arc<dyn CheckbackHandler>) -> String {
    let error = call(handler);
    assert_eq!(error.kind, FailureKind::Data, "{error}");
    error.message
}

fn requests(host: &TestHost) -> PluginRequests {
    host.host.calls().into_iter().next().expect("one plugin").http
}

#[track_caller]
fn assert_says(hand: &Hand, text: &str) {
    let said = hand.says();
    assert!(said.contains(text), "{said} lacks {text:?}");
}

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
