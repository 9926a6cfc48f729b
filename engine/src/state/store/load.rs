//! Reads a checkpoint back.

use std::path::Path;

use super::super::State;
use super::super::codec;
use super::super::families::each_stored_mut;
use super::super::paged::PageSource;
use super::errors::{damaged, store_error};
use super::{HEAD_KEY, HEAD_VERSION, Head, Opened};
use crate::model::{Error, Result};

/// Entries that are made anew go to the store so many at a time.
const MADE_AT_ONCE: usize = 8_192;

/// The state that the last checkpoint wrote; an empty one for a new store. What is paged stays where it is.
pub(super) fn load(path: &Path, opened: &Opened, source: &PageSource) -> Result<State> {
    let mut state = State::default();
    state.attach(source);
    let entries = &opened.entries;
    let get = |key: &[u8]| entries.get(key).map_err(|error| store_error(path, &error));
    let Some(head) = get(HEAD_KEY)? else {
        return match entries.is_empty().map_err(|error| store_error(path, &error))? {
            true => Ok(state),
            false => Err(damaged(path, "entries without a head")),
        };
    };
    let is_complete = head.first() == Some(&HEAD_VERSION);
    let head: Result<Head, String> = match head.split_first() {
        Some((&HEAD_VERSION, rest)) => codec::whole_postcard(rest),
        _ => codec::from_postcard(&head),
    };
    let head = head.map_err(|error| damaged(path, format!("head: {error}")))?;
    for stored in each_stored_mut(&mut state.catalog, &mut state.families) {
        for tag in stored.tags() {
            for entry in entries.prefix(tag) {
                let (key, value) = entry.into_inner().map_err(|error| store_error(path, &error))?;
                let restored = stored.restore(&key, &value);
                restored.map_err(|error| damaged(path, format!("entry {key:02x?}: {error}")))?;
            }
        }
    }
    state.applied = head.applied;
    state.append_us = head.append_us;
    state.epoch = head.epoch;
    state.catalog.set_version(head.catalog_version);
    state.decided.store(head.applied.0, std::sync::atomic::Ordering::Release);
    complete(path, opened, &mut state, is_complete)?;
    Ok(state)
}

/// What follows from other entries, in a store of a release that did not write it, is made anew. It lies in the store before the
/// next checkpoint says that it does; until then it is made anew at each opening, the same each time.
fn complete(path: &Path, opened: &Opened, state: &mut State, complete: bool) -> Result<()> {
    let mut batch = opened.database.batch();
    let mut made = |key: Vec<u8>, value: Vec<u8>| {
        batch.insert(&opened.entries, key, value);
        if batch.len() >= MADE_AT_ONCE {
            let full = std::mem::replace(&mut batch, opened.database.batch());
            full.commit().map_err(|error| store_error(path, &error))?;
        }
        Ok(())
    };
    state.restored(complete, &mut made).map_err(|error| match error {
        Error::Internal(message) => damaged(path, message),
        other => other,
    })?;
    batch.commit().map_err(|error| store_error(path, &error))
}
