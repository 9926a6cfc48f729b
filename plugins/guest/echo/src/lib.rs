//! Gives every column back that it reads, through the builders: row `i` as often as `i mod 3` says. The host's tests
//! compare what comes out with what went in.
//!
//! `batch-wise` as configuration: every row once, numbers through `map`.

use millstream_plugin::{Batch, Column, DataType, Native, Output, Parameter, TimeUnit, Transform, export_transform};

struct Echo {
    batch_wise: bool,
}

fn primitive<T: Native>(batch: &Batch<'_>, name: &str, rows: &[u32]) -> Result<Column, String> {
    let column = batch.primitive::<T>(name)?;
    Ok(Column::primitive(rows.iter().map(|row| column.get(*row as usize))))
}

fn mapped<T: Native>(batch: &Batch<'_>, name: &str) -> Result<Column, String> {
    Ok(batch.primitive::<T>(name)?.map(|value| value))
}

impl Transform for Echo {
    const NAME: &'static str = "echo";
    const PARAMETERS: &'static [Parameter] = &[
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
        Parameter::new("boolean", DataType::Boolean),
        Parameter::new("utf8", DataType::Utf8),
        Parameter::new("binary", DataType::Binary),
    ];

    fn open(config: &str) -> Result<Self, String> {
        Ok(Echo { batch_wise: config == "batch-wise" })
    }

    fn columns(&self) -> Vec<(String, DataType)> {
        Self::PARAMETERS.iter().map(|parameter| (parameter.name.to_owned(), parameter.data_type)).collect()
    }

    fn transform(&self, batch: &Batch<'_>) -> Result<Output, String> {
        let rows = 0..u32::try_from(batch.rows()).map_err(|e| e.to_string())?;
        let rows: Vec<u32> = match self.batch_wise {
            true => rows.collect(),
            false => rows.flat_map(|row| std::iter::repeat_n(row, row as usize % 3)).collect(),
        };
        let mut columns: Vec<Column> = if self.batch_wise {
            let b = batch;
            vec![
                mapped::<i8>(b, "int8")?,
                mapped::<i16>(b, "int16")?,
                mapped::<i32>(b, "int32")?,
                mapped::<i64>(b, "int64")?,
                mapped::<u8>(b, "uint8")?,
                mapped::<u16>(b, "uint16")?,
                mapped::<u32>(b, "uint32")?,
                mapped::<u64>(b, "uint64")?,
                mapped::<f32>(b, "float32")?,
                mapped::<f64>(b, "float64")?,
                mapped::<i128>(b, "decimal")?,
                mapped::<i32>(b, "date")?,
                mapped::<i64>(b, "time")?,
            ]
        } else {
            let (b, r) = (batch, &rows);
            vec![
                primitive::<i8>(b, "int8", r)?,
                primitive::<i16>(b, "int16", r)?,
                primitive::<i32>(b, "int32", r)?,
                primitive::<i64>(b, "int64", r)?,
                primitive::<u8>(b, "uint8", r)?,
                primitive::<u16>(b, "uint16", r)?,
                primitive::<u32>(b, "uint32", r)?,
                primitive::<u64>(b, "uint64", r)?,
                primitive::<f32>(b, "float32", r)?,
                primitive::<f64>(b, "float64", r)?,
                primitive::<i128>(b, "decimal", r)?,
                primitive::<i32>(b, "date", r)?,
                primitive::<i64>(b, "time", r)?,
            ]
        };
        let (boolean, utf8, binary) = (batch.boolean("boolean")?, batch.utf8("utf8")?, batch.binary("binary")?);
        columns.push(Column::boolean(rows.iter().map(|row| boolean.get(*row as usize))));
        columns.push(Column::utf8(rows.iter().map(|row| utf8.get(*row as usize))));
        columns.push(Column::binary(rows.iter().map(|row| binary.get(*row as usize))));
        Ok(Output::new(rows, columns))
    }
}

export_transform!(Echo);
