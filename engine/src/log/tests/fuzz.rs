//! The log's decoder and the reader of its record batches, fed with bytes that were mutated at random. A failure prints the
//! smallest mutation that shows it. `MILLSTREAM_FUZZ_SECONDS` says how long each target runs.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::damage::{ROWS, written};
use super::messages::rich;
use super::support::{log_file, open, read, with_bytes};
use crate::log::rows::ipc;
use crate::model::{EncodedBatch, Error};

/// Cases between two looks at the clock.
const CASES: u32 = 64;

/// One change of some bytes. Places are shares of the length, so that a change fits whatever is left.
#[derive(Debug, Clone)]
enum Mutation {
    Cut(Index),
    Remove(Index, usize),
    Zero(Index, usize),
    Repeat(Index, usize, Index),
    Overwrite(Index, Vec<u8>),
    Flip(Index, u8),
    /// A length or an offset that is off in the way that lies are.
    Number(Index, u64),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let end = |at: usize, len: usize| at.saturating_add(len).min(bytes.len());
        match self {
            Mutation::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Mutation::Remove(at, len) => {
                let at = at.index(bytes.len());
                bytes.drain(at..end(at, *len));
            }
            Mutation::Zero(at, len) => {
                let at = at.index(bytes.len());
                let to = end(at, *len);
                bytes[at..to].fill(0);
            }
            Mutation::Repeat(at, len, to) => {
                let at = at.index(bytes.len());
                let copy = bytes[at..end(at, *len)].to_vec();
                let to = to.index(bytes.len());
                bytes.splice(to..to, copy);
            }
            Mutation::Overwrite(at, with) => {
                let at = at.index(bytes.len());
                bytes.iter_mut().skip(at).zip(with).for_each(|(byte, with)| *byte = *with);
            }
            Mutation::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Mutation::Number(at, number) => {
                // Numbers in these formats stand at multiples of four.
                let at = at.index(bytes.len()) & !3;
                bytes.iter_mut().skip(at).zip(number.to_le_bytes()).for_each(|(byte, with)| *byte = with);
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let (at, len) = (any::<Index>, 0..200_usize);
    let number = prop_oneof![
        Just(u64::MAX),
        Just(i64::MAX as u64),
        Just(1 << 31),
        Just(u64::from(u32::MAX)),
        0..70_000_u64,
        any::<u64>()
    ];
    prop_oneof![
        1 => at().prop_map(Mutation::Cut),
        1 => (at(), len.clone()).prop_map(|(at, len)| Mutation::Remove(at, len)),
        1 => (at(), len.clone()).prop_map(|(at, len)| Mutation::Zero(at, len)),
        1 => (at(), len, at()).prop_map(|(at, len, to)| Mutation::Repeat(at, len, to)),
        1 => (at(), vec(any::<u8>(), 1..200)).prop_map(|(at, with)| Mutation::Overwrite(at, with)),
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        3 => (at(), number).prop_map(|(at, number)| Mutation::Number(at, number)),
    ]
}

/// Runs a target over mutations for as long as is asked for.
fn fuzz(check: impl Fn(Vec<Mutation>) -> Result<(), TestCaseError>) {
    let asked = std::env::var("MILLSTREAM_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let (start, mut round) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(asked.unwrap_or(2)) {
        round += 1;
        if let Err(failure) = runner(&config, asked.is_some(), round).run(&vec(mutation(), 1..5), &check) {
            panic!("{failure}");
        }
    }
}

/// Without a time that is asked for, a run repeats the one before; with one, it looks for what none has seen.
fn runner(config: &Config, asked: bool, round: u64) -> TestRunner {
    if asked {
        return TestRunner::new(config.clone());
    }
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&round.to_le_bytes());
    TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

#[test]
fn a_mutated_log_opens_with_a_prefix_or_not_at_all() {
    let (disk, table) = written(1);
    let path = log_file(1);
    let bytes = read(&disk, &path);
    let whole: Vec<i64> = (0..ROWS as i64).collect();
    let (tried, refused) = (Cell::new(0), Cell::new(0));
    fuzz(|mutations| {
        let mut damaged = bytes.clone();
        mutations.iter().for_each(|mutation| mutation.apply(&mut damaged));
        tried.set(tried.get() + 1);
        match open(&with_bytes(&disk, &path, &damaged)) {
            Ok(opened) => {
                let values = opened.values(table, 0).map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(whole.starts_with(&values), "{values:?}");
            }
            Err(Error::Corrupt { .. }) => refused.set(refused.get() + 1),
            Err(error) => prop_assert!(false, "{error}"),
        }
        Ok(())
    });
    assert!(refused.get() > tried.get() / 20, "{} of {} were refused", refused.get(), tried.get());
}

#[test]
fn a_mutated_message_is_rows_or_an_error() {
    for rows in [1, 40] {
        let batch = rich(rows);
        let encoded = ipc::encode(&batch).expect("encoded").batch;
        let refused = Cell::new(0);
        fuzz(|mutations| {
            let (mut header, mut body) = (encoded.header.to_vec(), encoded.body.to_vec());
            // The header is where the traps are.
            for (number, mutation) in mutations.iter().enumerate() {
                mutation.apply(if number == 2 { &mut body } else { &mut header });
            }
            let damaged = EncodedBatch { header: header.into(), body: body.into() };
            match ipc::decode(&damaged, &batch.schema(), rows as u32) {
                Ok(read) => prop_assert_eq!(read.num_rows(), rows),
                Err(_) => refused.set(refused.get() + 1),
            }
            Ok(())
        });
        assert!(refused.get() > 0, "nothing was ever refused");
    }
}
