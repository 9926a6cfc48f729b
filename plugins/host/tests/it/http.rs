//! A plugin built from source that sends requests.

use std::sync::Arc;

use arrow_array::types::TimestampMillisecondType;
use arrow_array::{ArrayRef, Float32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use millstream_engine::{
    BatchConsumer, Consumed, LoadedPlugin, PluginHost as _, PluginKind, PluginLimits, PluginSettings, Verdict,
};

use crate::harness::{Kept, TestHost, guest, no_tables, somewhere};
use crate::web::{Web, answer, say};

fn alerts(web: &Web) -> Arc<dyn BatchConsumer> {
    let host = TestHost::with(|options| options.http_allow = "127.0.0.0/8".parse().expect("a network"));
    let settings = PluginSettings {
        limits: PluginLimits { call_timeout_ms: 20_000, ..PluginLimits::default() },
        config: format!("http://{}/late 90", web.host()),
        http_hosts: vec![web.host()],
        ..PluginSettings::default()
    };
    match host.host.load_alone(&guest("delay-alerts"), &settings, no_tables()) {
        Ok(LoadedPlugin::Consumer(consumer)) => consumer,
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
    let host = TestHost::new();
    let described = host.host.inspect(&guest("delay-alerts"), &PluginLimits::default()).expect("a description");
    assert_eq!((described.kind, described.http_hosts), (PluginKind::Consumer, vec!["*".to_owned()]));
    let web = Web::saying("204 No Content", "");
    let consumed = consume(&alerts(&web), &[Some(89.0), Some(91.5), None, Some(200.0)]);
    assert_eq!((consumed.verdict, consumed.exceptions), (Verdict::Done, Vec::new()));
    let seen = web.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    for (request, offset, minutes, at) in [(&seen[0], 101, "91.5", 60_000), (&seen[1], 103, "200", 180_000)] {
        assert!(request.starts_with("POST /late HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("idempotency-key: flights/3/{offset}\r\n")), "{request}");
        let body = format!(
            r#"{{"key":"flights/3/{offset}","departure_ms":{at},"carrier":"U\"A","origin":null,"delay_minutes":{minutes}}}"#
        );
        assert!(request.ends_with(&body), "{request} lacks {body}");
    }
}

#[test]
fn a_receiver_that_fails_is_asked_again_and_one_that_refuses_is_not() {
    // The first requests fail, one is refused, the others are taken.
    let web = Web::start(|number, stream| {
        let status = match number {
            0..=3 => "503 Service Unavailable",
            4 => "422 Unprocessable Content",
            _ => "200 OK",
        };
        say(stream, &answer(status, "", ""));
    });
    let consumer = alerts(&web);
    let failed = consume(&consumer, &[Some(100.0), Some(101.0)]);
    assert_eq!(failed.verdict, Verdict::Retry("flights/3/100: status 503".to_owned()));
    assert_eq!(web.seen().len(), 3, "it was tried three times");
    let refused = consume(&consumer, &[Some(100.0), Some(101.0)]);
    assert_eq!(refused.verdict, Verdict::Done);
    let [exception] = &refused.exceptions[..] else { panic!("{:?}", refused.exceptions) };
    assert_eq!(exception.1, Verdict::DeadLetter("flights/3/100: status 422".to_owned()));
}
