//! Ten million messages that wait for their time: spread over 40 days, and all within one second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, TimestampMicrosecondArray};
use millstream_engine::{
    Append, Clock, Durability, Engine, EngineOptions, InputColumn, MAX_DELAY_US, ManualClock, MessageKind,
    PartitionChoice, PendingReceipt, PlainColumns, Principal, ScanRequest, SystemClock, TableId, TableOptions,
    TableSpec, TopicId, message_schema,
};

use crate::report::{Figure, percentile};
use crate::{Result, Scale, process};

/// Messages of one append, and appends in flight.
const BATCH: u64 = 1_000;
const WINDOW: usize = 16;
const BODY: &[u8] = &[b'x'; 100];
/// Messages that fall due while they are watched, and for how long.
const WATCHED: u64 = 20_000;
const WATCH: Duration = Duration::from_secs(20);
const SECOND_US: i64 = 1_000_000;

/// Figures `timers_ten_million_*`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let count = scale.pick(100_000, 10_000_000);
    let mut figures = spread_over_days(count)?;
    figures.extend(in_one_second(count)?);
    Ok(figures)
}

struct Timers {
    engine: Engine,
    table: TableId,
    idle_mib: f64,
    peak_mib: f64,
    dir: tempfile::TempDir,
}

fn open(dir: &std::path::Path, clock: &Arc<dyn Clock>) -> Result<Engine> {
    let mut options = EngineOptions::new(dir);
    options.clock = clock.clone();
    Ok(Engine::open_with(options)?)
}

impl Timers {
    fn new(clock: &Arc<dyn Clock>) -> Result<Timers> {
        let dir = tempfile::tempdir()?;
        let engine = open(dir.path(), clock)?;
        let options = TableOptions { durability: Durability::Os, ..TableOptions::default() };
        let spec = TableSpec::of_messages("public", "timers", MessageKind::Delayed, options);
        let table = engine.create_table(&who(), spec)?.id;
        let idle_mib = rss()?;
        Ok(Timers { engine, table, idle_mib, peak_mib: 0.0, dir })
    }

    /// Messages that are delivered at these times; gives how many were taken in a second.
    fn load(&mut self, count: u64, at_us: impl Fn(u64) -> i64) -> Result<f64> {
        let begun = Instant::now();
        let mut pending: VecDeque<PendingReceipt> = VecDeque::with_capacity(WINDOW);
        for first in (0..count).step_by(usize::try_from(BATCH)?) {
            if pending.len() == WINDOW
                && let Some(first) = pending.pop_front()
            {
                first.wait()?;
            }
            let batch = messages((first..(first + BATCH).min(count)).map(&at_us))?;
            let append = Append { table: self.table, partition: PartitionChoice::ByKey, batch };
            pending.push_back(self.engine.append(&who(), append, None)?);
            self.look()?;
        }
        pending.into_iter().try_for_each(|pending| pending.wait().map(drop))?;
        self.look()?;
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    }

    fn look(&mut self) -> Result<()> {
        self.peak_mib = self.peak_mib.max(rss()? - self.idle_mib);
        Ok(())
    }

    fn delivered(&self) -> Result<u64> {
        Ok(self.engine.table_offsets(&who(), self.table)?.iter().map(|(_, end)| end).sum())
    }

    fn waiting(&self) -> Result<u64> {
        Ok(self.engine.delayed_counts(&who())?.iter().map(|(_, count)| count).sum())
    }

    /// Milliseconds from its time until a message has its place in the log, of each.
    fn lateness(&self) -> Result<Vec<f64>> {
        // When it was to be delivered, and when it was appended.
        let deliver_ts = message_schema().fields().len() - 1;
        let inputs = vec![InputColumn::Field(deliver_ts), InputColumn::AppendTs];
        let table = self.engine.table_by_id(&who(), self.table)?;
        let request = ScanRequest {
            topic: TopicId(self.table.0),
            ranges: None,
            event_time_us: None,
            operator: Arc::new(PlainColumns::of(&table, inputs)?),
        };
        let mut late = Vec::new();
        for scanned in self.engine.scan(&who(), request)? {
            let batch = scanned?.batch;
            let times = |column: usize| batch.column(column).as_primitive::<TimestampMicrosecondType>();
            let pairs = times(0).values().iter().zip(times(1).values());
            late.extend(pairs.map(|(due, appended)| (appended - due) as f64 / 1e3));
        }
        Ok(late)
    }
}

