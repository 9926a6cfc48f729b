//! How fast a flight was over ground: miles an hour, from its distance in miles and its time in the air in minutes. With the
//! configuration 'km/h', in that.

use millstream_plugin::{Batch, Column, DataType, Function, Parameter, export_function};

struct Speed {
    factor: f64,
}

impl Function for Speed {
    const NAME: &'static str = "PLUGIN_NAME";

    // The columns that the plugin reads. Nothing else is sent to it.
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::new("distance", DataType::Float64), Parameter::new("air_time", DataType::Float64)];
    const RETURNS: DataType = DataType::Float64;

    // Called once in each instance, with the text of WITH (config = '…').
    fn open(config: &str) -> Result<Self, String> {
        match config {
            "" => Ok(Speed { factor: 60.0 }),
            "km/h" => Ok(Speed { factor: 60.0 * 1.609_344 }),
            other => Err(format!("the configuration is empty or 'km/h', not {other:?}")),
        }
    }

    // Called with up to 65,536 rows at a time; the answer has a value for each, or null.
    fn call(&self, batch: &Batch<'_>) -> Result<Column, String> {
        let (distance, minutes) = (batch.primitive::<f64>("distance")?, batch.primitive::<f64>("air_time")?);
        Ok(Column::primitive((0..batch.rows()).map(|row| {
            let minutes = minutes.get(row).filter(|minutes| *minutes > 0.0)?;
            Some(distance.get(row)? / minutes * self.factor)
        })))
    }
}

export_function!(Speed);
