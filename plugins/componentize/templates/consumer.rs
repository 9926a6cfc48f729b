//! Counts late departures by airport: those that are late by more than an hour, or by as many minutes as the configuration
//! says. Each batch gives, for the airports that it touches, how many there have been so far. State belongs to a partition:
//! the topic's table is to be partitioned by `origin`, so that all flights of an airport come to the same one.

use std::collections::BTreeMap;

use millstream_plugin::{
    Answer, Batch, Column, Consumer, DataType, Parameter, Position, Table, Verdict, export_consumer, state,
};

struct Late {
    minutes: f32,
}

impl Consumer for Late {
    const NAME: &'static str = "PLUGIN_NAME";

    // The columns that the plugin reads. Nothing else is sent to it.
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::new("origin", DataType::Utf8), Parameter::new("dep_delay", DataType::Float32)];

    // What it writes. CREATE CONSUMER … WITH (output.late = '…') says into which table.
    const OUTPUTS: &'static [Table] = &[Table {
        name: "late",
        columns: &[Parameter::new("origin", DataType::Utf8), Parameter::new("departures", DataType::Int64)],
    }];

    // Called once in each instance, with the text of WITH (config = '…').
    fn open(config: &str) -> Result<Self, String> {
        let minutes = if config.is_empty() { "60" } else { config };
        Ok(Late { minutes: minutes.parse().map_err(|_| format!("{minutes:?} is not a number of minutes"))? })
    }

    // Called with rows of one partition, in order. What the answer gives, what is put into state and the offset of the
    // input are committed together, or not at all.
    fn consume(&self, batch: &Batch<'_>, _position: &Position) -> Result<Answer, String> {
        let (origin, delay) = (batch.utf8("origin")?, batch.primitive::<f32>("dep_delay")?);
        let (mut answer, mut added) = (Answer::done(), BTreeMap::new());
        for (row, number) in (0..batch.rows()).zip(0_u32..) {
            let Some(origin) = origin.get(row) else {
                answer = answer.except(number, Verdict::DeadLetter("it has no airport".to_owned()));
                continue;
            };
            if delay.get(row).is_some_and(|delay| delay > self.minutes) {
                *added.entry(origin).or_insert(0) += 1;
            }
        }
        for (origin, count) in &mut added {
            *count += kept(origin)?;
            state::put(origin.as_bytes(), &i64::to_le_bytes(*count))?;
        }
        if added.is_empty() {
            return Ok(answer);
        }
        let (origins, counts) = (added.keys().map(|origin| Some(*origin)), added.values().map(|count| Some(*count)));
        Ok(answer.rows(0, vec![Column::utf8(origins), Column::primitive(counts)]))
    }
}

/// How many there were before.
fn kept(origin: &str) -> Result<i64, String> {
    let Some(bytes) = state::get(origin.as_bytes())? else { return Ok(0) };
    bytes.try_into().map(i64::from_le_bytes).map_err(|_| "the state is not of this plugin".to_owned())
}

export_consumer!(Late);
