//! Entries in order, over all layers.

use std::ops::Bound;

use super::PagedEntries;
use super::layers::Pages;
use super::overlay::Overlay;
use super::source::PageIter;
use crate::model::Result;

/// The next entry of the store.
struct Stored<T: PagedEntries> {
    iter: PageIter,
    next: Option<(T::Key, Vec<u8>)>,
}

impl<T: PagedEntries> Stored<T> {
    /// `None` without a store.
    fn open(pages: &Pages<T>, from: Bound<&T::Key>) -> Result<Option<Stored<T>>> {
        let Some(source) = pages.source() else { return Ok(None) };
        let iter = source.iter(T::TAG, from.map(T::key))?;
        let mut stored = Stored { iter, next: None };
        stored.advance(pages)?;
        Ok(Some(stored))
    }

    fn advance(&mut self, pages: &Pages<T>) -> Result<()> {
        self.next = None;
        let Some((key, value)) = self.iter.next()? else { return Ok(()) };
        let parsed = T::parse_key(&key);
        let damaged = |error: String| match pages.source() {
            Some(source) => source.damaged_entry(&key, &error),
            None => crate::model::Error::Internal(error),
        };
        self.next = Some((parsed.map_err(damaged)?, value));
        Ok(())
    }
}

pub(super) fn scan<T: PagedEntries>(
    pages: &Pages<T>,
    overlay: Option<&Overlay<T>>,
    from: Bound<T::Key>,
    mut each: impl FnMut(&T::Key, &T::Value) -> Result<bool>,
) -> Result<()> {
    let mut from = from;
    let mut version = pages.version();
    let mut stored = Stored::open(pages, from.as_ref())?;
    loop {
        let range = (from.as_ref(), Bound::Unbounded);
        let glance = pages.glance(range);
        if glance.version != version {
            // A checkpoint has moved entries from memory to where the iterator does not see them.
            version = glance.version;
            stored = Stored::open(pages, from.as_ref())?;
            continue;
        }
        let undecided = overlay.and_then(|overlay| overlay.next(range));
        let memory = match (undecided, glance.next) {
            (Some(undecided), Some(decided)) if decided.0 < undecided.0 => Some(decided),
            (undecided, decided) => undecided.or(decided),
        };
        let on_disk = stored.as_ref().and_then(|stored| stored.next.as_ref());
        let (key, value) = match (memory, on_disk) {
            (None, None) => return Ok(()),
            (Some((key, value)), on_disk) if on_disk.is_none_or(|(on_disk, _)| key <= *on_disk) => {
                let same = on_disk.is_some_and(|(on_disk, _)| key == *on_disk);
                if let Some(stored) = stored.as_mut().filter(|_| same) {
                    stored.advance(pages)?;
                }
                (key, value)
            }
            (_, Some((key, bytes))) => {
                let key = key.clone();
                let value = T::parse_value(bytes).map_err(|error| match pages.source() {
                    Some(source) => source.damaged_entry(&T::key(&key), &error),
                    None => crate::model::Error::Internal(error),
                })?;
                if let Some(stored) = &mut stored {
                    stored.advance(pages)?;
                }
                (key, Some(value))
            }
            (Some(memory), None) => memory,
        };
        let owner = T::owner(&key);
        if pages.is_void(owner) || overlay.is_some_and(|overlay| overlay.is_void(owner)) {
            // What is void is passed at once.
            let Some(next) = owner.checked_add(1) else { return Ok(()) };
            from = Bound::Included(T::first_of(next));
            stored = Stored::open(pages, from.as_ref())?;
            continue;
        }
        if let Some(value) = &value
            && !each(&key, value)?
        {
            return Ok(());
        }
        from = Bound::Excluded(key);
    }
}
