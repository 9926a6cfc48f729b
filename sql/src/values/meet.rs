//! The type that values of several have in common, and expressions brought to it.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};

use super::times;

pub(super) fn types_of<'a>(exprs: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> DfResult<Vec<DataType>> {
    exprs.into_iter().map(|expr| expr.get_type(schema)).collect()
}

/// Whether DOUBLE is the only type that comes close to all of these: floating point beside decimals, REAL beside integers that
/// it can't hold.
pub(super) fn meet_in_double(types: &[DataType]) -> bool {
    let numeric = types.iter().all(|data_type| data_type.is_numeric() || data_type.is_null());
    let floating = types.iter().any(DataType::is_floating);
    let wide = |data_type: &DataType| {
        data_type.is_decimal()
            || matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::UInt32 | DataType::UInt64)
    };
    // A DOUBLE and an integer already meet in DOUBLE.
    let real = types.iter().any(|data_type| matches!(data_type, DataType::Float32 | DataType::Float16));
    let decimal = types.iter().any(DataType::is_decimal);
    numeric && floating && (decimal || real && types.iter().any(wide))
}

/// The type that these have in common where DataFusion takes one that loses values: DOUBLE, or, for times of several units and
/// dates, the finest unit that is there.
pub(super) fn meet(types: &[DataType]) -> Option<DataType> {
    if meet_in_double(types) {
        return Some(DataType::Float64);
    }
    let mut known: Vec<&DataType> = types.iter().filter(|data_type| !data_type.is_null()).collect();
    known.dedup();
    let mut finest: Option<(TimeUnit, &Option<Arc<str>>)> = None;
    for data_type in &known {
        match data_type {
            DataType::Date32 => {}
            DataType::Timestamp(unit, zone) => match finest {
                // Local times and instants have nothing in common.
                Some((_, other)) if other.is_some() != zone.is_some() => return None,
                Some((other, _)) if times::per_second(&other) >= times::per_second(unit) => {}
                _ => finest = Some((*unit, zone)),
            },
            _ => return None,
        }
    }
    let (unit, zone) = finest.filter(|_| known.len() > 1)?;
    Some(DataType::Timestamp(unit, zone.clone()))
}

pub(super) fn as_type(expr: Expr, wanted: &DataType, schema: &DFSchema) -> DfResult<Expr> {
    if *wanted == DataType::Float64 {
        return as_double(expr, schema);
    }
    let data_type = expr.get_type(schema)?;
    Ok(match data_type.is_null() || data_type == *wanted {
        true => expr,
        false => Expr::Cast(Cast::new(Box::new(expr), wanted.clone())),
    })
}

/// A number that is the same as a REAL: what is compared with it need not become a DOUBLE.
pub(super) fn as_real(expr: &Expr) -> Option<Expr> {
    let Expr::Literal(value, metadata) = expr else { return None };
    if value.is_null() || !value.data_type().is_numeric() {
        return None;
    }
    // Of an integer or decimal all digits, so that both are the nearest ones.
    let text = value.to_string();
    let (double, real): (f64, f32) = (text.parse().ok()?, text.parse().ok()?);
    (f64::from(real) == double).then(|| Expr::Literal(ScalarValue::Float32(Some(real)), metadata.clone()))
}

/// The expression as a DOUBLE. A literal is read anew from its digits, so that it is the nearest one.
pub(super) fn as_double(expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
    if let Expr::Literal(value, metadata) = &expr
        && value.data_type().is_decimal()
    {
        let double = match value.is_null() {
            true => None,
            false => value.to_string().parse().ok(),
        };
        if value.is_null() || double.is_some() {
            return Ok(Expr::Literal(ScalarValue::Float64(double), metadata.clone()));
        }
    }
    let data_type = expr.get_type(schema)?;
    Ok(match data_type.is_null() || data_type == DataType::Float64 {
        true => expr,
        false => Expr::Cast(Cast::new(Box::new(expr), DataType::Float64)),
    })
}
