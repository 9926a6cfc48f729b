//! Functions: what a guest answers is what a plain loop gives.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_array::{Array as _, ArrayRef, Float64Array};
use arrow_schema::DataType;
use millstream_engine::{PluginHost as _, PluginKind, PluginLimits, Volatility};

use crate::equivalence::{SIZES, seeded};
use crate::harness::{TestHost, guest};

fn speeds(distance: &Float64Array, minutes: &Float64Array) -> Float64Array {
    let speed = |row: usize| {
        let known = distance.is_valid(row) && minutes.is_valid(row) && minutes.value(row) > 0.0;
        known.then(|| distance.value(row) / minutes.value(row) * 60.0)
    };
    (0..distance.len()).map(speed).collect()
}

#[test]
fn a_function_says_what_it_is() {
    let host = TestHost::new();
    let described = host.host.inspect(&guest("ground-speed"), &PluginLimits::default()).expect("a description");
    assert_eq!((described.kind, described.returns), (PluginKind::Function, DataType::Float64));
    assert_eq!(described.contract, "millstream:plugin@0.2.0");
    assert_eq!(described.volatility, Volatility::Immutable);
    let names: Vec<_> = described.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["distance", "air_time"]);
}

#[test]
fn a_function_equals_a_plain_loop() {
    use rand::Rng as _;
    let host = TestHost::new();
    let speed = host.filter("ground-speed", "");
    seeded(|rng| {
        let mut column = |rows: usize| {
            let value = |_| rng.random_bool(0.8).then(|| f64::from(rng.random_range(-10..3_000)));
            (0..rows).map(value).collect::<Float64Array>()
        };
        for rows in SIZES.into_iter().chain([150_000]) {
            let (distance, minutes) = (column(rows), column(rows));
            let arguments: [ArrayRef; 2] = [Arc::new(distance.clone()), Arc::new(minutes.clone())];
            let answer = speed.call(&arguments, rows).unwrap_or_else(|e| panic!("{rows} rows: {e}"));
            assert_eq!(answer.as_primitive::<Float64Type>(), &speeds(&distance, &minutes), "{rows} rows");
        }
    });
}

#[test]
fn a_configuration_changes_the_answer_or_is_refused() {
    let host = TestHost::new();
    let metric = host.filter("ground-speed", "km/h");
    let arguments: [ArrayRef; 2] =
        [Arc::new(Float64Array::from(vec![100.0])), Arc::new(Float64Array::from(vec![60.0]))];
    let answer = metric.call(&arguments, 1).expect("an answer");
    assert!((answer.as_primitive::<Float64Type>().value(0) - 160.9344).abs() < 1e-9);
    let error = host.load(&guest("ground-speed"), "knots", &PluginLimits::default()).expect_err("knots");
    assert!(error.to_string().contains("not \"knots\""), "{error}");
}