fn who() -> Principal {
    Principal::anonymous()
}

fn messages(times: impl Iterator<Item = i64>) -> Result<RecordBatch> {
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let bodies = BinaryArray::from_iter_values((0..arrow_array::Array::len(&times)).map(|_| BODY));
    let columns: [(&str, ArrayRef); 2] = [("body", Arc::new(bodies)), ("deliver_ts", Arc::new(times))];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// A number below `range`, in no order.
fn scattered(number: u64, range: i64) -> i64 {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xF39C_C060_5CED_C835);
    (mixed >> 1).cast_signed() % range.max(1)
}

fn rss() -> Result<f64> {
    let bytes = process::proc_value(std::process::id(), "status", "RssAnon")?;
    Ok(bytes as f64 / f64::from(1 << 20))
}

fn spread_over_days(count: u64) -> Result<Vec<Figure>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let mut timers = Timers::new(&clock)?;
    let begin_us = clock.wall_us() + 3_600 * SECOND_US;
    let range = MAX_DELAY_US - 2 * 3_600 * SECOND_US;
    let rate = timers.load(count, |number| begin_us + scattered(number, range))?;
    let Timers { engine, table, idle_mib, peak_mib, dir } = timers;
    engine.close()?;
    drop(engine);
    process::drop_cache(dir.path())?;
    let begun = Instant::now();
    let engine = open(dir.path(), &clock)?;
    let opened = begun.elapsed().as_secs_f64();
    let mut timers = Timers { engine, table, idle_mib, peak_mib, dir };
    let watch_us = i64::try_from(WATCH.as_micros())?;
    let soon_us = clock.wall_us() + 2 * SECOND_US;
    timers.load(WATCHED, |number| soon_us + scattered(number, watch_us))?;
    let patience = WATCH + Duration::from_secs(60);
    let begun = Instant::now();
    while timers.delivered()? < WATCHED {
        if begun.elapsed() > patience {
            return Err(format!("{} of {WATCHED} messages were delivered", timers.delivered()?).into());
        }
        timers.look()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut late = timers.lateness()?;
    let early = late.iter().filter(|late| **late < 0.0).count();
    if early > 0 || timers.waiting()? != count {
        return Err(format!("{early} messages came early, {} wait", timers.waiting()?).into());
    }
    let p99 = percentile(&mut late, 0.99);
    let memory = format!(
        "peak RssAnon above idle, {count} messages of {} bytes delayed by up to 40 days, {rate:.0} a second taken",
        BODY.len()
    );
    let lateness = format!("99 of 100 of {WATCHED} that fall due in {WATCH:?} beside them come no later");
    Ok(vec![
        Figure::reported("timers_ten_million_memory", timers.peak_mib, "MiB", memory).value_at_most(300.0),
        Figure::reported("timers_ten_million_open", opened, "s", "page cache dropped, until the engine is open")
            .value_at_most(2.0),
        Figure::reported("timers_ten_million_lateness_p99", p99, "ms", lateness).value_at_most(1_000.0),
    ])
}

fn in_one_second(count: u64) -> Result<Vec<Figure>> {
    let manual = Arc::new(ManualClock::new(SystemClock::default().wall_us()));
    let clock: Arc<dyn Clock> = manual.clone();
    let mut timers = Timers::new(&clock)?;
    let second_us = clock.wall_us() + 3_600 * SECOND_US;
    timers.load(count, |number| second_us + scattered(number, SECOND_US))?;
    manual.advance(Duration::from_secs(3_601));
    let begun = Instant::now();
    while timers.delivered()? < count {
        timers.look()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = begun.elapsed().as_secs_f64();
    if timers.waiting()? != 0 {
        return Err(format!("{} messages still wait", timers.waiting()?).into());
    }
    let rate = format!("{count} messages that fall due within one second, until all are delivered ({seconds:.1} s)");
    Ok(vec![
        Figure::reported("timers_ten_million_fired", count as f64 / seconds, "messages/s", rate),
        Figure::reported(
            "timers_ten_million_fired_memory",
            timers.peak_mib,
            "MiB",
            "peak RssAnon above idle meanwhile",
        )
        .value_at_most(300.0),
    ])
}
