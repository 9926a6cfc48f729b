//! What the objects of a JSON text have in common.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::scalars::{Numbers, Times};
use crate::json::Json;
use crate::text;

/// Members by name, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Members {
    members: Vec<(String, Values)>,
    /// Nested ones counted.
    count: usize,
    round: u64,
}

/// The values of one member, or the items of a list.
#[derive(Debug, Default)]
struct Values {
    booleans: bool,
    numbers: Option<Numbers>,
    texts: Option<Texts>,
    items: Option<Box<Values>>,
    members: Option<Members>,
    /// When it was seen last.
    round: u64,
}

/// Texts, which may be times, or the names of floating-point values that are no numbers.
#[derive(Debug, Default)]
struct Texts {
    times: Times,
    no_time: bool,
    no_float: bool,
}

impl Members {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn see(&mut self, object: &[(Cow<'_, str>, Json<'_>)]) -> Result<(), String> {
        self.round += 1;
        for (place, (name, value)) in object.iter().enumerate() {
            let at = match self.members.get(place).is_some_and(|(known, _)| known == name) {
                true => Some(place),
                false => self.members.iter().position(|(known, _)| known == name),
            };
            let at = at.unwrap_or_else(|| {
                self.members.push((name.clone().into_owned(), Values::default()));
                self.count += 1;
                self.members.len() - 1
            });
            let Some((_, values)) = self.members.get_mut(at) else { continue };
            if values.round == self.round {
                return Err(format!("{name:?} is there twice"));
            }
            values.round = self.round;
            self.count += values.see(value)?;
        }
        Ok(())
    }

    /// The fields; `what` they are, in errors.
    pub(super) fn fields(self, what: &str) -> Result<Fields, String> {
        let field = |(name, values): (String, Values)| {
            let data_type = values.data_type().map_err(|reason| format!("{what} {name:?}{reason}"))?;
            Ok(Field::new(name, data_type, true))
        };
        self.members.into_iter().map(field).collect()
    }
}

impl Values {
    /// Gives how many members are new.
    fn see(&mut self, value: &Json<'_>) -> Result<usize, String> {
        match value {
            Json::Null => {}
            Json::Bool(_) => self.booleans = true,
            Json::Number(number) => {
                self.numbers.get_or_insert_default().see(number);
            }
            Json::String(text) => {
                let texts = self.texts.get_or_insert_default();
                texts.no_time = texts.no_time || !texts.times.see(text);
                texts.no_float |=
                    text::float::<f64>(text).is_ok_and(f64::is_finite) || text::float::<f64>(text).is_err();
            }
            Json::Array(items) => {
                let values = self.items.get_or_insert_default();
                let mut new = 0;
                for item in items {
                    new += values.see(item)?;
                }
                return Ok(new);
            }
            Json::Object(object) => {
                let members = self.members.get_or_insert_default();
                let before = members.count;
                members.see(object)?;
                return Ok(members.count - before);
            }
        }
        Ok(0)
    }

    /// The error goes on behind the name of what it is about.
    fn data_type(self) -> Result<DataType, String> {
        let Values { booleans, numbers, texts, items, members, .. } = self;
        let names_of_floats = numbers.is_some() && texts.as_ref().is_some_and(|texts| !texts.no_float);
        let texts = if names_of_floats { None } else { texts };
        let kinds = [
            (booleans, "Booleans"),
            (numbers.is_some(), "numbers"),
            (texts.is_some(), "texts"),
            (items.is_some(), "arrays"),
            (members.is_some(), "objects"),
        ];
        let kinds: Vec<&str> = kinds.into_iter().filter_map(|(there, kind)| there.then_some(kind)).collect();
        if kinds.len() > 1 {
            return Err(format!(" has {}; a column has one type", kinds.join(" and ")));
        }
        Ok(match (numbers, texts, items, members) {
            (Some(_), ..) if names_of_floats => DataType::Float64,
            // Of what no decimal holds a double is the nearest.
            (Some(numbers), ..) => numbers.data_type().unwrap_or(DataType::Float64),
            (_, Some(texts), ..) if texts.no_time => DataType::Utf8,
            (_, Some(texts), ..) => texts.times.data_type().unwrap_or(DataType::Utf8),
            (_, _, Some(items), _) => {
                let item = items.data_type().map_err(|reason| format!(", item{reason}"))?;
                DataType::List(Arc::new(Field::new("item", item, true)))
            }
            (.., Some(members)) if members.members.is_empty() => texts_by_name(),
            (.., Some(members)) => DataType::Struct(members.fields(", field")?),
            _ if booleans => DataType::Boolean,
            _ => DataType::Utf8,
        })
    }
}

/// The type of objects that never have a member.
fn texts_by_name() -> DataType {
    let entries = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}
