//! A window call as it is written.

use arrow::compute::kernels::cast_utils::{IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Interval, ObjectName, ObjectNamePart,
    Query, Spanned, TableAlias, TableFactor, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::spec::{WindowKind, WindowSpec};
use crate::names::fold;
use crate::{Error, Position, Result};

const US_PER_DAY: i64 = 86_400_000_000;
/// Windows that one row may be in: it is repeated for each of them.
const MAX_WINDOWS: i64 = 2_000;

/// `TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)` and its like.
#[derive(Debug, Clone)]
pub(crate) struct WindowCall {
    pub(crate) source: Source,
    /// The column that has the time.
    pub(crate) time: Ident,
    pub(crate) spec: WindowSpec,
    pub(crate) alias: Option<TableAlias>,
    /// Of its name.
    pub(crate) span: Span,
}

/// What is parted into windows.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Table(ObjectName),
    Query(Box<Query>),
}

/// What a function takes beside the table and its time.
fn parameters(kind: WindowKind) -> &'static [&'static str] {
    match kind {
        WindowKind::Tumble => &["data", "timecol", "size", "offset"],
        WindowKind::Hop => &["data", "timecol", "slide", "size", "offset"],
        WindowKind::Cumulate => &["data", "timecol", "step", "size", "offset"],
    }
}

fn usage(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Tumble => "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE [, offset])",
        WindowKind::Hop => {
            "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '20' SECOND, INTERVAL '1' MINUTE [, offset]): slide, then size"
        }
        WindowKind::Cumulate => {
            "CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' DAY [, offset]): step, then size"
        }
    }
}

/// Whether a relation is a call, by its name.
fn kind_of(name: &ObjectName) -> Result<Option<WindowKind>> {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return Ok(None) };
    Ok(match fold(ident).as_str() {
        "tumble" => Some(WindowKind::Tumble),
        "hop" => Some(WindowKind::Hop),
        "cumulate" => Some(WindowKind::Cumulate),
        "session" => {
            let message = "SESSION is refused: windows that grow with their rows are not offered; TUMBLE, HOP and CUMULATE are, \
                           and in a query lag() and sum() OVER (PARTITION BY …) find the gaps";
            return Err(Error::Unsupported { message: message.to_owned(), position: Position::of(ident.span) });
        }
        _ => None,
    })
}

