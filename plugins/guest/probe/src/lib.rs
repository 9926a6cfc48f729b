//! Reads a column of every type and keeps the rows whose values add up to an odd number. The host's tests compute the
//! same from the Arrow arrays.
//!
//! A value counts as its bits, a text or byte string as its length and the sum of its bytes, null as 3. The
//! configuration names the one column to test batch-wise instead; its rows are kept where the value counts as odd.

use millstream_plugin::{Batch, Bitmap, DataType, Filter, Native, Parameter, TimeUnit, export_filter};

struct Probe {
    column: String,
}

/// Wrapping, so that every bit of a value may decide.
fn fold(bits: u64) -> u64 {
    u64::from(bits.count_ones())
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(bytes.len() as u64, |sum, byte| sum + u64::from(*byte))
}

const NULL: u64 = 3;

/// Adds what a column's values count as to `sums`.
fn add<T: Native>(batch: &Batch<'_>, name: &str, sums: &mut [u64], bits: impl Fn(T) -> u64) -> Result<(), String> {
    let column = batch.primitive::<T>(name)?;
    for (sum, value) in sums.iter_mut().zip(column.iter()) {
        *sum += value.map_or(NULL, |value| fold(bits(value)));
    }
    Ok(())
}

impl Probe {
    fn batch_wise(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        let odd = |bits: u64| fold(bits) % 2 == 1;
        Ok(match &*self.column {
            "int8" => batch.primitive::<i8>("int8")?.test(|v| odd(v as u8 as u64)),
            "int64" => batch.primitive::<i64>("int64")?.test(|v| odd(v as u64)),
            "float64" => batch.primitive::<f64>("float64")?.test(|v| odd(v.to_bits())),
            "boolean" => batch.boolean("boolean")?.is_true(),
            "utf8" => batch.utf8("utf8")?.test(|v| sum(v.as_bytes()) % 2 == 1),
            "binary" => batch.binary("binary")?.test(|v| sum(v) % 2 == 1),
            "not boolean" => !batch.boolean("boolean")?.is_true(),
            other => return Err(format!("no batch-wise form of {other:?}")),
        })
    }
}

impl Filter for Probe {
    const NAME: &'static str = "probe";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::new("boolean", DataType::Boolean),
        Parameter::new("int8", DataType::Int8),
        Parameter::new("int16", DataType::Int16),
        Parameter::new("int32", DataType::Int32),
        Parameter::new("int64", DataType::Int64),
        Parameter::new("uint8", DataType::UInt8),
        Parameter::new("uint16", DataType::UInt16),
        Parameter::new("uint32", DataType::UInt32),
        Parameter::new("uint64", DataType::UInt64),
        Parameter::new("float32", DataType::Float32),
        Parameter::new("float64", DataType::Float64),
        Parameter::new("decimal", DataType::Decimal128 { precision: 38, scale: 4 }),
        Parameter::new("date", DataType::Date32),
        Parameter::new("time", DataType::Timestamp { unit: TimeUnit::Microsecond, utc: true }),
        Parameter::new("utf8", DataType::Utf8),
        Parameter::new("binary", DataType::Binary),
    ];

    fn open(config: &str) -> Result<Self, String> {
        Ok(Probe { column: config.to_owned() })
    }

    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String> {
        if !self.column.is_empty() {
            return self.batch_wise(batch);
        }
        let mut sums = vec![0; batch.rows()];
        add::<i8>(batch, "int8", &mut sums, |v| v as u8 as u64)?;
        add::<i16>(batch, "int16", &mut sums, |v| v as u16 as u64)?;
        add::<i32>(batch, "int32", &mut sums, |v| v as u32 as u64)?;
        add::<i64>(batch, "int64", &mut sums, |v| v as u64)?;
        add::<u8>(batch, "uint8", &mut sums, u64::from)?;
        add::<u16>(batch, "uint16", &mut sums, u64::from)?;
        add::<u32>(batch, "uint32", &mut sums, u64::from)?;
        add::<u64>(batch, "uint64", &mut sums, |v| v)?;
        add::<f32>(batch, "float32", &mut sums, |v| v.to_bits().into())?;
        add::<f64>(batch, "float64", &mut sums, f64::to_bits)?;
        add::<i128>(batch, "decimal", &mut sums, |v| v as u64 ^ (v >> 64) as u64)?;
        add::<i32>(batch, "date", &mut sums, |v| v as u32 as u64)?;
        add::<i64>(batch, "time", &mut sums, |v| v as u64)?;
        let (boolean, utf8, binary) = (batch.boolean("boolean")?, batch.utf8("utf8")?, batch.binary("binary")?);
        Ok(batch.select(|row| {
            let boolean = boolean.get(row).map_or(NULL, u64::from);
            let utf8 = utf8.get(row).map_or(NULL, |v| sum(v.as_bytes()));
            let binary = binary.get(row).map_or(NULL, sum);
            sums.get(row).is_some_and(|sum| (sum + boolean + utf8 + binary) % 2 == 1)
        }))
    }
}

export_filter!(Probe);
