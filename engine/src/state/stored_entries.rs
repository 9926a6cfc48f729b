//! Entries in the state store that a submission will be asked about. Whoever submits it has the store's cache read them first, on his own
//! thread: the writer's thread, which all others wait for, then waits for no disk.

use super::keyed::KeptEntries;
use super::paged::Paged;
use super::pop_record::{HandOutKey, PopRecord};
use super::pops::HandOuts;
use super::producers::Streams;
use super::record::Record;
use super::submission::Submission;

/// Of all families whose entries admission reads.
#[derive(Debug)]
pub(crate) struct StoredEntries {
    pub(super) streams: Paged<Streams>,
    pub(super) kept: Paged<KeptEntries>,
    pub(super) hand_outs: Paged<HandOuts>,
}

impl StoredEntries {
    /// May wait for the disk. An entry that can't be read is the writer's to tell of.
    pub(crate) fn fetch(&self, submission: &Submission) {
        if let Some(stamp) = &submission.stamp {
            self.streams.fetch(&stamp.stream());
        }
        for record in &submission.records {
            match record {
                Record::State(written) => written.keys().for_each(|key| self.kept.fetch(&key)),
                Record::Pop(PopRecord::Moved(moved)) => {
                    for done in &moved.done {
                        let key = HandOutKey { queue: moved.queue, first: done.first, number: done.number };
                        self.hand_outs.fetch(&key);
                    }
                }
                _ => {}
            }
        }
    }
}
