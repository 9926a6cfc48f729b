//! What comes from plugins and their makers, mutated at random: modules, signatures, messages. A failure prints the smallest
//! mutation that shows it. `MILLSTREAM_FUZZ_SECONDS` says how long each target runs.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Where, what, and in how many bytes; none of them cuts the rest off.
type Mutation = (Index, u64, usize);

fn mutation() -> impl Strategy<Value = Mutation> {
    let number = prop_oneof![Just(u64::MAX), Just(i64::MAX as u64), Just(1 << 31), 0..70_000_u64, any::<u64>()];
    (any::<Index>(), number, 0..12_usize)
}

fn mutate(bytes: &mut Vec<u8>, (at, number, kind): &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    let small = usize::try_from(number % 64).unwrap_or(0);
    match kind {
        0 => bytes.truncate(at),
        1 | 2 => bytes[at] ^= 1 << (number % 8),
        3 => drop(bytes.drain(at..(at + small).min(bytes.len()))),
        4 => {
            let copy = bytes[at..(at + small).min(bytes.len())].to_vec();
            bytes.splice(at..at, copy);
        }
        // Lengths stand anywhere in a module, and at multiples of four in a message.
        5 => bytes[at] = bytes[at].wrapping_add((number % 5) as u8).wrapping_sub(2),
        width => {
            let aligned = at & !3;
            bytes.iter_mut().skip(aligned).zip(number.to_le_bytes()).take(width - 3).for_each(|(b, with)| *b = with);
        }
    }
}

/// Runs a target over mutations of these bytes for as long as is asked for.
pub(crate) fn fuzz(samples: &[Vec<u8>], check: impl Fn(&[u8], bool) -> Result<(), String>) {
    let asked = std::env::var("MILLSTREAM_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let (start, mut round) = (Instant::now(), 0_u64);
    for sample in samples {
        check(sample, false).unwrap_or_else(|why| panic!("what was not changed: {why}"));
    }
    while start.elapsed() < Duration::from_secs(asked.unwrap_or(2)) {
        round += 1;
        // Without a time that is asked for, a run repeats the one before.
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let mut runner = match asked {
            Some(_) => TestRunner::new(config.clone()),
            None => TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed)),
        };
        let outcome = runner.run(&(any::<Index>(), vec(mutation(), 1..5)), |(sample, mutations)| {
            let sample = sample.get(samples);
            let mut bytes = sample.clone();
            mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
            check(&bytes, bytes != *sample).map_err(TestCaseError::fail)
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    }
}
