//! A consumer: late departures by airport and hour. It runs over a table that is partitioned by airport, because state
//! belongs to a partition: all flights of an airport come to the same one.
//!
//! Sums are kept in state. A batch appends one row for each hour that it touches, with that hour's sums so far: the newest
//! row of an airport and hour is the answer, the older ones are how it came about.
//!
//! The configuration is how many minutes a late departure is delayed by more than; 60 if it is empty.

use std::collections::BTreeMap;

use millstream_plugin::{
    Answer, Batch, Consumer, DataType, Parameter, Position, PrimitiveBuilder, Table, TimeUnit, Utf8Builder,
    export_consumer, state,
};

const TIME: DataType = DataType::Timestamp { unit: TimeUnit::Millisecond, utc: true };
const MS_PER_HOUR: i64 = 3_600_000;

struct HourlyDelays {
    minutes: f32,
}

/// Of one airport and hour.
#[derive(Clone, Copy, Default)]
struct Sums {
    late: i64,
    delay: f64,
}

impl Sums {
    fn add(self, other: Sums) -> Sums {
        Sums { late: self.late + other.late, delay: self.delay + other.delay }
    }

    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.late.to_le_bytes());
        bytes[8..].copy_from_slice(&self.delay.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Sums> {
        let (late, delay) = bytes.split_first_chunk()?;
        Some(Sums { late: i64::from_le_bytes(*late), delay: f64::from_le_bytes(delay.try_into().ok()?) })
    }
}

impl Consumer for HourlyDelays {
    const NAME: &'static str = "hourly-delays";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::new("ts", TIME),
        Parameter::new("origin", DataType::Utf8),
        Parameter::new("dep_delay", DataType::Float32),
    ];
    const OUTPUTS: &'static [Table] = &[Table {
        name: "hours",
        columns: &[
            Parameter::new("origin", DataType::Utf8),
            Parameter::new("hour", TIME),
            Parameter::new("late", DataType::Int64),
            Parameter::new("delay_minutes", DataType::Float64),
        ],
    }];

    fn open(config: &str) -> Result<Self, String> {
        let minutes = if config.is_empty() { "60" } else { config };
        Ok(HourlyDelays { minutes: minutes.parse().map_err(|_| format!("{minutes:?} is not a number of minutes"))? })
    }

    fn consume(&self, batch: &Batch<'_>, _position: &Position) -> Result<Answer, String> {
        let (at, origin) = (batch.primitive::<i64>("ts")?, batch.utf8("origin")?);
        let delay = batch.primitive::<f32>("dep_delay")?;
        let mut added: BTreeMap<(&str, i64), Sums> = BTreeMap::new();
        for row in 0..batch.rows() {
            let (Some(at), Some(origin), Some(delay)) = (at.get(row), origin.get(row), delay.get(row)) else { continue };
            if delay > self.minutes {
                let sums = added.entry((origin, at.div_euclid(MS_PER_HOUR) * MS_PER_HOUR)).or_default();
                *sums = sums.add(Sums { late: 1, delay: delay.into() });
            }
        }
        if added.is_empty() {
            return Ok(Answer::done());
        }
        let (mut origins, mut hours) = (Utf8Builder::default(), PrimitiveBuilder::with_capacity(added.len()));
        let mut late = PrimitiveBuilder::with_capacity(added.len());
        let mut minutes = PrimitiveBuilder::with_capacity(added.len());
        for ((origin, hour), sums) in added {
            let key = [origin.as_bytes(), &hour.to_be_bytes()].concat();
            let kept = state::get(&key)?.map(|kept| Sums::from_bytes(&kept).ok_or("the state is not of this plugin"));
            let sums = sums.add(kept.transpose()?.unwrap_or_default());
            state::put(&key, &sums.to_bytes())?;
            origins.push_option(Some(origin));
            hours.push(hour);
            late.push(sums.late);
            minutes.push(sums.delay);
        }
        Ok(Answer::done().rows(0, vec![origins.finish(), hours.finish(), late.finish(), minutes.finish()]))
    }
}

export_consumer!(HourlyDelays);
