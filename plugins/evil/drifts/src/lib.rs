//! Says that its answers follow from its arguments, and keeps all rows in the first call of an instance, none in later ones.

use std::cell::Cell;

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};

struct Drifts {
    called: Cell<bool>,
}

impl Filter for Drifts {
    const NAME: &'static str = "drifts";
    const PARAMETERS: &'static [Parameter] = &[Parameter::new("value", DataType::Float64)];

    fn open(_config: &str) -> Result<Self, String> {
        Ok(Drifts { called: Cell::new(false) })
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        let every = Bitmap::every(batch.rows());
        Ok(if self.called.replace(true) { !every } else { every })
    }
}

export_filter!(Drifts);
