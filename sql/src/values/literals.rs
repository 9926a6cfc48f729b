//! Numbers as they are written: `8.20` is the decimal that it says, `8.2e0` is a DOUBLE.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Value,
};

use super::zones;
use crate::{Error, Position, Result};

/// Makes a number with an exponent a DOUBLE, which DataFusion would read as a decimal of up to 76 digits, and plans
/// `AT TIME ZONE` as our function.
pub(crate) fn rewrite_syntax(expr: &mut Expr) -> Result<()> {
    if let Expr::AtTimeZone { timestamp, time_zone } = expr {
        let args = [std::mem::replace(timestamp.as_mut(), null()), std::mem::replace(time_zone.as_mut(), null())];
        *expr = call(zones::NAME, args);
        return Ok(());
    }
    let Expr::Value(value) = expr else { return Ok(()) };
    let Value::Number(text, _) = &value.value else { return Ok(()) };
    if !text.contains(['e', 'E']) {
        return Ok(());
    }
    let number: f64 = text.replace('_', "").parse().unwrap_or(f64::NAN);
    if !number.is_finite() {
        let message = format!("the number {text} is out of range for DOUBLE");
        return Err(Error::Invalid { message, position: Position::of(value.span) });
    }
    let mut text = value.clone();
    text.value = Value::SingleQuotedString(format!("{number:e}"));
    *expr = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(text)),
        data_type: DataType::Double(ExactNumberInfo::None),
        array: false,
        format: None,
    };
    Ok(())
}

fn null() -> Expr {
    Expr::value(Value::Null)
}

fn call(name: &str, args: [Expr; 2]) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
