//! One message among a million, by its id and by its key, from a cold disk: out of segments, and out of the log.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use millstream_engine::{
    Append, Durability, Engine, EngineOptions, InputColumn, MessageKey, MessageKind, PartitionChoice, PlainColumns,
    Principal, ScanRequest, TableInfo, TableOptions, TableSpec, TopicId, message_schema,
};

use crate::limits::random_bytes;
use crate::report::{Figure, median};
use crate::{Result, Scale, process};

/// Messages of one append: those of some producers that meet in a commit.
const BATCH: u64 = 50;
const WINDOW: usize = 64;
const PARTITIONS: u32 = 4;
const BODY_BYTES: usize = 256;
const ROUNDS: u64 = 15;

/// Figures `message_lookup_segments`, `message_lookup_log` and `message_lookup_restarted`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let count = scale.pick(50_000, 1_000_000);
    let dir = tempfile::tempdir()?;
    let open = |log_file_bytes: Option<u64>| {
        let mut options = EngineOptions::new(dir.path());
        // Cutting begins when it is told to.
        (options.segment_threads, options.tail_bytes) = (0, 1 << 20);
        options.log_file_bytes = log_file_bytes.unwrap_or(options.log_file_bytes);
        Engine::open_with(options)
    };
    let mut engine = open(None)?;
    let options = TableOptions {
        partitions: PARTITIONS,
        durability: Durability::Os,
        retention_ms: None,
        ..TableOptions::default()
    };
    let spec = TableSpec::of_messages("public", "messages", MessageKind::Any, options);
    let table = engine.create_table(&who(), spec)?;
    let begun = Instant::now();
    load(&engine, &table, 0..count)?;
    let loaded = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    engine.maintain(&who())?;
    let indexed = begun.elapsed().as_secs_f64();
    let look = |engine: &Engine| -> Result<(f64, f64)> {
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let number = scattered(round) % count;
            process::drop_cache(dir.path())?;
            let begun = Instant::now();
            let (id, key) = (id(number), key(number));
            let wanted = if round % 2 == 0 { MessageKey::Id(&id) } else { MessageKey::Key(&key) };
            find(engine, &table, wanted, &id)?;
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        let most = times.iter().copied().fold(0.0, f64::max);
        Ok((median(times), most))
    };
    let figure = |name, (value, most): (f64, f64), place: &str| {
        let note = format!(
            "one of {count} messages of {BODY_BYTES} bytes, by id and by key in turn, until it is read; page cache dropped before each; \
             {place}; the slowest of {ROUNDS} took {most:.1} ms"
        );
        Figure::reported(name, value, "ms", note).value_at_most(50.0)
    };
    let place = format!("all in the log; {loaded:.0} s to append them, {indexed:.1} s to gather their keys");
    let mut figures = vec![figure("message_lookup_log", look(&engine)?, &place)];
    engine.close()?;
    engine = open(None)?;
    process::drop_cache(dir.path())?;
    let begun = Instant::now();
    find(&engine, &table, MessageKey::Id(&id(7)), &id(7))?;
    let first = begun.elapsed().as_secs_f64() * 1_000.0;
    let note =
        format!("the first look-up of a server that was started anew, {count} messages in the log, page cache dropped");
    figures.push(Figure::reported("message_lookup_restarted", first, "ms", note));
    engine.close()?;
    // The log begins another file, so that the rows are left in segments alone.
    engine = open(Some(1 << 20))?;
    load(&engine, &table, count..count + 1)?;
    engine.cut_segments(&who(), table.id)?;
    engine.maintain(&who())?;
    let segments = engine.stats(&who())?.segments;
    figures.push(figure("message_lookup_segments", look(&engine)?, &format!("in {segments} segments")));
    Ok(figures)
}

fn load(engine: &Engine, table: &TableInfo, all: Range<u64>) -> Result<()> {
    let bodies = random_bytes(BODY_BYTES * 4_096);
    let mut under_way = std::collections::VecDeque::new();
    for (turn, first) in all.clone().step_by(usize::try_from(BATCH)?).enumerate() {
        let numbers = first..all.end.min(first + BATCH);
        let mut keys = ListBuilder::new(StringBuilder::new());
        numbers.clone().for_each(|number| keys.append_value([Some(key(number))]));
        let body = |number: u64| {
            let from = usize::try_from(number % 4_000).unwrap_or(0) * BODY_BYTES;
            bodies.get(from..from + BODY_BYTES).unwrap_or_default()
        };
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("message_id", Arc::new(StringArray::from_iter_values(numbers.clone().map(id)))),
            ("tag", Arc::new(StringArray::from_iter_values(numbers.clone().map(|_| "paid")))),
            ("keys", Arc::new(keys.finish())),
            ("body", Arc::new(BinaryArray::from_iter_values(numbers.map(body)))),
        ];
        let columns = columns.into_iter().map(|(name, column)| (name, column, name != "body"));
        let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
        let partition = PartitionChoice::Named(u32::try_from(turn)? % PARTITIONS);
        under_way.push_back(engine.append(&who(), Append { table: table.id, partition, batch }, None)?);
        if under_way.len() >= WINDOW
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.wait()?;
        }
    }
    for receipt in under_way {
        receipt.wait()?;
    }
    Ok(())
}

/// Looks a message up and reads all of it.
fn find(engine: &Engine, table: &TableInfo, key: MessageKey<'_>, id: &str) -> Result<()> {
    let found = engine.find_messages(&who(), table.id, key, 0..i64::MAX, 32)?;
    let [one] = found.as_slice() else { return Err(format!("{} messages are found for {key:?}", found.len()).into()) };
    engine.lsn_of(&who(), TopicId(table.id.0), one.partition, one.offset)?;
    let inputs = (0..message_schema().fields().len()).map(InputColumn::Field).collect();
    let request = ScanRequest {
        topic: TopicId(table.id.0),
        ranges: Some(vec![(one.partition, one.offset..one.offset + 1)]),
        event_time_us: None,
        operator: Arc::new(PlainColumns::of(table, inputs)?),
    };
    let batch = engine.scan(&who(), request)?.next().ok_or("nothing is read")??.batch;
    let read =
        batch.column_by_name("message_id").and_then(|ids| ids.as_string_opt::<i32>().map(|ids| ids.value(0) == id));
    if read == Some(true) { Ok(()) } else { Err("another message is read".into()) }
}

/// As long, and as much alike, as those of RocketMQ's clients.
fn id(number: u64) -> String {
    format!("7F0000010A2C18B4AAC2{:012X}", scattered(number) & 0xffff_ffff_ffff)
}

fn key(number: u64) -> String {
    format!("order-{}", scattered(number + 1_000_000_007))
}

/// Numbers in no order.
fn scattered(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn who() -> Principal {
    Principal::anonymous()
}
