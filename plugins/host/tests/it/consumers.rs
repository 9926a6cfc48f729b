//! Consumers built from source: what they give, and what they keep from call to call.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use millstream_engine::{
    BatchConsumer, Capability, Consumed, FailureKind, PluginHost as _, PluginKind, PluginLimits, PluginSettings,
    Verdict,
};
use rand::Rng as _;

use crate::equivalence::seeded;
use crate::harness::{Kept, TestHost, assert_failure, guest, somewhere};

const HOUR: i64 = 3_600_000;

fn hourly(host: &TestHost, config: &str) -> Arc<dyn BatchConsumer> {
    let loaded = host.load_consumer(&guest("hourly-delays"), config, &PluginLimits::default());
    loaded.unwrap_or_else(|e| panic!("{e}"))
}

/// A batch of (airport, time in ms, delay).
fn flights(consumer: &Arc<dyn BatchConsumer>, flights: &[(&str, i64, Option<f32>)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            PrimitiveArray::<TimestampMillisecondType>::from_iter_values(flights.iter().map(|f| f.1))
                .with_timezone("UTC"),
        ),
        Arc::new(StringArray::from_iter_values(flights.iter().map(|f| f.0))),
        Arc::new(flights.iter().map(|f| f.2).collect::<PrimitiveArray<Float32Type>>()),
    ];
    let fields = consumer.parameters().iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).expect("a batch")
}

/// (airport, hour, late, minutes) of each row that comes out; what is kept is put into `kept`.
fn consume(consumer: &Arc<dyn BatchConsumer>, batch: &RecordBatch, kept: &mut Kept) -> Vec<(String, i64, i64, f64)> {
    let consumed = consumer.consume(batch, &somewhere(), kept.state(1 << 20)).unwrap_or_else(|e| panic!("{e}"));
    let Consumed { outputs, verdict, exceptions, state } = consumed;
    assert_eq!((verdict, exceptions.len()), (Verdict::Done, 0));
    kept.apply(state.into_writes());
    let mut rows = Vec::new();
    for (output, batch) in outputs {
        assert_eq!(output, 0);
        let hours = batch.column(1).as_primitive::<TimestampMillisecondType>();
        for row in 0..batch.num_rows() {
            rows.push((
                batch.column(0).as_string::<i32>().value(row).to_owned(),
                hours.value(row),
                batch.column(2).as_primitive::<Int64Type>().value(row),
                batch.column(3).as_primitive::<Float64Type>().value(row),
            ));
        }
    }
    rows
}

#[test]
fn a_consumer_says_what_it_writes() {
    let host = TestHost::new();
    let described = host.host.inspect(&guest("hourly-delays"), &PluginLimits::default()).expect("a description");
    assert_eq!(described.kind, PluginKind::Consumer);
    assert!(described.capabilities.contains(&Capability::State));
    let [output] = &described.outputs[..] else { panic!("{:?}", described.outputs) };
    let names: Vec<_> = output.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!((output.name.as_str(), &names[..]), ("hours", &["origin", "hour", "late", "delay_minutes"][..]));
    let refused = host
        .host
        .inspect_with("public", "late", &guest("hourly-delays"), &PluginSettings::default())
        .expect_err("no grant");
    assert!(refused.to_string().contains("asks for \"state\", which is not granted"), "{refused}");
}

#[test]
fn sums_go_on_from_state_over_instances() {
    let mut kept = Kept::default();
    {
        let host = TestHost::new();
        let consumer = hourly(&host, "");
        let first =
            [("EWR", HOUR, Some(61.0)), ("EWR", HOUR + 5, Some(100.0)), ("JFK", HOUR, Some(60.0)), ("JFK", 0, None)];
        let rows = consume(&consumer, &flights(&consumer, &first), &mut kept);
        assert_eq!(rows, [("EWR".to_owned(), HOUR, 2, 161.0)]);
        assert!(consume(&consumer, &flights(&consumer, &first[2..]), &mut kept).is_empty());
    }
    let host = TestHost::new();
    let consumer = hourly(&host, "60");
    let second = [("EWR", HOUR + 9, Some(70.5)), ("EWR", 2 * HOUR, Some(70.0))];
    let rows = consume(&consumer, &flights(&consumer, &second), &mut kept);
    assert_eq!(rows, [("EWR".to_owned(), HOUR, 3, 231.5), ("EWR".to_owned(), 2 * HOUR, 1, 70.0)]);
}

#[test]
fn however_rows_are_cut_the_newest_sums_are_those_of_all() {
    let host = TestHost::new();
    let consumer = hourly(&host, "30");
    seeded(|rng| {
        let airports = ["EWR", "JFK", "LGA"];
        let mut all = Vec::new();
        for _ in 0..2_000 {
            let delay = rng.random_bool(0.9).then(|| rng.random_range(-10..120) as f32);
            all.push((airports[rng.random_range(0..3)], rng.random_range(-3..20) * HOUR / 2, delay));
        }
        let mut expected: BTreeMap<(String, i64), (i64, f64)> = BTreeMap::new();
        for (airport, at, delay) in &all {
            if let Some(delay) = delay.filter(|delay| *delay > 30.0) {
                let sums = expected.entry(((*airport).to_owned(), at.div_euclid(HOUR) * HOUR)).or_default();
                *sums = (sums.0 + 1, sums.1 + f64::from(delay));
            }
        }
        let (mut kept, mut newest, mut rest) = (Kept::default(), BTreeMap::new(), &all[..]);
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rng.random_range(1..=rest.len()));
            for (airport, hour, late, minutes) in consume(&consumer, &flights(&consumer, batch), &mut kept) {
                newest.insert((airport, hour), (late, minutes));
            }
            rest = after;
        }
        assert_eq!(newest, expected);
    });
}

#[test]
fn a_limit_of_state_is_the_calls_error() {
    let host = TestHost::new();
    let consumer = hourly(&host, "");
    let batch = flights(&consumer, &[("EWR", HOUR, Some(61.0))]);
    let error = consumer.consume(&batch, &somewhere(), Kept::default().state(10)).expect_err("no room");
    assert_failure(&error, FailureKind::Data, "of its limit (state_bytes)");
    let error = host.load_consumer(&guest("hourly-delays"), "soon", &PluginLimits::default()).expect_err("a config");
    assert!(error.to_string().contains("\"soon\" is not a number of minutes"), "{error}");
}
