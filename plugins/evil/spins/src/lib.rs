//! Never comes back: from `open` if the configuration is `open`, else from `filter`.

use std::hint::black_box;

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};

struct Spins;

fn spin() {
    let mut turns = 0_u64;
    while black_box(turns) < u64::MAX {
        turns = turns.wrapping_add(1) & 0xffff;
    }
}

impl Filter for Spins {
    const NAME: &'static str = "spins";
    const PARAMETERS: &'static [Parameter] = &[Parameter::new("value", DataType::Float64)];

    fn open(config: &str) -> Result<Self, String> {
        if config == "open" {
            spin();
        }
        Ok(Spins)
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        spin();
        Ok(Bitmap::every(batch.rows()))
    }
}

export_filter!(Spins);
