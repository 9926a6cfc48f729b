//! Properties of the messages of a batch, each found once for all rows.

use arrow::array::{Array, AsArray, ListArray, MapArray, RecordBatch, StringArray};
use millstream_engine::{FailureKind, OperatorError, message_schema};

/// A property that is no entry of the column `properties`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageProperty {
    MessageId,
    Tag,
    /// All keys, with a blank between.
    Keys,
    Group,
    /// The same for every message.
    Is(&'static str),
}

/// What a protocol calls the properties that have columns of their own.
pub type PropertyNames = &'static [(&'static str, MessageProperty)];

/// No entry of a map.
const NONE: u32 = u32::MAX;

/// Where a property is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Entry(String),
    Texts(usize),
    Lists(usize),
    Constant(&'static str),
}

impl Source {
    pub(super) fn of(name: &str, names: PropertyNames) -> Source {
        let named = names.iter().find(|(known, _)| *known == name).map(|(_, property)| *property);
        match named {
            None => Source::Entry(name.to_owned()),
            Some(MessageProperty::MessageId) => Source::Texts(place("message_id")),
            Some(MessageProperty::Tag) => Source::Texts(place("tag")),
            Some(MessageProperty::Group) => Source::Texts(place("message_group")),
            Some(MessageProperty::Keys) => Source::Lists(place("keys")),
            Some(MessageProperty::Is(value)) => Source::Constant(value),
        }
    }
}

/// Where a column stands among those of messages; behind the last one if it is none.
pub(super) fn place(name: &str) -> usize {
    message_schema().index_of(name).unwrap_or(usize::MAX)
}

/// A property of all messages of a batch.
#[derive(Debug)]
pub(super) enum Column<'a> {
    Entries { values: &'a StringArray, at: Vec<u32> },
    Texts(&'a StringArray),
    Joined(StringArray),
    Constant(&'static str),
}

impl Column<'_> {
    pub(super) fn get(&self, row: u32) -> Option<&str> {
        let row = row as usize;
        let text = |texts, row| {
            let texts: &StringArray = texts;
            texts.is_valid(row).then(|| texts.value(row))
        };
        match self {
            Column::Entries { values, at } => {
                at.get(row).filter(|at| **at != NONE).and_then(|at| text(values, *at as usize))
            }
            Column::Texts(texts) => text(texts, row),
            Column::Joined(texts) => text(texts, row),
            Column::Constant(value) => Some(value),
        }
    }
}

/// The properties of these sources.
pub(super) fn columns<'a>(sources: &[Source], batch: &'a RecordBatch) -> Result<Vec<Column<'a>>, OperatorError> {
    let column = |source: &Source| {
        Some(match source {
            Source::Entry(name) => entries(batch.columns().get(place("properties"))?.as_map_opt()?, name)?,
            Source::Texts(place) => Column::Texts(batch.columns().get(*place)?.as_string_opt()?),
            Source::Lists(place) => Column::Joined(joined(batch.columns().get(*place)?.as_list_opt()?)?),
            Source::Constant(value) => Column::Constant(value),
        })
    };
    let none = || OperatorError::new(FailureKind::Host, "the rows do not have the columns of messages");
    sources.iter().map(|source| column(source).ok_or_else(none)).collect()
}

/// Where each row's entry of a name is. Messages of one kind have their properties in one order, so that it is looked for first
/// where the row before had it.
fn entries<'a>(map: &'a MapArray, name: &str) -> Option<Column<'a>> {
    let (keys, values) = (map.keys().as_string_opt::<i32>()?, map.values().as_string_opt::<i32>()?);
    let mut at = Vec::with_capacity(map.len());
    let mut guess = 0;
    for (row, bounds) in map.value_offsets().windows(2).enumerate() {
        let [start, end] = bounds else { return None };
        let (start, end) = (usize::try_from(*start).ok()?, usize::try_from(*end).ok()?);
        let is = |entry: usize| keys.value(entry) == name;
        let found = match start + guess {
            _ if map.is_null(row) => None,
            guessed if guessed < end && is(guessed) => Some(guessed),
            _ => (start..end).find(|entry| is(*entry)),
        };
        guess = found.map_or(guess, |found| found - start);
        at.push(found.map_or(Some(NONE), |found| u32::try_from(found).ok())?);
    }
    Some(Column::Entries { values, at })
}

fn joined(lists: &ListArray) -> Option<StringArray> {
    let texts = lists.values().as_string_opt::<i32>()?;
    let of_row = |(row, bounds): (usize, &[i32])| {
        let [start, end] = bounds else { return None };
        let (start, end) = (usize::try_from(*start).ok()?, usize::try_from(*end).ok()?);
        let keys: Vec<&str> = (start..end).filter(|key| texts.is_valid(*key)).map(|key| texts.value(key)).collect();
        (lists.is_valid(row) && !keys.is_empty()).then(|| keys.join(" "))
    };
    Some(lists.value_offsets().windows(2).enumerate().map(of_row).collect())
}
