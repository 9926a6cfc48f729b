//! Parameters of statements, as the types that the statement has in their places.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use millstream_engine::convert_column;

pub use millstream_engine::Misfit;

use crate::column::Column;
use crate::text::text;

/// The values of one parameter. Beside what an append converts, text is read as the type, as CSV has it, and floating-point
/// numbers become integers if they are whole, and decimals by their shortest form.
pub fn bind(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, Misfit> {
    let plain = match values.data_type() {
        DataType::Dictionary(_, inner) => cast(values, inner)?,
        DataType::RunEndEncoded(_, inner) => cast(values, inner.data_type())?,
        _ => Arc::clone(values),
    };
    let from = plain.data_type();
    if from == to {
        return Ok(plain);
    }
    if millstream_engine::stored_type(to).as_ref() != Ok(to) {
        // A place in a statement may have a type that no table holds, such as an interval.
        return cast(&plain, to);
    }
    let is_text = matches!(from, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let to_text = matches!(to, DataType::Utf8);
    match to {
        _ if is_text && !to_text => read(&plain, to, |row| text_at(&plain, row).to_owned()),
        DataType::Decimal128(..) if from.is_floating() => read(&plain, to, |row| text(plain.as_ref(), row)),
        _ if from.is_floating() && to.is_integer() => read(&plain, to, |row| text(plain.as_ref(), row)),
        _ => convert_column(&plain, to)
            .map_err(|misfit| Misfit { reason: misfit.reason.replace("the table has", "the statement has"), ..misfit }),
    }
}

fn cast(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, Misfit> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(values, to, &strict).map_err(|error| Misfit { row: None, reason: error.to_string() })
}

fn read(values: &ArrayRef, to: &DataType, at: impl Fn(usize) -> String) -> Result<ArrayRef, Misfit> {
    let mut column = Column::new(to).map_err(|reason| Misfit { row: None, reason })?;
    for row in 0..values.len() {
        match values.is_null(row) {
            true => column.push_null(),
            false => column.push_text(&at(row)).map_err(|reason| Misfit { row: Some(row), reason })?,
        }
    }
    column.take().map_err(|reason| Misfit { row: None, reason })
}

fn text_at(values: &ArrayRef, row: usize) -> &str {
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value(row),
        DataType::LargeUtf8 => values.as_string::<i64>().value(row),
        _ => values.as_string_view().value(row),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::*;
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn check(values: impl Array + 'static, expected: impl Array + 'static) {
        let expected: ArrayRef = Arc::new(expected);
        assert_eq!(&bind(&(Arc::new(values) as ArrayRef), expected.data_type()).unwrap(), &expected);
    }

    fn refused(values: impl Array + 'static, to: DataType) -> String {
        let misfit = bind(&(Arc::new(values) as ArrayRef), &to).unwrap_err();
        format!("{:?} {}", misfit.row, misfit.reason)
    }

    #[test]
    fn what_fits_becomes_the_statements_type() {
        let micros = |values: Vec<Option<i64>>| TimestampMicrosecondArray::from(values);
        check(Int64Array::from(vec![Some(7), None]), Int32Array::from(vec![Some(7), None]));
        check(StringArray::from(vec![Some("2013-01-01"), None]), micros(vec![Some(1_356_998_400_000_000), None]));
        check(
            StringArray::from(vec!["1.005"]),
            Decimal128Array::from(vec![101]).with_precision_and_scale(10, 2).unwrap(),
        );
        check(
            Float64Array::from(vec![1.005]),
            Decimal128Array::from(vec![101]).with_precision_and_scale(10, 2).unwrap(),
        );
        check(Float64Array::from(vec![2.0]), Int64Array::from(vec![2]));
        check(StringViewArray::from(vec!["a"]), StringArray::from(vec!["a"]));
        check(
            StringArray::from(vec!["[1,2]"]),
            ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some([Some(1), Some(2)])]),
        );
        check(NullArray::new(1), BooleanArray::from(vec![None]));
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_row_and_value() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert_eq!(
            refused(StringArray::from(vec!["2013-01-01", "yesterday"]), micros),
            "Some(1) \"yesterday\" is no TIMESTAMP"
        );
        assert_eq!(
            refused(Int64Array::from(vec![1, 1 << 40]), DataType::Int32),
            "Some(1) 1099511627776 does not fit into Int32"
        );
        assert_eq!(
            refused(Float64Array::from(vec![1.5]), DataType::Int64),
            "Some(0) \"1.5\" has a fraction, and BIGINT has none"
        );
        assert_eq!(refused(Float64Array::from(vec![f64::NAN]), DataType::Int64), "Some(0) \"NaN\" is no BIGINT");
        assert_eq!(refused(Int64Array::from(vec![1]), DataType::Utf8), "None is Int64, the statement has Utf8");
    }
}
