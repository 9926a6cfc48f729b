//! What the records before one in the same submission do, and refusals that admission shares.

use std::collections::HashSet;

use crate::model::{CheckbackId, ConsumerId, ContinuousId, Error, Result, TableId, TopicId};

/// What earlier records of the same submission have done.
#[derive(Debug, Default)]
pub(crate) struct Earlier<'a> {
    names: HashSet<(&'static str, &'a str, &'a str)>,
    pub(super) dropped_tables: HashSet<TableId>,
    pub(super) dropped_topics: HashSet<TopicId>,
    pub(super) dropped_consumers: HashSet<ConsumerId>,
    pub(super) dropped_checkbacks: HashSet<CheckbackId>,
    pub(super) dropped_continuous: HashSet<ContinuousId>,
    pub(super) created_groups: HashSet<(&'a str, &'a str)>,
}

impl<'a> Earlier<'a> {
    pub(super) fn take(&mut self, what: &'static str, namespace: &'a str, name: &'a str) -> Result<()> {
        free(self.names.insert((what, namespace, name)), what, name)
    }
}

pub(super) fn free(free: bool, what: &'static str, name: &str) -> Result<()> {
    if free { Ok(()) } else { Err(Error::AlreadyExists { what, name: name.to_owned() }) }
}

pub(super) fn in_use<T>(what: &'static str, name: &str, by: String) -> Result<T> {
    Err(Error::InUse { what, name: name.to_owned(), by })
}
