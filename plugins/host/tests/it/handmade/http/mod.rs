//! Checkback handlers that send requests as no sound one does.

mod answers;
mod requests;

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use millstream_engine::{
    CheckbackHandler, FailureKind, LoadedPlugin, OperatorError, PluginHost as _, PluginLimits, PluginRequests,
    PluginSettings,
};

use super::{component, escaped};
use crate::harness::{TestHost, no_tables, tight};
use crate::web::Web;

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
