//! Continuous topics: where each is, and the pieces of its open windows' state. Where it is, and which pieces there are, is in memory;
//! the pieces are paged.
//!
//! All pieces of an operator and window go at once when it closes. They have an owner of their own, counted by this family, so that
//! this is one void owner and no walk along keys; checkpoints remove them a share at a time.

mod admit;
mod pieces;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::changed::Changed;
use super::family::{Ahead, Condition, Family, Fold};
use super::paged::Paged;
use crate::model::{ContinuousId, Error, Lsn, Offset, Result, TableId};
use crate::state::{Change, ContinuousHeader, ContinuousRecord, ContinuousStep, Record, SavedKey};
use pieces::Pieces;
pub(crate) use pieces::SavedReader;

/// An operator's window.
type Place = (ContinuousId, u16, i64);

/// The pieces of a window: under which owner they lie, and their bytes by sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Window {
    owner: u64,
    pieces: BTreeMap<u32, u32>,
}

/// All topics'.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Continuous {
    headers: BTreeMap<ContinuousId, Arc<ContinuousHeader>>,
    windows: BTreeMap<Place, Window>,
    /// Owners that were given.
    owners: u64,
    pieces: Paged<Pieces>,
    unwritten: Changed<Entry>,
}

/// One entry of the state store that is no paged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Entry {
    Header(ContinuousId),
    Window(Place),
    Owners,
}

impl Continuous {
    pub(super) fn header(&self, topic: ContinuousId) -> Option<&Arc<ContinuousHeader>> {
        self.headers.get(&topic)
    }

    pub(super) fn reader(&self, topic: ContinuousId) -> SavedReader {
        let windows = self.windows.range(places_of(topic)).flat_map(|((_, operator, window_us), window)| {
            let key = |sequence: &u32| SavedKey { operator: *operator, window_us: *window_us, sequence: *sequence };
            window.pieces.keys().map(move |sequence| (key(sequence), window.owner))
        });
        SavedReader { keys: windows.collect(), pieces: self.pieces.reader() }
    }

    fn step(&mut self, step: &ContinuousStep) {
        for (operator, window_us) in &step.dropped {
            self.drop_window((step.topic, *operator, *window_us));
        }
        for (key, piece) in &step.saved {
            self.save((step.topic, key.operator, key.window_us), key.sequence, piece.clone());
        }
        self.headers.insert(step.topic, step.header.clone());
        self.unwritten.mark(Entry::Header(step.topic));
    }

    fn save(&mut self, place: Place, sequence: u32, piece: Option<Arc<[u8]>>) {
        if !self.windows.contains_key(&place) {
            if piece.is_none() {
                return;
            }
            self.owners += 1;
            self.unwritten.mark(Entry::Owners);
        }
        let owners = self.owners;
        let window = self.windows.entry(place).or_insert_with(|| Window { owner: owners, pieces: BTreeMap::new() });
        match &piece {
            Some(piece) => window.pieces.insert(sequence, u32::try_from(piece.len()).unwrap_or(u32::MAX)),
            None => window.pieces.remove(&sequence),
        };
        self.pieces.put(&(window.owner, sequence), piece);
        self.unwritten.mark(Entry::Window(place));
    }

    fn drop_window(&mut self, place: Place) {
        if let Some(window) = self.windows.remove(&place) {
            self.pieces.make_void(window.owner);
            self.unwritten.mark(Entry::Window(place));
        }
    }

    fn forget(&mut self, topic: ContinuousId) {
        let places: Vec<Place> = self.windows.range(places_of(topic)).map(|(place, _)| *place).collect();
        places.into_iter().for_each(|place| self.drop_window(place));
        if self.headers.remove(&topic).is_some() {
            self.unwritten.mark(Entry::Header(topic));
        }
    }
}

fn places_of(topic: ContinuousId) -> std::ops::RangeInclusive<Place> {
    (topic, u16::MIN, i64::MIN)..=(topic, u16::MAX, i64::MAX)
}

impl Family for Continuous {
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
        match record {
            // A topic that is gone has no state.
            Record::Continuous(ContinuousRecord::Stepped(step)) if fold.catalog.continuous(step.topic).is_some() => {
                self.step(step);
            }
            Record::Change(change) => {
                if let Change::ContinuousDropped { topic } = change.as_ref() {
                    self.forget(*topic);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ahead(&self) -> Self {
        Continuous {
            headers: self.headers.clone(),
            windows: self.windows.clone(),
            owners: self.owners,
            pieces: self.pieces.ahead(),
            unwritten: Changed::untracked(),
        }
    }

    fn end_commit(&mut self, last: Lsn, applied: Lsn) {
        self.pieces.end_commit(last, applied);
    }
}

/// The topic stands, is not paused, is of this version, and has made so many steps.
#[derive(Debug, Clone)]
pub(crate) struct ContinuousStands {
    pub topic: ContinuousId,
    pub version: u32,
    pub steps: u64,
    /// Nothing was appended to its sources behind these ends: what is said of a silence holds then up to this commit.
    pub silent: Option<Vec<(TableId, Vec<Offset>)>>,
}

impl Condition for ContinuousStands {
    fn check(&self, ahead: &dyn Ahead) -> Result<()> {
        let catalog = ahead.catalog();
        let found = catalog.continuous(self.topic);
        if !found.is_some_and(|found| found.version == self.version && !found.paused) {
            return Err(Error::Fenced("the continuous topic was paused, altered or dropped".to_owned()));
        }
        let steps = ahead.get::<Continuous>()?.header(self.topic).map_or(0, |header| header.steps);
        if steps != self.steps {
            return Err(Error::Fenced(format!("the continuous topic has made {steps} steps, and not {}", self.steps)));
        }
        for (table, ends) in self.silent.iter().flatten() {
            let partitions = catalog.partitions(*table).unwrap_or_default();
            let end = |partition: usize| ends.get(partition).copied().unwrap_or(0);
            if partitions.iter().enumerate().any(|(partition, found)| found.end != end(partition)) {
                return Err(Error::Busy("rows came where there were none".to_owned()));
            }
        }
        Ok(())
    }
}
