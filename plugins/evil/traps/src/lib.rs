//! Traps in the n-th call of an instance, n being the configuration; with `negative`, on rows below zero, of which it logs
//! first; with `data`, it answers with an error each time.

use std::cell::Cell;

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter, log};

struct Traps {
    calls_left: Cell<Option<u64>>,
    negative: bool,
}

impl Filter for Traps {
    const NAME: &'static str = "traps";
    const PARAMETERS: &'static [Parameter] = &[Parameter::new("value", DataType::Float64)];

    fn open(config: &str) -> Result<Self, String> {
        Ok(Traps { calls_left: Cell::new(config.parse().ok()), negative: config == "negative" })
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        if self.negative {
            let below = batch.primitive::<f64>("value")?.test(|value| value < 0.0);
            let count = (0..below.rows()).filter(|row| below.get(*row)).count();
            if count > 0 {
                log::warning(&format!("{count} rows of {} are below zero", batch.rows()));
                panic!("a row is below zero");
            }
            return Ok(Bitmap::every(batch.rows()));
        }
        let left = self.calls_left.get().ok_or("these rows are not to my taste")?;
        assert!(left > 1, "the call has come in which I trap");
        self.calls_left.set(Some(left - 1));
        Ok(Bitmap::every(batch.rows()))
    }
}

export_filter!(Traps);
