//! Answers about another number of rows than it was asked about: the configuration says how many more, or fewer.

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};

struct WrongBitmap {
    more: i64,
}

impl Filter for WrongBitmap {
    const NAME: &'static str = "wrong-bitmap";
    const PARAMETERS: &'static [Parameter] = &[Parameter::new("value", DataType::Float64)];

    fn open(config: &str) -> Result<Self, String> {
        Ok(WrongBitmap { more: config.parse().map_err(|_| "the configuration must be a number of rows".to_owned())? })
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        let rows = i64::try_from(batch.rows()).unwrap_or(0) + self.more;
        Ok(Bitmap::every(usize::try_from(rows).unwrap_or(0)))
    }
}

export_filter!(WrongBitmap);
