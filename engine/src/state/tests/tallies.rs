//! A family of its own: what a new kind of record takes. This file, a line in `families.rs` and one in `record.rs` are all of it; a
//! condition that asks it is a line in `conditions.rs`.

use std::ops::Bound;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::History;
use crate::model::{Error, ErrorKind, Lsn, Result};
use crate::state::Submission;
use crate::state::codec;
use crate::state::codec::{KeyBytes, KeyParts};
use crate::state::earlier::Earlier;
use crate::state::family::{Ahead, Condition, Family, Fold, RecordKind};
use crate::state::paged::{PageSource, Paged, PagedEntries};
use crate::state::stored::{Entries, Stored};
use crate::state::{Record, RecordContext};
use crate::state::{State, StateStore};

/// Adds to what is counted under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub name: u32,
    pub count: u64,
}

impl RecordKind for Tally {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::record_postcard(self)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        codec::record_from_postcard(payload)
    }

    fn payload_bytes(&self) -> Result<usize> {
        Ok(16)
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, _earlier: &mut Earlier<'a>) -> Result<()> {
        let before = ahead.get::<Tallies>()?.counted.get(&(0, self.name))?.unwrap_or(0);
        match before.checked_add(self.count) {
            Some(_) => Ok(()),
            None => Err(Error::InvalidInput(format!("too much is counted under {}", self.name))),
        }
    }
}

/// Less than this is counted under the name.
#[derive(Debug, Clone)]
pub(crate) struct CountedBelow {
    pub name: u32,
    pub count: u64,
}

impl Condition for CountedBelow {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        let found = ahead.get::<Tallies>()?.counted.get(&(0, self.name))?.unwrap_or(0);
        if found < self.count {
            return Ok(());
        }
        Err(Error::Fenced(format!("{found} are counted under {}", self.name)))
    }
}

#[derive(Debug)]
struct Counted;

impl PagedEntries for Counted {
    type Key = (u64, u32);
    type Value = u64;
    const TAG: u8 = b'z';

    fn key((owner, name): &(u64, u32)) -> Vec<u8> {
        KeyBytes::new(Self::TAG).u64(*owner).u32(*name).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<(u64, u32), String> {
        let mut parts = KeyParts::of(bytes);
        Ok((parts.u64()?, parts.u32()?))
    }

    fn value(value: &u64) -> Result<Vec<u8>> {
        codec::postcard(value)
    }

    fn parse_value(bytes: &[u8]) -> Result<u64, String> {
        codec::from_postcard(bytes)
    }

    fn owner((owner, _): &(u64, u32)) -> u64 {
        *owner
    }

    fn first_of(owner: u64) -> (u64, u32) {
        (owner, 0)
    }

    fn bytes(_key: &(u64, u32), _value: Option<&u64>) -> usize {
        64
    }
}

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(crate) struct Tallies {
    counted: Paged<Counted>,
}

impl Family for Tallies {
    fn apply(&mut self, _fold: &Fold<'_>, record: &Record) -> Result<()> {
        let Record::Tally(tally) = record else { return Ok(()) };
        self.counted.edit(&(0, tally.name), |counted| *counted = Some(counted.unwrap_or(0) + tally.count))
    }

    fn ahead(&self) -> Self {
        Tallies { counted: self.counted.ahead() }
    }

    fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        self.counted.end_commit(last, applied);
    }
}

impl Stored for Tallies {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[b"vz"]
    }

    fn restore(&mut self, key: &[u8], _value: &[u8]) -> Result<(), String> {
        self.counted.restore_void(key)
    }

    fn begin_checkpoint(&mut self) {
        self.counted.begin_checkpoint();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        self.counted.write(entries)
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.counted.end_checkpoint(written);
    }

    fn attach(&mut self, pages: &PageSource) {
        self.counted.attach(pages);
    }

    fn unwritten_bytes(&self) -> usize {
        self.counted.unwritten_bytes()
    }
}

fn tally(name: u32, count: u64) -> Record {
    Tally { name, count }.into()
}

fn counted(state: &State, name: u32) -> Option<u64> {
    state.families.tallies.counted.get(&(0, name)).unwrap()
}

#[test]
fn a_new_kind_of_record_is_admitted_written_and_read_back() {
    let mut history = History::new();
    assert!(history.admit(&Submission::of([tally(7, u64::MAX)])).is_ok());
    history.push(tally(7, 3));
    let refused = history.admit(&Submission::of([tally(7, u64::MAX)])).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let (byte, payload) = tally(7, 5).encode().unwrap();
    assert_eq!(Record::decode(byte, &payload).unwrap(), tally(7, 5));
    assert!(Record::decode(121, &payload).unwrap_err().contains("kind 121"));
}

#[test]
fn a_condition_that_it_brings_holds_or_refuses() {
    let mut history = History::new();
    history.push(tally(7, 3));
    let submission = |count| Submission {
        preconditions: vec![CountedBelow { name: 7, count }.into()],
        ..Submission::of([tally(7, 1)])
    };
    assert!(history.admit(&submission(4)).is_ok());
    let refused = history.admit(&submission(3)).unwrap_err();
    assert_eq!((refused.kind(), refused.to_string().as_str()), (ErrorKind::Fenced, "fenced: 3 are counted under 7"));
}

#[test]
fn it_is_folded_checkpointed_paged_and_restored() {
    const NAMES: u32 = 500;
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut history = History { state: store.load().unwrap(), ..History::new() };
    let mut ahead = history.state.ahead();
    for (round, name) in (0..3).flat_map(|round| (0..NAMES).map(move |name| (round, name))) {
        let record = tally(name, u64::from(name) + round);
        let lsn = Lsn(history.state.applied().0 + 1);
        let context = RecordContext { lsn, append_us: history.now_us, epoch: 1 };
        ahead.apply_ahead(context, &record).unwrap();
        ahead.end_commit(lsn);
        history.push(record);
    }
    assert!(ahead.families.tallies == history.state.families.tallies);
    let state = RwLock::new(history.state);
    store.checkpoint(&state, || Lsn(u64::MAX)).unwrap();
    assert_eq!(state.read().families.tallies.counted.in_memory(), 0, "what is in the store is not kept");
    assert_eq!(counted(&state.read(), 9), Some(27 + 3));
    let before = state.read().clone();
    drop(state);
    drop(ahead);
    store.close();

    let store = StateStore::open(dir.path()).unwrap();
    let mut state = store.load().unwrap();
    assert_eq!(state, before);
    assert_eq!(state.families.tallies.counted.in_memory(), 0, "opening reads none of it");
    let context = history.records.last().unwrap().0;
    let context = RecordContext { lsn: Lsn(context.lsn.0 + 1), ..context };
    state.apply(context, &tally(9, 1)).unwrap();
    assert_eq!((counted(&state, 9), counted(&state, NAMES)), (Some(31), None));
    let mut names = Vec::new();
    let each = |(_, name): &(u64, u32), _: &u64| {
        names.push(*name);
        Ok(names.len() < 3)
    };
    state.families.tallies.counted.scan(Bound::Included((0, 8)), each).unwrap();
    assert_eq!(names, [8, 9, 10], "memory and store are one");
}
