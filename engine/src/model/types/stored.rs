//! Which types are stored, and which other encodings stand for them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef};

/// Nesting that a column may have: a list of structs of numbers has 3.
const MAX_DEPTH: usize = 32;

/// The type that values of `data_type` are stored as: itself if it is on the list, the listed type if it is another
/// encoding of one. The error says what is wrong, with the path of the nested field at fault.
pub fn stored_type(data_type: &DataType) -> Result<DataType, String> {
    at_depth(data_type, MAX_DEPTH)
}

/// Whether the type is on the list.
pub(crate) fn is_stored(data_type: &DataType) -> bool {
    stored_type(data_type).is_ok_and(|stored| stored == *data_type)
}

fn at_depth(data_type: &DataType, depth: usize) -> Result<DataType, String> {
    use DataType::*;
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("types may be nested {MAX_DEPTH} deep"));
    };
    Ok(match data_type {
        Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float32 | Float64 | Date32
        | Utf8 | Binary => data_type.clone(),
        Utf8View | LargeUtf8 => Utf8,
        BinaryView | LargeBinary => Binary,
        Timestamp(unit, zone) => Timestamp(*unit, zone.as_ref().map(|_| Arc::from("UTC"))),
        Decimal128(precision, scale) => {
            if !(1..=38).contains(precision) || *scale < 0 || scale.unsigned_abs() > *precision {
                return Err(format!(
                    "{data_type} is not a decimal of 1 to 38 digits with 0 to as many after the point"
                ));
            }
            data_type.clone()
        }
        Dictionary(_, values) => at_depth(values, depth)?,
        RunEndEncoded(_, values) => at_depth(values.data_type(), depth)?,
        List(item) | LargeList(item) | ListView(item) | LargeListView(item) => {
            List(Arc::new(Field::new("item", nested("item", item, depth)?, item.is_nullable())))
        }
        Struct(fields) => {
            if fields.is_empty() {
                return Err("a struct needs at least one field".to_owned());
            }
            let mut stored: Vec<FieldRef> = Vec::with_capacity(fields.len());
            for field in fields {
                if stored.iter().any(|other| other.name() == field.name()) {
                    return Err(format!("the struct has two fields named {:?}", field.name()));
                }
                let data_type = nested(field.name(), field, depth)?;
                stored.push(Arc::new(Field::new(field.name(), data_type, field.is_nullable())));
            }
            Struct(stored.into())
        }
        Map(entries, _) => {
            let Struct(fields) = entries.data_type() else {
                return Err("a map's entries must be a struct".to_owned());
            };
            let [key, value] = fields.as_ref() else {
                return Err("a map's entries must be a struct of key and value".to_owned());
            };
            map_type(nested("key", key, depth)?, nested("value", value, depth)?, value.is_nullable())
        }
        other => return Err(format!("{other} is not a type that tables hold")),
    })
}

/// The one form that maps are stored in, whatever names the entries had.
pub(super) fn map_type(key: DataType, value: DataType, value_nullable: bool) -> DataType {
    let entries = vec![Field::new("key", key, false), Field::new("value", value, value_nullable)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}

fn nested(name: &str, field: &Field, depth: usize) -> Result<DataType, String> {
    at_depth(field.data_type(), depth).map_err(|reason| format!("{name}: {reason}"))
}
