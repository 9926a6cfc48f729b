//! Checkbacks.

use super::data::Kind::{Number, Text};
use super::data::{Columns, Rows, number, text, text_or_null};
use crate::Result;
use crate::query::Reader;

pub(super) const CHECKBACKS: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("table_name", Text),
    ("plugin", Text),
    ("plugin_version", Number),
    ("asks", Text),
    ("after_ms", Number),
    ("every_ms", Number),
    ("check_limit", Number),
    ("asked", Number),
    ("committed", Number),
    ("rolled_back", Number),
    ("unknown", Number),
    ("failed", Number),
    ("asked_producers", Number),
    ("parked", Number),
    ("error", Text),
    ("owner", Text),
];

pub(super) fn checkbacks(reader: &Reader) -> Result<Rows> {
    let rows = reader.engine.checkbacks(&reader.who)?.into_iter().map(|status| {
        let (info, settings, figures) = (&status.info, &status.info.settings, &status.figures);
        vec![
            text(&info.namespace),
            text(&info.name),
            text(&status.table),
            text(&info.plugin),
            number(status.plugin_version),
            text(settings.order.name()),
            number(settings.after_ms),
            number(settings.every_ms),
            number(settings.limit),
            number(figures.asked),
            number(figures.committed),
            number(figures.rolled_back),
            number(figures.unknown),
            number(figures.failed),
            number(figures.asked_producers),
            number(figures.parked),
            text_or_null(figures.error.as_deref()),
            text(info.owner.name()),
        ]
    });
    Ok(rows.collect())
}
