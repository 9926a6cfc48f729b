//! Partitions, segments, events and figures.

use std::collections::HashMap;

use super::data::Kind::{Number, Text, Time};
use super::data::{Columns, Rows, number, text, text_or_null, time};
use crate::Result;
use crate::query::{Reader, permitted};

pub(super) const PARTITIONS: Columns = &[
    ("namespace", Text),
    ("table_name", Text),
    ("partition", Number),
    ("start_offset", Number),
    ("end_offset", Number),
];

pub(super) fn partitions(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for table in reader.engine.tables(&reader.who)? {
        let offsets = permitted(reader.engine.table_offsets(&reader.who, table.id))?.unwrap_or_default();
        for (partition, (start, end)) in (0_i64..).zip(offsets) {
            rows.push(vec![text(&table.namespace), text(&table.name), number(partition), number(start), number(end)]);
        }
    }
    Ok(rows)
}

pub(super) const SEGMENTS: Columns = &[
    ("namespace", Text),
    ("table_name", Text),
    ("partition", Number),
    ("first_offset", Number),
    ("next_offset", Number),
    ("schema_version", Number),
    ("bytes", Number),
    ("min_event_time", Time),
    ("max_event_time", Time),
    ("min_append_time", Time),
    ("max_append_time", Time),
    ("path", Text),
    ("first_lsn", Number),
    ("next_lsn", Number),
];

pub(super) fn segments(reader: &Reader) -> Result<Rows> {
    let tables = reader.engine.tables(&reader.who)?;
    let names: HashMap<_, _> = tables.iter().map(|table| (table.id, (&table.namespace, &table.name))).collect();
    let rows = reader.engine.segments(&reader.who)?.into_iter().map(|segment| {
        let name = names.get(&segment.table);
        vec![
            text_or_null(name.map(|(namespace, _)| namespace.as_str())),
            text_or_null(name.map(|(_, name)| name.as_str())),
            number(segment.partition),
            number(segment.first_offset),
            number(segment.next_offset),
            number(segment.schema_version),
            number(segment.bytes),
            time(segment.min_event_us),
            time(segment.max_event_us),
            time(segment.min_append_us),
            time(segment.max_append_us),
            text(segment.path),
            number(segment.first_lsn.0),
            number(segment.next_lsn.0),
        ]
    });
    Ok(rows.collect())
}

pub(super) const LOG: Columns = &[("at", Time), ("kind", Text), ("message", Text)];

pub(super) fn log(reader: &Reader) -> Result<Rows> {
    let events = reader.engine.events(&reader.who)?.into_iter();
    Ok(events.map(|event| vec![time(event.at_us), text(event.kind), text(event.message)]).collect())
}

pub(super) const STATS: Columns = &[("name", Text), ("value", Number)];

pub(super) fn stats(reader: &Reader) -> Result<Rows> {
    let stats = reader.engine.stats(&reader.who)?;
    let figures = [
        ("durable_lsn", stats.durable_lsn.0),
        ("checkpoint_lsn", stats.checkpoint_lsn.0),
        ("epoch", stats.epoch),
        ("rows_appended", stats.rows_appended),
        ("bytes_appended", stats.bytes_appended),
        ("commits", stats.commits),
        ("syncs", stats.syncs),
        ("sync_micros", stats.sync_micros),
        ("submissions", stats.submissions),
        ("submissions_refused", stats.submissions_refused),
        ("log_files", stats.log_files),
        ("log_bytes", stats.log_bytes),
        ("log_bytes_written", stats.log_bytes_written),
        ("tail_bytes", stats.tail_bytes),
        ("queue_bytes", stats.queue_bytes),
        ("queue_waiting", stats.queue_waiting),
        ("segments", stats.segments),
        ("segment_bytes", stats.segment_bytes),
        ("segment_bytes_written", stats.segment_bytes_written),
        ("segment_backlog_bytes", stats.segment_backlog_bytes),
        ("segments_unlisted", stats.segments_unlisted),
        ("segment_store_epoch", stats.segment_store_epoch),
        ("segment_store_fenced_by", stats.segment_store_fenced_by),
        ("segment_store_kept_below", stats.segment_store_kept_below),
        ("evaluation_hits", stats.evaluation_hits),
        ("evaluation_misses", stats.evaluation_misses),
        ("rows_skipped", stats.rows_skipped),
        ("groups", stats.groups),
        ("members", stats.members),
        ("free_disk_bytes", stats.free_disk_bytes),
        ("producer_streams", stats.producer_streams),
        ("producer_streams_forgotten", stats.producer_streams_forgotten),
        ("thread_panics", stats.thread_panics),
        ("threads_down", stats.threads_down),
        ("clock_steps", stats.clock_steps),
    ];
    Ok(figures.into_iter().map(|(name, value)| vec![text(name), number(value)]).collect())
}
