//! Continuous topics and watermarks.

use super::data::Kind::{Flag, Number, Text, Time};
use super::data::{Columns, Rows, flag, number, text, text_or_null, time, time_or_null};
use crate::Result;
use crate::query::Reader;

pub(super) const TOPICS: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("paused", Flag),
    ("stopped", Text),
    ("lag", Number),
    ("watermark", Time),
    ("open_windows", Number),
    ("state_bytes", Number),
    ("state_limit", Number),
    ("rows_in", Number),
    ("rows_out", Number),
    ("late_rows", Number),
    ("ahead_rows", Number),
    ("version", Number),
    ("owner", Text),
    ("definition", Text),
];

pub(super) fn topics(reader: &Reader) -> Result<Rows> {
    let rows = reader.engine.continuous_topics(&reader.who)?.into_iter().map(|status| {
        let info = &status.info;
        vec![
            text(&info.namespace),
            text(&info.name),
            flag(info.paused),
            text_or_null(status.stopped.as_deref()),
            number(status.lag),
            time_or_null(status.watermark_us),
            number(status.open_windows),
            number(status.state_bytes),
            number(info.settings.state_bytes),
            number(status.rows_in),
            number(status.rows_out),
            number(status.late_rows),
            number(status.ahead_rows),
            number(info.version),
            text(info.owner.name()),
            text(&info.definition),
        ]
    });
    Ok(rows.collect())
}

pub(super) const WATERMARKS: Columns =
    &[("namespace", Text), ("table_name", Text), ("watermark", Time), ("recorded_at", Time), ("topic", Text)];

pub(super) fn watermarks(reader: &Reader) -> Result<Rows> {
    let rows = reader.engine.watermarks(&reader.who)?.into_iter().map(|of| {
        vec![
            text(&of.table.namespace),
            text(&of.table.name),
            time(of.watermark_us),
            time(of.recorded_us),
            text_or_null(of.topic.as_deref()),
        ]
    });
    Ok(rows.collect())
}
