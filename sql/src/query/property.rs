//! `property(map, 'key')`: one property of a message.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function.
pub(super) fn property() -> ScalarUDF {
    ScalarUDF::new_from_impl(Property { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Property {
    signature: Signature,
}

/// Whether it is a map from text to text.
fn is_properties(data_type: &DataType) -> bool {
    let DataType::Map(entries, _) = data_type else { return false };
    let DataType::Struct(fields) = entries.data_type() else { return false };
    fields.len() == 2 && fields.iter().all(|field| *field.data_type() == DataType::Utf8)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

impl ScalarUDFImpl for Property {
    fn name(&self) -> &str {
        "property"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DfResult<DataType> {
        match arguments {
            [map, key] if is_properties(map) && is_text(key) => Ok(DataType::Utf8),
            _ => plan_err!("property(map, key) takes a MAP(VARCHAR, VARCHAR) and a VARCHAR"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let [map, key] = args.args.as_slice() else { return exec_err!("property takes two arguments") };
        let map = map.to_array(args.number_rows)?;
        let Some(map) = map.as_map_opt() else { return exec_err!("property takes a map") };
        let found = match key {
            ColumnarValue::Scalar(key) => match key.cast_to(&DataType::Utf8)? {
                ScalarValue::Utf8(Some(key)) => find(map, |_| Some(&key)),
                _ => None,
            },
            ColumnarValue::Array(keys) => {
                let keys: ArrayRef = arrow::compute::cast(keys, &DataType::Utf8)?;
                let keys = keys.as_string::<i32>();
                find(map, |row| keys.is_valid(row).then(|| keys.value(row)))
            }
        };
        let found = found.unwrap_or_else(|| StringArray::new_null(map.len()));
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// The value of each row's key; null where there is none. `None` if it is no map of texts.
fn find<'k>(map: &MapArray, key_of: impl Fn(usize) -> Option<&'k str>) -> Option<StringArray> {
    let (keys, values) = (map.keys().as_string_opt::<i32>()?, map.values().as_string_opt::<i32>()?);
    let of_row = |(row, range): (usize, &[i32])| {
        let [start, end] = range else { return None };
        let entries = usize::try_from(*start).ok()?..usize::try_from(*end).ok()?;
        let key = key_of(row).filter(|_| map.is_valid(row))?;
        let found = entries.into_iter().find(|entry| keys.value(*entry) == key)?;
        values.is_valid(found).then(|| values.value(found))
    };
    Some(map.value_offsets().windows(2).enumerate().map(of_row).collect())
}
