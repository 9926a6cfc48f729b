//! A checkback handler: orders of seats. The producer has sent an order as a half message and is gone before it has said
//! whether the order stands; the table of flights tells.
//!
//! A half message's `keys` name the flight, such as `UA 1545`. The order stands if the flight has left, and is dropped if it
//! was cancelled, or if the keys name no flight. Of a flight that is not in the table nothing is known yet: after so many
//! checks the order is dropped.
//!
//! The configuration is that number of checks; 15 if it is empty.

use millstream_plugin::{
    Batch, Capability, CheckVerdict, CheckbackHandler, Column, DataType, Lookup, LookupError, Parameter,
    export_checkback, log,
};

const FLIGHTS: Lookup = Lookup {
    name: "flights",
    key: &[Parameter::new("carrier", DataType::Utf8), Parameter::new("flight", DataType::Int32)],
    columns: &[Parameter::new("dep_delay", DataType::Float32)],
};

struct SeatOrders {
    checks: i32,
}

impl CheckbackHandler for SeatOrders {
    const NAME: &'static str = "seat-orders";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::new("keys", DataType::Utf8), Parameter::new("_checks", DataType::Int32)];
    const CAPABILITIES: &'static [Capability] = &[Capability::Table(FLIGHTS)];

    fn open(config: &str) -> Result<Self, String> {
        let checks = if config.is_empty() { "15" } else { config };
        Ok(SeatOrders { checks: checks.parse().map_err(|_| format!("{checks:?} is not a number of checks"))? })
    }

    fn check(&self, batch: &Batch<'_>) -> Result<Vec<CheckVerdict>, String> {
        let (keys, checks) = (batch.utf8("keys")?, batch.primitive::<i32>("_checks")?);
        let named: Vec<Option<(&str, i32)>> = (0..batch.rows()).map(|row| flight(keys.get(row)?)).collect();
        let carriers = Column::utf8(named.iter().map(|flight| flight.map(|(carrier, _)| carrier)));
        let numbers = Column::primitive(named.iter().map(|flight| flight.map(|(_, number)| number)));
        let found = match FLIGHTS.find(&[carriers, numbers]) {
            Ok(found) => found,
            // However often these were asked about: nothing was seen this time.
            Err(LookupError::Unavailable(why)) => {
                log::warning(&why);
                return Ok(vec![CheckVerdict::Unknown; batch.rows()]);
            }
            Err(error) => return Err(error.into()),
        };
        let flights = found.batch()?;
        let delays = flights.primitive::<f32>("dep_delay")?;
        let verdict = |row: usize| match (named[row], found.row_of(row)) {
            (None, _) => CheckVerdict::Rollback,
            (_, Some(flight)) if delays.get(flight).is_some() => CheckVerdict::Commit,
            (_, Some(_)) => CheckVerdict::Rollback,
            (_, None) if checks.get(row).unwrap_or(0) < self.checks => CheckVerdict::Unknown,
            (_, None) => CheckVerdict::Rollback,
        };
        Ok((0..batch.rows()).map(verdict).collect())
    }
}

/// Carrier and number.
fn flight(keys: &str) -> Option<(&str, i32)> {
    let (carrier, number) = keys.split_once(' ')?;
    Some((carrier, number.parse().ok()?))
}

export_checkback!(SeatOrders);
