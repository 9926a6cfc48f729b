//! A transform: what happened at which airport. A flight gives its departure at the one and its arrival at the other;
//! one that was cancelled gives nothing.

use millstream_plugin::{
    Batch, Column, DataType, Output, Parameter, PrimitiveBuilder, TimeUnit, Transform, Utf8Builder, export_transform,
};

const TIME: DataType = DataType::Timestamp { unit: TimeUnit::Millisecond, utc: true };
const MS_PER_MINUTE: f64 = 60_000.0;

struct FlightEvents;

/// The events of a batch, as far as they are gathered.
struct Events {
    rows: Vec<u32>,
    at: PrimitiveBuilder<i64>,
    airport: Utf8Builder,
    event: Utf8Builder,
    carrier: Utf8Builder,
    flight: PrimitiveBuilder<i32>,
}

impl Transform for FlightEvents {
    const NAME: &'static str = "flight-events";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::new("ts", TIME),
        Parameter::new("carrier", DataType::Utf8),
        Parameter::new("flight", DataType::Int32),
        Parameter::new("origin", DataType::Utf8),
        Parameter::new("dest", DataType::Utf8),
        Parameter::new("dep_delay", DataType::Float32),
        Parameter::new("air_time", DataType::Float32),
    ];

    fn open(_config: &str) -> Result<Self, String> {
        Ok(FlightEvents)
    }

    fn columns(&self) -> Vec<(String, DataType)> {
        vec![
            ("at".to_owned(), TIME),
            ("airport".to_owned(), DataType::Utf8),
            ("event".to_owned(), DataType::Utf8),
            ("carrier".to_owned(), DataType::Utf8),
            ("flight".to_owned(), DataType::Int32),
        ]
    }

    fn transform(&self, batch: &Batch<'_>) -> Result<Output, String> {
        let scheduled = batch.primitive::<i64>("ts")?;
        let (carrier, flight) = (batch.utf8("carrier")?, batch.primitive::<i32>("flight")?);
        let (origin, dest) = (batch.utf8("origin")?, batch.utf8("dest")?);
        let (delay, in_the_air) = (batch.primitive::<f32>("dep_delay")?, batch.primitive::<f32>("air_time")?);
        let mut events = Events {
            rows: Vec::with_capacity(batch.rows() * 2),
            at: PrimitiveBuilder::with_capacity(batch.rows() * 2),
            airport: Utf8Builder::default(),
            event: Utf8Builder::default(),
            carrier: Utf8Builder::default(),
            flight: PrimitiveBuilder::with_capacity(batch.rows() * 2),
        };
        for (row, origin_row) in (0..batch.rows()).zip(0_u32..) {
            let (Some(scheduled), Some(delay)) = (scheduled.get(row), delay.get(row)) else { continue };
            let departed = scheduled + (f64::from(delay) * MS_PER_MINUTE) as i64;
            let arrived = in_the_air.get(row).map(|minutes| departed + (f64::from(minutes) * MS_PER_MINUTE) as i64);
            let departure = Some((departed, "departure", origin.get(row)));
            let arrival = arrived.map(|arrived| (arrived, "arrival", dest.get(row)));
            for (at, event, airport) in departure.into_iter().chain(arrival) {
                events.rows.push(origin_row);
                events.at.push(at);
                events.event.push_option(Some(event));
                events.airport.push_option(airport);
                events.carrier.push_option(carrier.get(row));
                events.flight.push_option(flight.get(row));
            }
        }
        Ok(events.finish())
    }
}

impl Events {
    fn finish(self) -> Output {
        let columns: Vec<Column> = vec![
            self.at.finish(),
            self.airport.finish(),
            self.event.finish(),
            self.carrier.finish(),
            self.flight.finish(),
        ];
        Output::new(self.rows, columns)
    }
}

export_transform!(FlightEvents);
