//! Fields of requests, read.

use std::str::FromStr;

use super::answer::Refusal;
use super::wire::codes;
use super::wire::command::Command;
use super::wire::field_texts::FieldTexts;

/// A request's fields, with what it is for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    code: i32,
    fields: &'a FieldTexts,
}

impl<'a> Fields<'a> {
    pub(super) fn of(command: &'a Command) -> Fields<'a> {
        Fields { code: command.code, fields: &command.fields }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, Refusal> {
        let missing = || Refusal::new(codes::SYSTEM_ERROR, format!("{} has no field {name}", codes::name(self.code)));
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    /// `None` where it is not there, or empty.
    pub(super) fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let wrong = |_| {
            Refusal::new(
                codes::SYSTEM_ERROR,
                format!("{}: the field {name} is {text:?}, which it can't be", codes::name(self.code)),
            )
        };
        text.parse().map(Some).map_err(wrong)
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<T, Refusal> {
        self.text(name)?;
        self.optional(name)?.ok_or_else(|| Refusal::new(codes::SYSTEM_ERROR, format!("the field {name} is empty")))
    }

    pub(super) fn or<T: FromStr>(&self, name: &str, default: T) -> Result<T, Refusal> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// False where it is not there. Clients in C++ say 1 and 0.
    pub(super) fn is_set(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            Some("1") => Ok(true),
            Some("0") => Ok(false),
            _ => self.or(name, false),
        }
    }

    /// A queue's number, as our partitions have them.
    pub(super) fn queue(&self) -> Result<u32, Refusal> {
        self.number("queueId")
    }
}
