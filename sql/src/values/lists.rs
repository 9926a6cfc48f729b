//! `x IN (…)` of values that differ from row to row. DataFusion takes an item for a constant if it can be evaluated on no rows at all
//! and gives one value, as a CASE does; such items are made to give a value for each row.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result as DfResult, exec_err};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::names;

/// The list with its items so that none is taken for a constant that is none.
pub(super) fn row_by_row(mut list: InList) -> InList {
    for item in &mut list.list {
        if matches!(item, Expr::Literal(..) | Expr::Column(_)) || item.column_refs().is_empty() {
            continue;
        }
        let function = ScalarUDF::new_from_impl(EachRow { signature: Signature::any(1, Volatility::Immutable) });
        *item = function.call(vec![std::mem::take(item)]);
    }
    list
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EachRow {
    signature: Signature,
}

impl ScalarUDFImpl for EachRow {
    fn name(&self) -> &str {
        "each_row"
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(names::call(self.name(), args))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        match types {
            [data_type] => Ok(data_type.clone()),
            _ => exec_err!("each_row takes a value"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        super::field_of(self, &args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(value) => value.into_array(args.number_rows).map(ColumnarValue::Array),
            None => exec_err!("each_row takes a value"),
        }
    }
}
