//! Keeps departures of one carrier that are more than an hour late. The carrier is the configuration:
//! `CREATE PLUGIN united_late FROM 'carrier_filter.wasm' WITH (config = 'UA')`.

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};

struct CarrierFilter {
    carrier: String,
}

impl Filter for CarrierFilter {
    const NAME: &'static str = "carrier-filter";
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::new("carrier", DataType::Utf8), Parameter::new("dep_delay", DataType::Float32)];

    fn open(config: &str) -> Result<Self, String> {
        match config.trim() {
            "" => Err("the configuration must name a carrier, such as 'UA'".to_owned()),
            carrier => Ok(CarrierFilter { carrier: carrier.to_owned() }),
        }
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        let carrier = batch.utf8("carrier")?;
        let delay = batch.primitive::<f32>("dep_delay")?;
        // The row-wise form: texts are compared only where the cheaper condition holds.
        Ok(batch.select(|row| {
            delay.get(row).is_some_and(|minutes| minutes > 60.0) && carrier.get(row) == Some(&self.carrier)
        }))
    }
}

export_filter!(CarrierFilter);
