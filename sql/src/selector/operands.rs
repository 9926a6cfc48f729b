//! Which operands go together: what Apache's parser refuses is refused here.

use super::condition::{Condition, Constant, Operand, Order};
use super::value::{Value, compare};
use crate::{Error, Position, Result};

pub(super) fn invalid(message: impl Into<String>, position: Position) -> Error {
    Error::Invalid { message: message.into(), position: Some(position) }
}

/// An operand where a condition is wanted.
pub(super) fn condition(operand: Operand, position: Position) -> Result<Condition> {
    match operand {
        Operand::Condition(condition) => Ok(*condition),
        Operand::Property(property) => Ok(Condition::Property(property)),
        Operand::Constant(Constant::Null) => Ok(Condition::Constant(None)),
        Operand::Constant(Constant::Bool(truth)) => Ok(Condition::Constant(Some(truth))),
        Operand::Constant(_) | Operand::Negated(_) => {
            Err(invalid("a condition is wanted here, and this is a value", position))
        }
    }
}

pub(super) fn negated_if(negated: bool, condition: Condition) -> Operand {
    Operand::Condition(Box::new(if negated { Condition::Not(Box::new(condition)) } else { condition }))
}

pub(super) fn equal(left: Operand, right: Operand, position: Position) -> Result<Condition> {
    let null = Operand::Constant(Constant::Null);
    if left == null || right == null {
        return Err(invalid("nothing is equal to NULL; IS NULL asks for it", position));
    }
    match (&left, &right) {
        (Operand::Constant(Constant::Bool(_)), Operand::Constant(other)) if !matches!(other, Constant::Bool(_)) => {
            Err(invalid("a truth value can't be compared with this", position))
        }
        _ => Ok(Condition::Equal(left, right)),
    }
}

pub(super) fn order(order: Order, left: Operand, right: Operand, position: Position) -> Result<Condition> {
    for operand in [&left, &right] {
        match operand {
            Operand::Constant(Constant::Int(_) | Constant::Long(_) | Constant::Double(_)) => {}
            Operand::Constant(_) | Operand::Condition(_) => {
                return Err(invalid(
                    "<, <=, >, >= and BETWEEN compare numbers and properties that are numbers",
                    position,
                ));
            }
            Operand::Property(_) | Operand::Negated(_) => {}
        }
    }
    Ok(Condition::Order(order, left, right))
}

pub(super) fn between(
    value: Operand,
    (low, high): (Operand, Operand),
    negated: bool,
    position: Position,
) -> Result<Condition> {
    let null = Operand::Constant(Constant::Null);
    if let (Operand::Constant(low), Operand::Constant(high), false) =
        (&low, &high, negated || low == null || high == null)
        && compare(high.value(), low.value()).is_ok_and(std::cmp::Ordering::is_lt)
    {
        return Err(invalid("BETWEEN takes the smaller value first", position));
    }
    Ok(match negated {
        false => Condition::All(vec![
            order(Order::GreaterOrEqual, value.clone(), low, position)?,
            order(Order::LessOrEqual, value, high, position)?,
        ]),
        true => Condition::Any(vec![
            order(Order::Less, value.clone(), low, position)?,
            order(Order::Greater, value, high, position)?,
        ]),
    })
}

/// Digits, perhaps with an L behind them. What fits is an Int, as in Java.
pub(super) fn whole(text: &str, position: Position) -> Result<Constant> {
    let digits = text.trim_end_matches(['l', 'L']);
    let value: i64 = digits.parse().map_err(|_| invalid(format!("{text} is above {}", i64::MAX), position))?;
    Ok(i32::try_from(value).map_or(Constant::Long(value), Constant::Int))
}

pub(super) fn real(text: &str, position: Position) -> Result<Constant> {
    let refused = || invalid(format!("{text:.40} is no number that a DOUBLE holds"), position);
    let value: f64 = text.parse().map_err(|_| refused())?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or("");
    let is_zero = !mantissa.contains(|digit: char| ('1'..='9').contains(&digit));
    if value.is_infinite() || (value == 0.0 && !is_zero) {
        return Err(refused());
    }
    Ok(Constant::Double(value))
}

/// A number with a minus before it.
pub(super) fn negative(constant: Constant) -> Option<Constant> {
    match constant {
        Constant::Int(value) => Some(Constant::Int(-value)),
        Constant::Long(value) => Some(Constant::Long(-value)),
        Constant::Double(value) => Some(Constant::Double(-value)),
        Constant::Null | Constant::Text(_) | Constant::Bool(_) => None,
    }
}

impl Constant {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Constant::Null => Value::Null,
            Constant::Text(text) => Value::Text(text),
            Constant::Int(value) => Value::Int(*value),
            Constant::Long(value) => Value::Long(*value),
            Constant::Double(value) => Value::Double(*value),
            Constant::Bool(value) => Value::Bool(*value),
        }
    }
}
