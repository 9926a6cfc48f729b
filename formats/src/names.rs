//! Types as SQL names them.

use arrow::datatypes::{DataType, TimeUnit};

/// A type's name in SQL; that of a type that tables don't hold is Arrow's.
pub fn type_name(data_type: &DataType) -> String {
    type_name_quoting(data_type, &quoted)
}

/// A type's name in SQL, with the names of fields written as `quote` has it.
pub fn type_name_quoting(data_type: &DataType, quote: &dyn Fn(&str) -> String) -> String {
    let precision = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "(0)",
        TimeUnit::Millisecond => "(3)",
        TimeUnit::Microsecond => "",
        TimeUnit::Nanosecond => "(9)",
    };
    let name = |data_type: &DataType| type_name_quoting(data_type, quote);
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt8 => "TINYINT UNSIGNED".to_owned(),
        DataType::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        DataType::UInt32 => "INT UNSIGNED".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 => "VARCHAR".to_owned(),
        DataType::Binary => "BYTEA".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP{}", precision(unit)),
        DataType::Timestamp(unit, Some(_)) => format!("TIMESTAMP{} WITH TIME ZONE", precision(unit)),
        DataType::List(item) => format!("ARRAY<{}>", name(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|field| format!("{} {}", quote(field.name()), name(field.data_type()))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let parts: Vec<_> = fields.iter().map(|field| name(field.data_type())).collect();
                format!("MAP({})", parts.join(", "))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

/// A name so that SQL reads it back as itself.
pub fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
