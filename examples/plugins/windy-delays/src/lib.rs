//! A consumer: late departures with the wind that blew in their hour, looked up in the table of weather.
//!
//! The configuration is how many minutes a late departure is delayed by more than; 60 if it is empty.

use millstream_plugin::{
    Answer, Batch, Capability, Column, Consumer, DataType, Lookup, LookupError, Parameter, Position, Table, TimeUnit,
    Verdict, export_consumer,
};

const TIME: DataType = DataType::Timestamp { unit: TimeUnit::Millisecond, utc: true };
const MS_PER_HOUR: i64 = 3_600_000;

const WEATHER: Lookup = Lookup {
    name: "weather",
    key: &[Parameter::new("origin", DataType::Utf8), Parameter::new("ts", TIME)],
    columns: &[Parameter::new("wind_speed", DataType::Float32)],
};

struct WindyDelays {
    minutes: f32,
}

impl Consumer for WindyDelays {
    const NAME: &'static str = "windy-delays";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::new("ts", TIME),
        Parameter::new("origin", DataType::Utf8),
        Parameter::new("dep_delay", DataType::Float32),
    ];
    const OUTPUTS: &'static [Table] = &[Table {
        name: "delays",
        columns: &[
            Parameter::new("ts", TIME),
            Parameter::new("origin", DataType::Utf8),
            Parameter::new("dep_delay", DataType::Float32),
            Parameter::new("wind_speed", DataType::Float32),
        ],
    }];
    const CAPABILITIES: &'static [Capability] = &[Capability::Table(WEATHER)];

    fn open(config: &str) -> Result<Self, String> {
        let minutes = if config.is_empty() { "60" } else { config };
        Ok(WindyDelays { minutes: minutes.parse().map_err(|_| format!("{minutes:?} is not a number of minutes"))? })
    }

    fn consume(&self, batch: &Batch<'_>, _position: &Position) -> Result<Answer, String> {
        let (at, origin) = (batch.primitive::<i64>("ts")?, batch.utf8("origin")?);
        let delay = batch.primitive::<f32>("dep_delay")?;
        let late: Vec<usize> =
            (0..batch.rows()).filter(|row| delay.get(*row).is_some_and(|delay| delay > self.minutes)).collect();
        if late.is_empty() {
            return Ok(Answer::done());
        }
        let origins = || Column::utf8(late.iter().map(|row| origin.get(*row)));
        let hours = late.iter().map(|row| at.get(*row).map(|at| at.div_euclid(MS_PER_HOUR) * MS_PER_HOUR));
        let found = match WEATHER.find(&[origins(), Column::primitive(hours)]) {
            Ok(found) => found,
            Err(LookupError::Unavailable(why)) => return Ok(Answer::verdict(Verdict::Retry(why))),
            Err(error) => return Err(error.into()),
        };
        let weather = found.batch()?;
        let speed = weather.primitive::<f32>("wind_speed")?;
        let winds = (0..late.len()).map(|key| found.row_of(key).and_then(|row| speed.get(row)));
        let columns = vec![
            Column::primitive(late.iter().map(|row| at.get(*row))),
            origins(),
            Column::primitive(late.iter().map(|row| delay.get(*row))),
            Column::primitive(winds),
        ];
        Ok(Answer::done().rows(0, columns))
    }
}

export_consumer!(WindyDelays);
