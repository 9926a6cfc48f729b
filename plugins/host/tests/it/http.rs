//! Plugins built from source that send requests.

use std::sync::Arc;

use arrow_array::types::TimestampMillisecondType;
use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use millstream_engine::{
    BatchConsumer, Consumed, LoadedPlugin, PluginHost as _, PluginKind, PluginLimits, PluginSettings, Verdict,
};

use crate::harness::{Kept, TestHost, guest, guests, no_tables, somewhere};
use crate::web::{Web, answer, say};

/// One consumer in two languages.
const ALERTS: [&str; 2] = ["delay-alerts", "delay-alerts-javascript"];

/// Loads a plugin that sends requests to `web`, with a path and what else its configuration is.
fn load(name: &str, web: &Web, config: &str) -> LoadedPlugin {
    let host = TestHost::with(|options| {
        options.http_allow = "127.0.0.0/8".parse().expect("a network");
        options.cache_dir = guests().join("compiled");
    });
    let settings = PluginSettings {
        limits: PluginLimits { call_timeout_ms: 60_000, ..PluginLimits::default() },
        config: format!("http://{}/{config}", web.host()),
        http_hosts: vec![web.host()],
        ..PluginSettings::default()
    };
    host.host.load_alone(&guest(name), &settings, no_tables()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn alerts(name: &str, web: &Web) -> Arc<dyn BatchConsumer> {
    match load(name, web, "late 90") {
        LoadedPlugin::Consumer(consumer) => consumer,
        other => panic!("{other:?}"),
    }
}

/// Rows from offset 100 on, with these delays.
fn consume(consumer: &Arc<dyn BatchConsumer>, delays: &[Option<f32>]) -> Consumed {
    let rows = i64::try_from(delays.len()).expect("few rows");
    let times = PrimitiveArray::<TimestampMillisecondType>::from_iter_values((0..rows).map(|row| row * 60_000));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(100..100 + rows)),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(delays.iter().map(|_| "U\"A"))),
        Arc::new(StringArray::from(vec![None::<&str>; delays.len()])),
        Arc::new(Float32Array::from(delays.to_vec())),
    ];
    let fields = consumer.parameters().iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).expect("a batch");
    consumer.consume(&batch, &somewhere(), Kept::default().state(1 << 20)).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn late_departures_are_told_once_each_with_a_key() {
    for name in ALERTS {
        let host = TestHost::new();
        let described = host.host.inspect(&guest(name), &PluginLimits::default()).expect("a description");
        assert_eq!((described.kind, described.http_hosts), (PluginKind::Consumer, vec!["*".to_owned()]), "{name}");
        let web = Web::saying("204 No Content", "");
        let consumed = consume(&alerts(name, &web), &[Some(89.0), Some(91.5), None, Some(200.0)]);
        assert_eq!((consumed.verdict, consumed.exceptions), (Verdict::Done, Vec::new()), "{name}");
        let seen = web.seen();
        assert_eq!(seen.len(), 2, "{name}: {seen:?}");
        for (request, offset, minutes, at) in [(&seen[0], 101, "91.5", 60_000), (&seen[1], 103, "200", 180_000)] {
            assert!(request.starts_with("POST /late HTTP/1.1\r\n"), "{name}: {request}");
            assert!(request.contains(&format!("idempotency-key: flights/3/{offset}\r\n")), "{name}: {request}");
            let body = format!(
                r#"{{"key":"flights/3/{offset}","departure_ms":{at},"carrier":"U\"A","origin":null,"delay_minutes":{minutes}}}"#
            );
            assert!(request.ends_with(&body), "{name}: {request} lacks {body}");
        }
    }
}

#[test]
fn a_receiver_that_fails_is_asked_again_and_one_that_refuses_is_not() {
    for name in ALERTS {
        // The first requests fail, one is refused, the others are taken.
        let web = Web::start(|number, stream| {
            let status = match number {
                0..=3 => "503 Service Unavailable",
                4 => "422 Unprocessable Content",
                _ => "200 OK",
            };
            say(stream, &answer(status, "", ""));
        });
        let consumer = alerts(name, &web);
        let failed = consume(&consumer, &[Some(100.0), Some(101.0)]);
        assert_eq!(failed.verdict, Verdict::Retry("flights/3/100: status 503".to_owned()), "{name}");
        assert_eq!(web.seen().len(), 3, "{name}: it was tried three times");
        let refused = consume(&consumer, &[Some(100.0), Some(101.0)]);
        assert_eq!(refused.verdict, Verdict::Done, "{name}");
        let [exception] = &refused.exceptions[..] else { panic!("{name}: {:?}", refused.exceptions) };
        assert_eq!(exception.1, Verdict::DeadLetter("flights/3/100: status 422".to_owned()), "{name}");
    }
}

#[test]
fn what_is_not_reached_is_told_alike() {
    for name in ALERTS {
        // It hangs up.
        let consumer = alerts(name, &Web::start(|_, _| {}));
        match consume(&consumer, &[Some(100.0)]).verdict {
            Verdict::Retry(why) => assert!(why.starts_with("flights/3/100: "), "{name}: {why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_comes_back_is_read_in_c() {
    let send = |web: &Web| {
        let LoadedPlugin::Checkback(sends) = load("sends-c", web, "") else { panic!("it is a handler") };
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let batch = RecordBatch::try_from_iter([("value", values)]).expect("a batch");
        sends.check(&batch).expect_err("it tells what came").to_string()
    };
    let web = Web::start(|_, stream| say(stream, &answer("418 I'm a teapot", "X-Mark: one\r\n", "a body")));
    let told = send(&web);
    assert!(told.ends_with("status 418, x-mark one; a body"), "{told}");
    let seen = web.seen().concat();
    assert!(seen.starts_with("PUT / HTTP/1.1\r\n") && seen.contains("x-first: 1\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\nhalf"), "{seen}");
    let told = send(&Web::start(|_, _| {}));
    assert!(told.contains("failure 002, "), "{told}");
}
