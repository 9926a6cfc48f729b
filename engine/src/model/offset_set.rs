//! Sets of offsets that lie together in runs.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::model::Offset;

/// Offsets of one partition, as runs that neither touch nor overlap. Costs what the number of runs is, not their length.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct OffsetSet {
    /// First offset to one past the last.
    runs: BTreeMap<Offset, Offset>,
}

impl OffsetSet {
    pub(crate) fn contains(&self, offset: Offset) -> bool {
        self.runs.range(..=offset).next_back().is_some_and(|(_, next)| offset < *next)
    }

    /// Adds a run, and gives the one that it is now part of.
    pub(crate) fn insert(&mut self, run: Range<Offset>) -> Range<Offset> {
        if run.is_empty() {
            return run;
        }
        let Range { start: mut first, end: mut next } = run;
        if let Some((before, end)) = self.runs.range(..first).next_back()
            && *end >= first
        {
            first = *before;
        }
        let joined: Vec<Offset> = self.runs.range(first..=next).map(|(first, _)| *first).collect();
        for run in joined {
            next = next.max(self.runs.remove(&run).unwrap_or(next));
        }
        self.runs.insert(first, next);
        first..next
    }

    /// Forgets what lies below.
    pub(crate) fn trim(&mut self, start: Offset) {
        while let Some((first, next)) = self.runs.first_key_value().map(|(first, next)| (*first, *next)) {
            if first >= start {
                return;
            }
            self.runs.remove(&first);
            if next > start {
                self.runs.insert(start, next);
            }
        }
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn it_is_what_a_plain_set_is() {
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let (mut set, mut plain, mut start) = (OffsetSet::default(), BTreeSet::new(), 0);
        for _ in 0..2_000 {
            let first = random.random_range(start..start + 60);
            let run = first..first + random.random_range(0..6);
            plain.extend(run.clone());
            let within = set.insert(run.clone());
            if !run.is_empty() {
                assert!(within.start <= run.start && run.end <= within.end);
                assert!(within.clone().all(|offset| set.contains(offset)) && !set.contains(within.end));
            }
            if random.random_range(0..20) == 0 {
                start += random.random_range(0..20);
                set.trim(start);
                plain.retain(|offset| *offset >= start);
            }
            assert!((0..start + 70).all(|offset| set.contains(offset) == plain.contains(&offset)));
            let apart = plain.iter().filter(|offset| !plain.contains(&(*offset + 1))).count();
            assert_eq!(set.runs(), apart);
        }
    }
}
