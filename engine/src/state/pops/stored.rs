//! Groups that pop and their queues, in the state store.

use std::sync::Arc;

use super::super::codec::{self, KeyBytes, KeyParts};
use super::super::paged::{PageSource, VOID_TAG};
use super::super::stored::{Entries, Stored};
use super::{Entry, HandOutTimes, HandOuts, Pops};
use crate::model::{Result, TableId};
use crate::state::paged::PagedEntries;
use crate::state::{PopId, PopName, PopQueueId};

/// In this order: queues belong to names.
const NAME_TAG: u8 = b'P';
const QUEUE_TAG: u8 = b'Q';

impl Stored for Pops {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[&[NAME_TAG], &[QUEUE_TAG], &[VOID_TAG, HandOuts::TAG], &[VOID_TAG, HandOutTimes::TAG]]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match key {
            [VOID_TAG, HandOuts::TAG, ..] => return self.hand_outs.restore_void(key),
            [VOID_TAG, HandOutTimes::TAG, ..] => return self.times.restore_void(key),
            _ => {}
        }
        let mut parts = KeyParts::of(key);
        let id = parts.u64()?;
        parts.end()?;
        if key.first() == Some(&NAME_TAG) {
            let (namespace, group, table): (Arc<str>, Arc<str>, TableId) = codec::from_postcard(value)?;
            let name = PopName { namespace, group, table };
            self.ids.insert(name.clone(), PopId(id));
            self.names.insert(PopId(id), name);
        } else {
            let queue: super::PopQueue = codec::from_postcard(value)?;
            self.by_place.insert((queue.pop, queue.partition), PopQueueId(id));
            self.queues.insert(PopQueueId(id), queue);
        }
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.hand_outs.begin_checkpoint();
        self.times.begin_checkpoint();
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        for entry in self.unwritten.writing() {
            match entry {
                Entry::Name(id) => {
                    let value = |name: &PopName| codec::postcard(&(&name.namespace, &name.group, name.table));
                    entries(KeyBytes::new(NAME_TAG).u64(id.0).done(), self.names.get(id).map(value).transpose()?);
                }
                Entry::Queue(id) => {
                    let value = self.queues.get(id).map(codec::postcard).transpose()?;
                    entries(KeyBytes::new(QUEUE_TAG).u64(id.0).done(), value);
                }
            }
        }
        self.hand_outs.write(entries)?;
        self.times.write(entries)
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.hand_outs.end_checkpoint(written);
        self.times.end_checkpoint(written);
        self.unwritten.end(written);
    }

    fn attach(&mut self, pages: &PageSource) {
        self.hand_outs.attach(pages);
        self.times.attach(pages);
    }

    fn unwritten_bytes(&self) -> usize {
        self.hand_outs.unwritten_bytes() + self.times.unwritten_bytes()
    }
}
