//! Paged entries whose owners each have a small entry beside them that says what all of theirs come to, so that nobody has to read them for
//! that. It is in memory as long as it says anything.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::changed::Changed;
use super::codec::{self, KeyBytes, KeyParts};
use super::paged::{PageSource, Paged, PagedEntries, VOID_TAG};
use super::stored::{Entries, Restored, Stored};
use crate::model::Result;

/// What an owner's entries come to; the default where there are none.
pub(crate) trait Sum: fmt::Debug + Default + Clone + PartialEq + Serialize + DeserializeOwned {
    /// First byte of the keys; the owner follows.
    const TAG: u8;
}

/// Entries and sums. What is done to entries is added up by whoever does it.
#[derive(Debug)]
pub(crate) struct Summed<T: PagedEntries, S> {
    entries: Paged<T>,
    sums: BTreeMap<u64, S>,
    unwritten: Changed<u64>,
}

impl<T: PagedEntries, S> Default for Summed<T, S> {
    fn default() -> Self {
        Summed { entries: Paged::default(), sums: BTreeMap::new(), unwritten: Changed::default() }
    }
}

impl<T: PagedEntries, S> Deref for Summed<T, S> {
    type Target = Paged<T>;

    fn deref(&self) -> &Paged<T> {
        &self.entries
    }
}

impl<T: PagedEntries, S> DerefMut for Summed<T, S> {
    fn deref_mut(&mut self) -> &mut Paged<T> {
        &mut self.entries
    }
}

impl<T: PagedEntries, S: Sum> Summed<T, S> {
    const TAGS: &'static [&'static [u8]] = &[&[VOID_TAG, T::TAG], &[S::TAG]];

    pub(crate) fn sum(&self, owner: u64) -> S {
        self.sums.get(&owner).cloned().unwrap_or_default()
    }

    /// Owners that have entries.
    pub(crate) fn sums(&self) -> impl Iterator<Item = (u64, &S)> {
        self.sums.iter().map(|(owner, sum)| (*owner, sum))
    }

    pub(crate) fn add_up(&mut self, owner: u64, change: impl FnOnce(&mut S)) {
        let sum = self.sums.entry(owner).or_default();
        change(sum);
        if *sum == S::default() {
            self.sums.remove(&owner);
        }
        self.unwritten.mark(owner);
    }

    /// All entries of an owner are gone, and it will never have others.
    pub(crate) fn forget(&mut self, owner: u64) {
        if self.sums.remove(&owner).is_some() {
            self.entries.make_void(owner);
            self.unwritten.mark(owner);
        }
    }

    /// The writer's view of the same.
    pub(crate) fn view_ahead(&self) -> Summed<T, S> {
        Summed { entries: self.entries.ahead(), sums: self.sums.clone(), unwritten: Changed::untracked() }
    }

    fn restore_sum(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let mut parts = KeyParts::of(key);
        let owner = parts.u64()?;
        parts.end()?;
        self.sums.insert(owner, codec::from_postcard(value)?);
        Ok(())
    }
}

#[cfg(test)]
impl<T: PagedEntries, S: Clone> Clone for Summed<T, S> {
    fn clone(&self) -> Self {
        Summed { entries: self.entries.clone(), sums: self.sums.clone(), unwritten: self.unwritten.clone() }
    }
}

#[cfg(test)]
impl<T: PagedEntries, S: PartialEq> PartialEq for Summed<T, S> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries && self.sums == other.sums
    }
}

/// A family that is nothing but such entries.
pub(crate) trait OfSummed {
    type Entries: PagedEntries;
    type Sum: Sum;

    fn summed(&self) -> &Summed<Self::Entries, Self::Sum>;
    fn summed_mut(&mut self) -> &mut Summed<Self::Entries, Self::Sum>;

    /// See [`Stored::restored`].
    fn back(&mut self, _restored: &mut Restored<'_>) -> Result<()> {
        Ok(())
    }
}

impl<F: OfSummed> Stored for F {
    fn tags(&self) -> &'static [&'static [u8]] {
        Summed::<F::Entries, F::Sum>::TAGS
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let summed = self.summed_mut();
        match key.first() {
            Some(&VOID_TAG) => summed.entries.restore_void(key),
            _ => summed.restore_sum(key, value),
        }
    }

    fn begin_checkpoint(&mut self) {
        let summed = self.summed_mut();
        summed.entries.begin_checkpoint();
        summed.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        let summed = self.summed();
        for owner in summed.unwritten.writing() {
            let sum = summed.sums.get(owner).map(codec::postcard).transpose()?;
            entries(KeyBytes::new(F::Sum::TAG).u64(*owner).done(), sum);
        }
        summed.entries.write(entries)
    }

    fn end_checkpoint(&mut self, written: bool) {
        let summed = self.summed_mut();
        summed.entries.end_checkpoint(written);
        summed.unwritten.end(written);
    }

    fn attach(&mut self, pages: &PageSource) {
        self.summed_mut().entries.attach(pages);
    }

    fn restored(&mut self, restored: &mut Restored<'_>) -> Result<()> {
        self.back(restored)
    }

    fn unwritten_bytes(&self) -> usize {
        self.summed().entries.unwritten_bytes()
    }
}
