//! Bytes that were mutated at random, for readers of what comes from outside: an answer or an error, never a panic. A failure
//! prints the smallest mutation that shows it. `MILLSTREAM_FUZZ_SECONDS` says how long each target runs.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// One change at a place, which is a share of the length.
#[derive(Debug, Clone)]
enum Mutation {
    Cut(Index),
    Flip(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Insert(Index, &'static str),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let (Mutation::Cut(at)
        | Mutation::Flip(at, _)
        | Mutation::Remove(at, _)
        | Mutation::Repeat(at, _)
        | Mutation::Insert(at, _)) = self;
        let at = at.index(bytes.len());
        let end = |len: usize| (at + len).min(bytes.len());
        match self {
            Mutation::Cut(_) => bytes.truncate(at),
            Mutation::Flip(_, bit) => bytes[at] ^= 1 << bit,
            Mutation::Remove(_, len) => drop(bytes.drain(at..end(*len))),
            Mutation::Repeat(_, len) => {
                let copy = bytes[at..end(*len)].repeat(3);
                bytes.splice(at..at, copy);
            }
            Mutation::Insert(_, piece) => drop(bytes.splice(at..at, piece.bytes())),
        }
    }
}

fn mutation(pieces: &'static [&'static str]) -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Mutation::Cut),
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        2 => (at(), 1..40_usize).prop_map(|(at, len)| Mutation::Remove(at, len)),
        1 => (at(), 1..40_usize).prop_map(|(at, len)| Mutation::Repeat(at, len)),
        4 => (at(), prop::sample::select(pieces)).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
    ]
}

/// How much longer a run may take to see both something that is taken and something that is refused.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a reader over mutations of these bytes for as long as is asked for; `pieces` are what it cares about. It says whether
/// it has taken them: as they are it does, and of the mutated ones some and not all.
pub(crate) fn fuzz(sample: &[u8], pieces: &'static [&'static str], is_taken: impl Fn(&[u8]) -> bool) {
    assert!(is_taken(sample), "what was not changed is refused");
    let asked = std::env::var("MILLSTREAM_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let (taken, refused) = (Cell::new(0_u64), Cell::new(0_u64));
    let (start, mut round) = (Instant::now(), 0_u64);
    let time = Duration::from_secs(asked.unwrap_or(2));
    // A machine that is busy with other things has not seen both by then.
    let seen_both = || taken.get() > 0 && refused.get() > 0;
    while start.elapsed() < time || (!seen_both() && start.elapsed() < time + PATIENCE) {
        round += 1;
        let mut runner = match asked {
            Some(_) => TestRunner::new(config.clone()),
            // Without a time that is asked for, a run repeats the one before.
            None => {
                let mut seed = [0; 32];
                seed[..8].copy_from_slice(&round.to_le_bytes());
                TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
            }
        };
        let outcome = runner.run(&vec(mutation(pieces), 1..5), |mutations| {
            let mut bytes = sample.to_vec();
            mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
            let count = if is_taken(&bytes) { &taken } else { &refused };
            count.set(count.get() + 1);
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    }
    let (taken, refused) = (taken.get(), refused.get());
    if asked.is_some() {
        eprintln!("{taken} were taken, {refused} refused");
    }
    assert!(taken > 0 && refused > 0, "{taken} were taken, {refused} refused");
}