impl WindowCall {
    /// The call that a relation is; `None` if it is something else.
    pub(crate) fn of(factor: &TableFactor) -> Result<Option<WindowCall>> {
        let (name, args, alias) = match factor {
            TableFactor::Table { name, args: Some(args), alias, .. } => (name, args.args.as_slice(), alias),
            // `TABLE(TUMBLE(…))`.
            TableFactor::TableFunction { expr: Expr::Function(function), alias } => match &function.args {
                FunctionArguments::List(list) => (&function.name, list.args.as_slice(), alias),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        match kind_of(name)? {
            Some(kind) => read(kind, name, args, alias.clone()).map(Some),
            None => Ok(None),
        }
    }
}

fn read(kind: WindowKind, name: &ObjectName, args: &[FunctionArg], alias: Option<TableAlias>) -> Result<WindowCall> {
    let span = name.span();
    let invalid = |message: String, span: Span| Error::Invalid { message, position: Position::of(span) };
    let mut taken: Vec<Option<&Expr>> = vec![None; parameters(kind).len()];
    for (index, arg) in args.iter().enumerate() {
        let (place, arg, at) = match arg {
            FunctionArg::Unnamed(arg) => (index, arg, span),
            FunctionArg::Named { name, arg, .. } => {
                let known = parameters(kind).iter().position(|known| *known == fold(name));
                let wrong =
                    || invalid(format!("{} has no argument {name}; it takes {}", kind.name(), usage(kind)), name.span);
                (known.ok_or_else(wrong)?, arg, name.span)
            }
            other => return Err(invalid(format!("{other} can't be an argument of {}", usage(kind)), span)),
        };
        let FunctionArgExpr::Expr(expr) = arg else {
            return Err(invalid(format!("{arg} can't be an argument of {}", usage(kind)), at));
        };
        match taken.get_mut(place) {
            Some(free @ None) => *free = Some(expr),
            Some(Some(_)) => return Err(invalid(format!("an argument is given twice: it is {}", usage(kind)), at)),
            None => return Err(invalid(format!("there is an argument too many: it is {}", usage(kind)), expr.span())),
        }
    }
    let mut taken = parameters(kind).iter().zip(taken);
    let mut next = || taken.next().map_or(("", None), |(name, expr)| (*name, expr));
    let missing = |what: &str| invalid(format!("{what} is missing: it is {}", usage(kind)), span);
    let source = source(next().1.ok_or_else(|| missing("the table"))?, kind)?;
    let time = descriptor(next().1.ok_or_else(|| missing("DESCRIPTOR(column)"))?, kind)?;
    let mut length = || {
        let (what, expr) = next();
        positive(expr.ok_or_else(|| missing(what))?, what, kind)
    };
    let (step, size, size_at) = match kind {
        WindowKind::Tumble => {
            let (size, at) = length()?;
            (size, size, at)
        }
        WindowKind::Hop | WindowKind::Cumulate => {
            let (step, _) = length()?;
            let (size, at) = length()?;
            (step, size, at)
        }
    };
    let offset = next().1.map_or(Ok(0), |expr| interval_us(expr, "offset", kind))?;
    let spec = WindowSpec { kind, size, step, offset: offset % if kind == WindowKind::Hop { step } else { size } };
    if kind == WindowKind::Cumulate && size % step != 0 {
        return Err(invalid("the size of CUMULATE is a whole number of its steps".to_owned(), size_at));
    }
    if spec.windows_per_time() > MAX_WINDOWS {
        let message =
            format!("each row would be in {} windows, and {MAX_WINDOWS} are the limit", spec.windows_per_time());
        return Err(invalid(message, size_at));
    }
    Ok(WindowCall { source, time, spec, alias, span })
}

fn source(expr: &Expr, kind: WindowKind) -> Result<Source> {
    match expr {
        Expr::Identifier(ident) => Ok(Source::Table(ObjectName::from(ident.clone()))),
        Expr::CompoundIdentifier(parts) => Ok(Source::Table(ObjectName::from(parts.clone()))),
        Expr::Subquery(query) => Ok(Source::Query(query.clone())),
        other => Err(Error::Invalid {
            message: format!("{} takes a table, a topic or a sub-query: it is {}", kind.name(), usage(kind)),
            position: Position::of(other.span()),
        }),
    }
}

fn descriptor(expr: &Expr, kind: WindowKind) -> Result<Ident> {
    if let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr
        && let [ObjectNamePart::Identifier(ident)] = name.0.as_slice()
        && fold(ident) == "descriptor"
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(column)))] = list.args.as_slice()
    {
        return Ok(column.clone());
    }
    Err(Error::Invalid {
        message: format!("the time is written DESCRIPTOR(column): it is {}", usage(kind)),
        position: Position::of(expr.span()),
    })
}

/// A length in µs, and where it stands.
fn positive(expr: &Expr, what: &str, kind: WindowKind) -> Result<(i64, Span)> {
    match interval_us(expr, what, kind)? {
        us if us > 0 => Ok((us, expr.span())),
        _ => Err(Error::Invalid {
            message: format!("the {what} of {} is longer than nothing", kind.name()),
            position: Position::of(expr.span()),
        }),
    }
}

fn interval_us(expr: &Expr, what: &str, kind: WindowKind) -> Result<i64> {
    let invalid = |message: String| Error::Invalid { message, position: Position::of(expr.span()) };
    let parsed = match text_of(expr, false) {
        Some(text) => parse_interval_month_day_nano_config(&text, IntervalParseConfig::new(IntervalUnit::Second)).ok(),
        None => None,
    };
    let Some(parsed) = parsed else {
        return Err(invalid(format!("the {what} of {} is an interval such as INTERVAL '1' MINUTE", kind.name())));
    };
    if parsed.months != 0 {
        return Err(invalid(format!(
            "the {what} of {} is of one length: months and years are not; group by date_trunc('month', ts) instead",
            kind.name()
        )));
    }
    if parsed.nanoseconds % 1000 != 0 {
        return Err(invalid(format!("the {what} of {} is a whole number of microseconds", kind.name())));
    }
    i64::from(parsed.days)
        .checked_mul(US_PER_DAY)
        .and_then(|us| us.checked_add(parsed.nanoseconds / 1000))
        .ok_or_else(|| invalid(format!("the {what} of {} is too long", kind.name())))
}

/// What is in an interval literal, in words.
fn text_of(expr: &Expr, negative: bool) -> Option<String> {
    match expr {
        Expr::Interval(Interval {
            value,
            leading_field,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }) => {
            let value = text_of(value, negative)?;
            Some(leading_field.as_ref().map_or(value.clone(), |unit| format!("{value} {unit}")))
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => text_of(expr, !negative),
        Expr::Value(value) => {
            let text = match &value.value {
                Value::SingleQuotedString(text) | Value::Number(text, false) => text,
                _ => return None,
            };
            Some(if negative { format!("-{text}") } else { text.clone() })
        }
        _ => None,
    }
}
