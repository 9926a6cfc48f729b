//! Keeps departures that are more than an hour late: `dep_delay > 60`.

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};

struct LateDepartures;

impl Filter for LateDepartures {
    const NAME: &'static str = "late-departures";
    const PARAMETERS: &'static [Parameter] = &[Parameter::new("dep_delay", DataType::Float32)];

    fn open(_config: &str) -> Result<Self, String> {
        Ok(LateDepartures)
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        Ok(batch.primitive::<f32>("dep_delay")?.test(|minutes| minutes > 60.0))
    }
}

export_filter!(LateDepartures);
