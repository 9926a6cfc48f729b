//! What was read from the state store just now. An entry is asked for several times in a row: by whoever submits, by admission, by the
//! writer's view and by the readers'. Each look into the store's own cache costs a search of its filters, its indexes and a block.

use std::collections::{BTreeMap, VecDeque};

use super::PagedEntries;

/// Entries that are kept, the newest.
const KEPT: usize = 256;
/// Larger ones are not.
const LARGEST_BYTES: usize = 4 << 10;

/// Entries as the store has had them since a checkpoint. With the next one that is written all are forgotten.
#[derive(Debug)]
pub(super) struct Recent<T: PagedEntries> {
    /// Counts the checkpoints that were written.
    version: u64,
    entries: BTreeMap<T::Key, Option<T::Value>>,
    order: VecDeque<T::Key>,
}

impl<T: PagedEntries> Default for Recent<T> {
    fn default() -> Self {
        Recent { version: 0, entries: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<T: PagedEntries> Recent<T> {
    /// What the store has under a key, for whoever has found nothing in memory at that version.
    pub(super) fn get(&self, version: u64, key: &T::Key) -> Option<Option<T::Value>> {
        self.entries.get(key).filter(|_| self.version == version).cloned()
    }

    /// Takes note of what whoever found nothing in memory at that version has then read.
    pub(super) fn put(&mut self, version: u64, key: &T::Key, value: Option<&T::Value>) {
        if version < self.version || T::bytes(key, value) > LARGEST_BYTES {
            return;
        }
        if version > self.version {
            *self = Recent { version, ..Recent::default() };
        }
        if self.entries.insert(key.clone(), value.cloned()).is_some() {
            return;
        }
        self.order.push_back(key.clone());
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Result;

    #[derive(Debug)]
    struct Texts;

    impl PagedEntries for Texts {
        type Key = u64;
        type Value = String;
        const TAG: u8 = b'-';

        fn key(key: &u64) -> Vec<u8> {
            key.to_be_bytes().to_vec()
        }

        fn parse_key(_bytes: &[u8]) -> Result<u64, String> {
            unreachable!("nothing is stored")
        }

        fn value(value: &String) -> Result<Vec<u8>> {
            Ok(value.clone().into_bytes())
        }

        fn parse_value(_bytes: &[u8]) -> Result<String, String> {
            unreachable!("nothing is stored")
        }

        fn owner(key: &u64) -> u64 {
            *key
        }

        fn first_of(owner: u64) -> u64 {
            owner
        }

        fn bytes(_key: &u64, value: Option<&String>) -> usize {
            value.map_or(0, String::len)
        }
    }

    #[test]
    fn what_an_older_checkpoint_has_left_is_neither_given_nor_kept() {
        let mut recent: Recent<Texts> = Recent::default();
        recent.put(3, &1, Some(&"three".to_owned()));
        recent.put(3, &2, None);
        assert_eq!((recent.get(3, &1), recent.get(3, &2)), (Some(Some("three".to_owned())), Some(None)));
        assert_eq!((recent.get(2, &1), recent.get(4, &1), recent.get(3, &7)), (None, None, None));
        recent.put(4, &2, Some(&"four".to_owned()));
        recent.put(3, &1, Some(&"three".to_owned()));
        assert_eq!((recent.get(4, &1), recent.get(4, &2)), (None, Some(Some("four".to_owned()))));
    }

    #[test]
    fn it_is_bounded() {
        let mut recent: Recent<Texts> = Recent::default();
        recent.put(1, &0, Some(&"x".repeat(LARGEST_BYTES + 1)));
        assert_eq!(recent.get(1, &0), None);
        for key in 0..2 * KEPT as u64 {
            recent.put(1, &key, Some(&"x".to_owned()));
            recent.put(1, &key, None);
        }
        assert_eq!((recent.entries.len(), recent.order.len()), (KEPT, KEPT));
        assert_eq!((recent.get(1, &(KEPT as u64 - 1)), recent.get(1, &(KEPT as u64))), (None, Some(None)));
    }
}
