//! Plugins at work: their calls, and what they say.

use super::data::Kind::{Number, Text, Time};
use super::data::{Columns, Rows, number, number_or_null, text, text_or_null, time, time_or_null};
use crate::Result;
use crate::query::Reader;

pub(super) const CALLS: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("version", Number),
    ("calls", Number),
    ("rows_in", Number),
    ("rows_out", Number),
    ("bytes_in", Number),
    ("bytes_out", Number),
    ("p50_us", Number),
    ("p99_us", Number),
    ("max_us", Number),
    ("total_us", Number),
    ("memory_peak_bytes", Number),
    ("instances", Number),
    ("instances_started", Number),
    ("instances_discarded", Number),
    ("waiting", Number),
    ("errors", Number),
    ("traps", Number),
    ("timeouts", Number),
    ("memory_failures", Number),
    ("bad_outputs", Number),
    ("host_failures", Number),
    ("log_lines", Number),
    ("log_lines_dropped", Number),
    ("suspended_since", Time),
    ("suspended", Text),
    ("cpu_us", Number),
    ("queued_us", Number),
    ("queued_max_us", Number),
    ("throttled", Number),
    ("throttled_us", Number),
    ("http_requests", Number),
    ("http_denied", Number),
    ("http_invalid", Number),
    ("http_unreachable", Number),
    ("http_timed_out", Number),
    ("http_too_large", Number),
    ("http_bytes_sent", Number),
    ("http_bytes_received", Number),
    ("http_busy_us", Number),
];

/// Every version that was loaded since the server was started.
pub(super) fn calls(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for (plugin, calls) in reader.engine.plugin_calls(&reader.who)? {
        let figures = calls.figures;
        let mut row = vec![
            text(&plugin.namespace),
            text(&plugin.name),
            number(plugin.version),
            number(figures.calls),
            number(figures.rows_in),
            number(figures.rows_out),
            number(figures.bytes_in),
            number(figures.bytes_out),
            number(figures.times.quantile_us(0.5)),
            number(figures.times.quantile_us(0.99)),
            number(figures.times.max_us),
            number(figures.times.sum_us),
            number(figures.memory_peak_bytes),
            number(calls.instances),
            number(calls.instances_started),
            number(calls.instances_discarded),
            number(calls.waiting),
        ];
        // In the order of `FailureKind::ALL`, as the columns are.
        row.extend(figures.failures.map(number));
        row.extend([
            number(calls.log_lines),
            number(calls.log_lines_dropped),
            time_or_null(calls.suspended.as_ref().map(|why| why.since_us)),
            text_or_null(calls.suspended.map(|why| why.reason)),
            number(figures.cpu_us),
            number(figures.queued_us),
            number(figures.queued_max_us),
            number(figures.throttled),
            number(figures.throttled_us),
            number(calls.http.requests),
        ]);
        // In the order of `RequestFailure::ALL`, as the columns are.
        row.extend(calls.http.failures.map(number));
        row.extend([calls.http.bytes_sent, calls.http.bytes_received, calls.http.busy_us].map(number));
        rows.push(row);
    }
    Ok(rows)
}

pub(super) const USES: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("version", Number),
    ("used_for", Text),
    ("used_by", Text),
    ("calls", Number),
    ("failures", Number),
    ("rows_in", Number),
    ("rows_out", Number),
    ("busy_us", Number),
    ("queued_us", Number),
    ("queued_max_us", Number),
    ("throttled", Number),
    ("throttled_us", Number),
    ("p50_us", Number),
    ("p99_us", Number),
    ("max_us", Number),
    ("cpu_us", Number),
    ("bytes_in", Number),
    ("bytes_out", Number),
    ("memory_peak_bytes", Number),
    ("errors", Number),
    ("traps", Number),
    ("timeouts", Number),
    ("memory_failures", Number),
    ("bad_outputs", Number),
    ("host_failures", Number),
];

/// The same by what the calls were made for.
pub(super) fn uses(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for (plugin, calls) in reader.engine.plugin_calls(&reader.who)? {
        rows.extend(calls.uses.iter().map(|used| {
            let figures = &used.figures;
            let mut row = vec![
                text(&plugin.namespace),
                text(&plugin.name),
                number(plugin.version),
                text(used.of.kind()),
                text(used.of.name()),
                number(figures.calls),
                number(figures.failed()),
                number(figures.rows_in),
                number(figures.rows_out),
                number(figures.times.sum_us),
                number(figures.queued_us),
                number(figures.queued_max_us),
                number(figures.throttled),
                number(figures.throttled_us),
                number(figures.times.quantile_us(0.5)),
                number(figures.times.quantile_us(0.99)),
                number(figures.times.max_us),
                number(figures.cpu_us),
                number(figures.bytes_in),
                number(figures.bytes_out),
                number(figures.memory_peak_bytes),
            ];
            // In the order of `FailureKind::ALL`, as the columns are.
            row.extend(figures.failures.map(number));
            row
        }));
    }
    Ok(rows)
}

pub(super) const LOGS: Columns = &[
    ("at", Time),
    ("namespace", Text),
    ("plugin", Text),
    ("version", Number),
    ("level", Text),
    ("line", Text),
    ("topic", Text),
    ("partition", Number),
    ("offset", Number),
];

/// The newest lines, oldest first.
pub(super) fn logs(reader: &Reader) -> Result<Rows> {
    let lines = reader.engine.plugin_log(&reader.who)?.into_iter().map(|line| {
        let place = line.place.as_ref();
        vec![
            time(line.at_us),
            text(&line.namespace),
            text(&line.plugin),
            number(line.version),
            text(line.level),
            text(&line.line),
            text_or_null(place.map(|place| place.topic.as_str())),
            number_or_null(place.map(|place| place.partition)),
            number_or_null(place.map(|place| place.offset)),
        ]
    });
    Ok(lines.collect())
}
