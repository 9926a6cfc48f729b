//! The readers of files, fed with text and files that were mutated at random: rows or an error, never a panic. A failure prints the
//! smallest mutation that shows it. `MILLSTREAM_FUZZ_SECONDS` says how long each target runs.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::csv::{CsvOptions, header_fields};
use crate::ipc::ArrowFile;
use crate::parquet::ParquetFile;
use crate::sample::every_type;
use crate::{Decoder, FileFormat, Writer, batches, infer_csv, infer_json};

/// What text is made of that parsers care about.
const PIECES: [&[u8]; 16] = [
    b"\"",
    b"\"\"",
    b",",
    b"\n",
    b"\r\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\u",
    b"null",
    b"-1e999",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"9223372036854775808",
    b"0001-01-01T00:00:00.000000001+24:00",
];

/// Where, what, and in how many bytes; none of them cuts the rest off.
type Mutation = (Index, u64, usize);

fn mutation() -> impl Strategy<Value = Mutation> {
    let number = prop_oneof![Just(u64::MAX), Just(i64::MAX as u64), Just(1 << 31), 0..70_000_u64, any::<u64>()];
    (any::<Index>(), number, 0..14_usize)
}

fn mutate(bytes: &mut Vec<u8>, (at, number, kind): &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    let small = usize::try_from(number % 64).unwrap_or(0);
    match kind {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << (number % 8),
        2 => drop(bytes.drain(at..(at + small).min(bytes.len()))),
        3 => {
            let copy = bytes[at..(at + small).min(bytes.len())].repeat(3);
            bytes.splice(at..at, copy);
        }
        4..=7 => {
            let piece = PIECES[small % PIECES.len()];
            bytes.splice(at..at, piece.iter().copied());
        }
        width => bytes.iter_mut().skip(at).zip(number.to_le_bytes()).take(width - 6).for_each(|(b, with)| *b = with),
    }
}

/// Runs a target over mutations, so many of them in a round, for as long as is asked for.
pub(crate) fn over<S: Strategy>(mutations: &S, cases: u32, target: impl Fn(S::Value)) {
    let asked = std::env::var("MILLSTREAM_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let (start, mut round) = (Instant::now(), 0_u64);
    while start.elapsed() < Duration::from_secs(asked.unwrap_or(2)) {
        round += 1;
        // Without a time that is asked for, a run repeats the one before.
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let mut runner = match asked {
            Some(_) => TestRunner::new(config.clone()),
            None => TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed)),
        };
        let outcome = runner.run(mutations, |mutations| {
            target(mutations);
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    }
}

/// Runs a target over mutations of these bytes. It says whether it was refused; most should be, in the end, and some not.
fn fuzz(sample: &[u8], check: impl Fn(&[u8]) -> bool) {
    let refused = std::cell::Cell::new([0_u64; 2]);
    assert!(!check(sample), "what was not changed is read");
    over(&vec(mutation(), 1..5), 64, |mutations| {
        let mut bytes = sample.to_vec();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        let mut counts = refused.get();
        counts[usize::from(check(&bytes))] += 1;
        refused.set(counts);
    });
    let [taken, refused] = refused.get();
    assert!(taken > 0 && refused > 0, "{taken} were taken, {refused} refused");
}

fn written(format: FileFormat) -> (RecordBatch, Vec<u8>) {
    // What text reads back as it was written, and, of Parquet, all.
    let all = every_type();
    let batch = match format {
        FileFormat::Parquet => all,
        _ => all.project(&[0, 1, 2, 3, 7, 8, 9, 10, 11]).expect("columns that are there"),
    };
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, format, &batch.schema(), CsvOptions::default()).expect("a writer");
    writer.write(&batch).expect("written");
    writer.finish().expect("whole");
    (batch, out)
}

/// Reads all of it, in pieces of an odd size, by its own columns.
fn is_refused(bytes: &[u8], decoder: Decoder) -> bool {
    let mut refused = false;
    for batch in batches(bytes, decoder) {
        refused |= batch.is_err();
    }
    refused
}

#[test]
fn mutated_csv_is_rows_or_an_error() {
    let (batch, sample) = written(FileFormat::Csv);
    let fields = batch.schema().fields().clone();
    fuzz(&sample, |bytes| {
        // By what it looks like, by the columns that it names, and by ours.
        if let Ok(inferred) = infer_csv(bytes, b',') {
            let by = Box::new(move |_: &[String]| Ok(inferred));
            Decoder::csv(CsvOptions::default(), by).map(|decoder| is_refused(bytes, decoder)).ok();
        }
        let ours = fields.clone();
        let _ = header_fields(bytes, b',', Box::new(move |_| Ok(ours)));
        let ours = fields.clone();
        let decoder = Decoder::csv(
            CsvOptions::default(),
            Box::new(move |names| match names.len() == ours.len() {
                true => Ok(ours),
                false => Err(format!("{} names", names.len())),
            }),
        );
        decoder.map_or(true, |decoder| is_refused(bytes, decoder))
    });
}

#[test]
fn mutated_json_is_rows_or_an_error() {
    let (batch, sample) = written(FileFormat::Json);
    let fields = batch.schema().fields().clone();
    fuzz(&sample, |bytes| {
        if let Ok(inferred) = infer_json(bytes) {
            Decoder::json(inferred).map(|decoder| is_refused(bytes, decoder)).ok();
        }
        Decoder::json_among(fields.clone()).map_or(true, |decoder| is_refused(bytes, decoder))
    });
}

#[test]
fn mutated_parquet_is_rows_or_an_error() {
    let (_, sample) = written(FileFormat::Parquet);
    fuzz(&sample, |bytes| {
        let mut file: File = tempfile::tempfile().expect("a file");
        file.write_all(bytes).and_then(|()| file.rewind()).expect("written");
        let read = ParquetFile::open(file).and_then(|file| file.batches(None)?.collect::<Result<Vec<_>, _>>());
        read.is_err()
    });
}

#[test]
fn mutated_arrow_is_rows_or_an_error() {
    let mut writer = StreamWriter::try_new(Vec::new(), &every_type().schema()).expect("a writer");
    writer.write(&every_type()).expect("written");
    let sample = writer.into_inner().expect("whole");
    fuzz(&sample, |bytes| {
        let mut file: File = tempfile::tempfile().expect("a file");
        file.write_all(bytes).and_then(|()| file.rewind()).expect("written");
        let read = ArrowFile::open(file, None).and_then(|file| file.collect::<Result<Vec<_>, _>>());
        read.is_err()
    });
}
