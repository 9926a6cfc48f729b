//! Takes memory and does not give it back: without end in one call, or, if the configuration is `leak`, 1 MiB a call.

use std::hint::black_box;
use std::mem;

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};

struct EatsMemory {
    leak: bool,
}

fn eat() {
    mem::forget(black_box(vec![1_u8; 1 << 20]));
}

impl Filter for EatsMemory {
    const NAME: &'static str = "eats-memory";
    const PARAMETERS: &'static [Parameter] = &[Parameter::new("value", DataType::Float64)];

    fn open(config: &str) -> Result<Self, String> {
        Ok(EatsMemory { leak: config == "leak" })
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        eat();
        while !self.leak {
            eat();
        }
        Ok(Bitmap::every(batch.rows()))
    }
}

export_filter!(EatsMemory);
