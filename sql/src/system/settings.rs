//! What the server was set up with.

use super::data::Kind::Text;
use super::data::{Columns, Rows, text, text_or_null};
use crate::Result;
use crate::query::{Reader, permitted};

pub(super) const SETTINGS: Columns = &[("name", Text), ("value", Text), ("description", Text)];

pub(super) fn settings(reader: &Reader) -> Result<Rows> {
    if permitted(reader.engine.check_operate(&reader.who))?.is_none() {
        return Ok(Rows::new());
    }
    let rows = reader.options.settings.iter().map(|setting| {
        let value = Some(setting.value.as_str()).filter(|value| !value.is_empty());
        vec![text(setting.name), text_or_null(value), text(setting.description)]
    });
    Ok(rows.collect())
}
