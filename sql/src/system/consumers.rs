//! Consumers that are plugins.

use millstream_engine::PluginConsumerFigures;

use super::data::Kind::{Number, Text};
use super::data::{Columns, Rows, number, number_or_null, text, text_or_null};
use crate::Result;
use crate::listing::on_error;
use crate::query::Reader;

pub(super) const CONSUMERS: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("topic", Text),
    ("plugin", Text),
    ("plugin_version", Number),
    ("next_version", Number),
    ("group_id", Text),
    ("outputs", Text),
    ("on_error", Text),
    ("retries", Number),
    ("state", Text),
    ("error", Text),
    ("stopped_partitions", Text),
    ("lag", Number),
    ("calls", Number),
    ("failures", Number),
    ("rows_in", Number),
    ("rows_out", Number),
    ("rows_skipped", Number),
    ("dead_letters", Number),
    ("commits", Number),
    ("state_bytes", Number),
    ("state_bytes_limit", Number),
    ("owner", Text),
];

pub(super) fn consumers(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for status in reader.engine.plugin_consumers(&reader.who)? {
        let (info, settings) = (&status.info, &status.info.settings);
        let PluginConsumerFigures { calls, failures, rows_in, rows_out, rows_skipped, dead_letters, commits } =
            status.figures;
        let stopped: Vec<_> = status.stopped_partitions.iter().map(ToString::to_string).collect();
        rows.push(vec![
            text(&info.namespace),
            text(&info.name),
            text(&status.topic),
            text(&status.plugin),
            number(status.plugin_version),
            number_or_null(status.next_version),
            text(&info.group),
            text(status.outputs.join(", ")),
            text(on_error(settings.on_error)),
            number(settings.retries),
            text(status.state),
            text_or_null(status.error.as_deref()),
            text(stopped.join(", ")),
            number(status.lag),
            number(calls),
            number(failures),
            number(rows_in),
            number(rows_out),
            number(rows_skipped),
            number(dead_letters),
            number(commits),
            number(status.state_bytes),
            number(settings.state_bytes),
            text(info.owner.name()),
        ]);
    }
    Ok(rows)
}
