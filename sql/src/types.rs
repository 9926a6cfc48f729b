//! SQL types and the closed list of stored types (`docs/types.md`), both ways.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::{DataFusionError, Result as DfResult, plan_err};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType as Sql, ExactNumberInfo, TimezoneInfo};

/// The time zone of every timestamp that has one.
const UTC: &str = "UTC";

/// The stored type that a SQL type names; `None` for types that can't be stored.
pub(crate) fn from_sql(sql: &Sql) -> Option<DataType> {
    Some(match sql {
        Sql::Boolean | Sql::Bool => DataType::Boolean,
        Sql::TinyInt(_) => DataType::Int8,
        Sql::SmallInt(_) | Sql::Int2(_) | Sql::Int16 => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) | Sql::Int32 => DataType::Int32,
        Sql::BigInt(_) | Sql::Int8(_) | Sql::Int64 => DataType::Int64,
        Sql::TinyIntUnsigned(_) | Sql::UTinyInt | Sql::UInt8 => DataType::UInt8,
        Sql::SmallIntUnsigned(_) | Sql::Int2Unsigned(_) | Sql::USmallInt | Sql::UInt16 => DataType::UInt16,
        Sql::IntUnsigned(_) | Sql::IntegerUnsigned(_) | Sql::Int4Unsigned(_) | Sql::UInt32 => DataType::UInt32,
        Sql::BigIntUnsigned(_) | Sql::Int8Unsigned(_) | Sql::UBigInt | Sql::UInt64 => DataType::UInt64,
        Sql::Float(_) | Sql::Real | Sql::Float4 | Sql::Float32 => DataType::Float32,
        Sql::Double(_) | Sql::DoublePrecision | Sql::Float8 | Sql::Float64 => DataType::Float64,
        Sql::Varchar(_)
        | Sql::CharacterVarying(_)
        | Sql::CharVarying(_)
        | Sql::Char(_)
        | Sql::Character(_)
        | Sql::Text
        | Sql::String(_) => DataType::Utf8,
        Sql::Bytea | Sql::Binary(_) | Sql::Varbinary(_) | Sql::Blob(_) | Sql::Bytes(_) => DataType::Binary,
        Sql::Date | Sql::Date32 => DataType::Date32,
        Sql::Timestamp(precision, zone) => timestamp(*precision, zone)?,
        Sql::TimestampNtz(precision) | Sql::Datetime(precision) => timestamp(*precision, &TimezoneInfo::None)?,
        Sql::Decimal(info) | Sql::Numeric(info) | Sql::Dec(info) => decimal(info)?,
        Sql::Array(ArrayElemTypeDef::AngleBracket(item))
        | Sql::Array(ArrayElemTypeDef::SquareBracket(item, None))
        | Sql::Array(ArrayElemTypeDef::Parenthesis(item)) => {
            DataType::List(Arc::new(Field::new("item", from_sql(item)?, true)))
        }
        Sql::Map(key, value) => map(from_sql(key)?, from_sql(value)?),
        Sql::Struct(fields, _) => {
            let field = |field: &datafusion::sql::sqlparser::ast::StructField| {
                let name = crate::names::fold(field.field_name.as_ref()?);
                Some(Field::new(name, from_sql(&field.field_type)?, true))
            };
            let fields = fields.iter().map(field).collect::<Option<Vec<_>>>()?;
            DataType::Struct(Fields::from(fields))
        }
        _ => return None,
    })
}

fn timestamp(precision: Option<u64>, zone: &TimezoneInfo) -> Option<DataType> {
    let unit = match precision {
        None | Some(6) => TimeUnit::Microsecond,
        Some(0) => TimeUnit::Second,
        Some(3) => TimeUnit::Millisecond,
        Some(9) => TimeUnit::Nanosecond,
        Some(_) => return None,
    };
    let zone = match zone {
        TimezoneInfo::Tz | TimezoneInfo::WithTimeZone => Some(Arc::from(UTC)),
        TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => None,
    };
    Some(DataType::Timestamp(unit, zone))
}

fn decimal(info: &ExactNumberInfo) -> Option<DataType> {
    let (precision, scale) = match *info {
        ExactNumberInfo::None => (38, 10),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    let valid = (1..=38).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    valid.then_some(DataType::Decimal128(precision, scale))
}

fn map(key: DataType, value: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

/// Writes a stored type as SQL that [`from_sql`] reads back.
pub(crate) use millstream_formats::type_name as to_sql;

/// The stored type that a computed type becomes; an error text that says why there is none.
pub(crate) fn normalise(data_type: &DataType) -> Result<DataType, String> {
    let field = |field: &FieldRef| -> Result<FieldRef, String> {
        Ok(Arc::new(field.as_ref().clone().with_data_type(normalise(field.data_type())?)))
    };
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Decimal128(..)
        | DataType::Timestamp(_, None) => data_type.clone(),
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(Arc::from(UTC))),
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => normalise(values)?,
        DataType::RunEndEncoded(_, values) => normalise(values.data_type())?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(field(item)?),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect::<Result<Vec<_>, _>>()?.into()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries)?, *sorted),
        DataType::Null => return Err("it has no type; CAST it to one".to_owned()),
        other => return Err(format!("its type {other} can't be stored; CAST it to one that can")),
    })
}

/// Makes CAST and typed literals use the same types as CREATE TABLE: TIMESTAMP is in µs.
#[derive(Debug)]
pub(crate) struct SqlTypes;

impl TypePlanner for SqlTypes {
    fn plan_type_field(&self, sql: &Sql) -> DfResult<Option<FieldRef>, DataFusionError> {
        if let Sql::Timestamp(Some(precision), _) = sql
            && ![0, 3, 6, 9].contains(precision)
        {
            return plan_err!("TIMESTAMP({precision}) is not a type; the precision is 0, 3, 6 or 9");
        }
        Ok(from_sql(sql).map(|data_type| Arc::new(Field::new("", data_type, true))))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn parse(text: &str) -> Option<DataType> {
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(text).unwrap().parse_data_type().unwrap();
        from_sql(&parsed)
    }

    #[test]
    fn every_type_reads_back_as_it_is_written() {
        for text in [
            "BOOLEAN",
            "TINYINT",
            "SMALLINT",
            "INT",
            "BIGINT",
            "TINYINT UNSIGNED",
            "SMALLINT UNSIGNED",
            "INT UNSIGNED",
            "BIGINT UNSIGNED",
            "REAL",
            "DOUBLE",
            "VARCHAR",
            "BYTEA",
            "DATE",
            "DECIMAL(10, 2)",
            "TIMESTAMP",
            "TIMESTAMP(0)",
            "TIMESTAMP(3)",
            "TIMESTAMP(9)",
            "TIMESTAMP WITH TIME ZONE",
            "ARRAY<INT>",
            "ARRAY<ARRAY<VARCHAR>>",
            "STRUCT<a INT, b ARRAY<VARCHAR>>",
            "STRUCT<\"A b\" INT>",
            "MAP(VARCHAR, BIGINT)",
        ] {
            let data_type = parse(text).unwrap_or_else(|| panic!("{text} is not read"));
            assert_eq!(to_sql(&data_type), text);
        }
    }

    #[test]
    fn types_that_cannot_be_stored() {
        for text in ["UUID", "JSON", "TIME", "INTERVAL", "TIMESTAMP(5)", "DECIMAL(50, 2)", "DECIMAL(5, 9)"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
