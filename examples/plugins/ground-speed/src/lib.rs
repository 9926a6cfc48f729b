//! A function: how fast a flight was over ground, from its distance in miles and its time in the air in minutes.
//! `CREATE PLUGIN ground_speed FROM 'ground_speed.wasm' WITH (config = 'km/h')`; without a configuration, in miles an hour.

use millstream_plugin::{Batch, Column, DataType, Function, Parameter, export_function};

const KM_PER_MILE: f64 = 1.609_344;

struct GroundSpeed {
    factor: f64,
}

impl Function for GroundSpeed {
    const NAME: &'static str = "ground-speed";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::new("distance", DataType::Float64), Parameter::new("air_time", DataType::Float64)];
    const RETURNS: DataType = DataType::Float64;

    fn open(config: &str) -> Result<Self, String> {
        match config {
            "" | "mph" => Ok(GroundSpeed { factor: 60.0 }),
            "km/h" => Ok(GroundSpeed { factor: 60.0 * KM_PER_MILE }),
            other => Err(format!("the configuration is 'mph' or 'km/h', not {other:?}")),
        }
    }

    fn call(&self, batch: &Batch<'_>) -> Result<Column, String> {
        let distance = batch.primitive::<f64>("distance")?;
        let minutes = batch.primitive::<f64>("air_time")?;
        // Null where either is, and where a flight took no time at all.
        Ok(Column::primitive((0..batch.rows()).map(|row| {
            let minutes = minutes.get(row).filter(|minutes| *minutes > 0.0)?;
            Some(distance.get(row)? / minutes * self.factor)
        })))
    }
}

export_function!(GroundSpeed);
