//! Keeps departures that are late: by more than an hour, or by as many minutes as the configuration says.

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};

struct Late {
    minutes: f32,
}

impl Filter for Late {
    const NAME: &'static str = "PLUGIN_NAME";

    // The columns that the plugin reads. Nothing else is sent to it.
    const PARAMETERS: &'static [Parameter] = &[Parameter::new("dep_delay", DataType::Float32)];

    // Called once in each instance, with the text of WITH (config = '…').
    fn open(config: &str) -> Result<Self, String> {
        let minutes = if config.is_empty() { "60" } else { config };
        Ok(Late { minutes: minutes.parse().map_err(|_| format!("{minutes:?} is not a number of minutes"))? })
    }

    // Called with up to 65,536 rows at a time.
    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        Ok(batch.primitive::<f32>("dep_delay")?.test(|delay| delay > self.minutes))
    }
}

export_filter!(Late);
