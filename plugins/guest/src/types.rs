//! The column types of a plugin's batches.

use std::fmt;

use crate::Lookup;

/// The unit of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

/// A column's type; its [`fmt::Display`] is how Arrow writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    /// Read as `i128`: the value times ten to the power of the scale.
    Decimal128 {
        precision: u8,
        scale: i8,
    },
    /// Days since 1970-01-01, read as `i32`.
    Date32,
    /// Since 1970-01-01, read as `i64`. `utc` tells instants from times of an unnamed zone.
    Timestamp {
        unit: TimeUnit,
        utc: bool,
    },
    Utf8,
    Binary,
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Decimal128 { precision, scale } => write!(f, "Decimal128({precision}, {scale})"),
            DataType::Timestamp { unit, utc } => {
                let unit = match unit {
                    TimeUnit::Second => "s",
                    TimeUnit::Millisecond => "ms",
                    TimeUnit::Microsecond => "µs",
                    TimeUnit::Nanosecond => "ns",
                };
                write!(f, "Timestamp({unit}{})", if *utc { ", \"UTC\"" } else { "" })
            }
            plain => write!(f, "{plain:?}"),
        }
    }
}

/// A column that a plugin reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    pub data_type: DataType,
}

impl Parameter {
    /// `name` is also the column that is bound where SQL calls the plugin without arguments.
    pub const fn new(name: &'static str, data_type: DataType) -> Parameter {
        Parameter { name, data_type }
    }
}

/// Something beside its arguments that a plugin may ask for; it works once the operator has granted it:
/// `CREATE PLUGIN … WITH (grant = 'clock')`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// [`crate::clock`].
    Clock,
    /// [`crate::random`].
    Random,
    /// [`crate::state`]; consumers have it.
    State,
    /// [`Lookup::find`]; consumers and checkback handlers have it. Granted by `WITH (table.NAME = '…')`, which says which
    /// table it is.
    Table(Lookup),
    /// [`crate::http`], for this host: `api.example.com`, or `api.example.com:8443` where the port is not that of the scheme;
    /// `*` for those that the operator names. Consumers and checkback handlers have it. Granted by `WITH (http = '…')`.
    Http(&'static str),
}
