//! Shadows: versions of plugins that run beside those that topics call.

use super::data::Kind::{Number, Text};
use super::data::{Columns, Rows, number, text, text_or_null};
use crate::Result;
use crate::query::Reader;

pub(super) const SHADOWS: Columns = &[
    ("namespace", Text),
    ("topic", Text),
    ("plugin", Text),
    ("version", Number),
    ("shadow_version", Number),
    ("rows_compared", Number),
    ("rows_different", Number),
    ("failures", Number),
    ("rows_skipped", Number),
    ("error", Text),
];

pub(super) fn shadows(reader: &Reader) -> Result<Rows> {
    let all = reader.engine.plugin_shadows(&reader.who)?.into_iter().map(|status| {
        vec![
            text(&status.topic.namespace),
            text(&status.topic.name),
            text(&status.shadow.name),
            number(status.version),
            number(status.shadow.version),
            number(status.figures.rows_compared),
            number(status.figures.rows_different),
            number(status.figures.failures),
            number(status.figures.rows_skipped),
            text_or_null(status.error),
        ]
    });
    Ok(all.collect())
}

pub(super) const DIFFERENCES: Columns =
    &[("namespace", Text), ("topic", Text), ("partition", Number), ("offset", Number), ("old", Text), ("new", Text)];

/// The newest of each shadow, oldest first.
pub(super) fn differences(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for (topic, differences) in reader.engine.shadow_differences(&reader.who)? {
        rows.extend(differences.into_iter().map(|difference| {
            vec![
                text(&topic.namespace),
                text(&topic.name),
                number(difference.partition),
                number(difference.offset),
                text(difference.old),
                text(difference.new),
            ]
        }));
    }
    Ok(rows)
}
