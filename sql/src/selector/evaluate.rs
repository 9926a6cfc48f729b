//! Conditions over batches: part by part, each over the rows that those before it have left open.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use millstream_engine::OperatorError;

use super::call::Call;
use super::columns::Column;
use super::condition::{Condition, Operand, Order, Part};
use super::value::{Failure, Value, compare, order};

/// What a condition is for one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    No,
    Yes,
    Null,
    /// There is no answer, which nothing that stands further right can mend.
    Failed,
}

impl Truth {
    pub(super) fn of(truth: Option<bool>) -> Truth {
        match truth {
            None => Truth::Null,
            Some(false) => Truth::No,
            Some(true) => Truth::Yes,
        }
    }

    fn value(self) -> Result<Value<'static>, Failure> {
        match self {
            Truth::No => Ok(Value::Bool(false)),
            Truth::Yes => Ok(Value::Bool(true)),
            Truth::Null => Ok(Value::Null),
            Truth::Failed => Err(Failure::Earlier),
        }
    }
}

/// One evaluation.
pub(super) struct Evaluation<'a> {
    pub(super) batch: &'a RecordBatch,
    pub(super) columns: &'a [Column<'a>],
    pub(super) calls: &'a [Call],
    /// Rows on which something failed, and what. Only the first ones: there may be many.
    pub(super) failed: Vec<(u32, Failure)>,
}

/// An operand for some rows.
enum Ready<'o> {
    Column(&'o Column<'o>),
    Value(Value<'o>),
    Truths(Vec<Truth>),
    Negated(Box<Ready<'o>>),
}

impl<'a> Evaluation<'a> {
    /// What a condition is for each of these rows; where `only_yes` matters, plugins are not asked whether null
    /// is false.
    pub(super) fn truths(
        &mut self,
        condition: &'a Condition,
        rows: &[u32],
        only_yes: bool,
    ) -> Result<Vec<Truth>, OperatorError> {
        match condition {
            Condition::Constant(truth) => Ok(vec![Truth::of(*truth); rows.len()]),
            Condition::All(parts) => self.joined(parts, Truth::No, rows, only_yes),
            Condition::Any(parts) => self.joined(parts, Truth::Yes, rows, only_yes),
            Condition::Not(of) => {
                let mut truths = self.truths(of, rows, false)?;
                for truth in &mut truths {
                    *truth = match *truth {
                        Truth::No => Truth::Yes,
                        Truth::Yes => Truth::No,
                        other => other,
                    };
                }
                Ok(truths)
            }
            Condition::Property(property) => {
                let columns = self.columns;
                let is_there = |row: &u32| columns.get(*property).and_then(|column| column.get(*row)).is_some();
                Ok(rows.iter().map(|row| if is_there(row) { Truth::No } else { Truth::Null }).collect())
            }
            Condition::Equal(left, right) => {
                let (left, right) = (self.ready(left, rows)?, self.ready(right, rows)?);
                Ok(self.each(rows, |at, row| equal(left.at(at, row)?, right.at(at, row)?)))
            }
            Condition::Order(wanted, left, right) => {
                let (left, right) = (self.ready(left, rows)?, self.ready(right, rows)?);
                Ok(self.each(rows, |at, row| match left.at(at, row)? {
                    Value::Null => Ok(Truth::Null),
                    left => match right.at(at, row)? {
                        Value::Null => Ok(Truth::Null),
                        right => Ok(Truth::of(Some(wanted.holds(order(left, right)?)))),
                    },
                }))
            }
            Condition::In { property, texts, negated } => {
                let columns = self.columns;
                let is_one = |text: &str| texts.binary_search_by(|known| known.as_str().cmp(text)).is_ok();
                let found = |row: &u32| columns.get(*property).and_then(|column| column.get(*row));
                Ok(rows.iter().map(|row| Truth::of(found(row).map(|text| is_one(text) != *negated))).collect())
            }
            Condition::Part { part, of, text, negated } => {
                let of = self.ready(of, rows)?;
                Ok(self.each(rows, |at, row| {
                    let is = match of.at(at, row)? {
                        // An empty text is part of none, and is missing from none.
                        Value::Text(whole) if !text.is_empty() => part.is_in(whole, text) != *negated,
                        _ => false,
                    };
                    Ok(Truth::of(Some(is)))
                }))
            }
            Condition::Call(call) => match self.calls.get(*call) {
                Some(call) => call.ask(self.batch, self.columns, rows, &mut self.failed),
                None => Ok(vec![Truth::Failed; rows.len()]),
            },
        }
    }

    /// Conditions one after the other; what is `decided` by one, or has failed, is not looked at by the next.
    fn joined(
        &mut self,
        parts: &'a [Condition],
        decided: Truth,
        rows: &[u32],
        only_yes: bool,
    ) -> Result<Vec<Truth>, OperatorError> {
        let mut truths = vec![if decided == Truth::No { Truth::Yes } else { Truth::No }; rows.len()];
        let mut open: Vec<usize> = (0..rows.len()).collect();
        let mut open_rows = rows.to_vec();
        for part in parts {
            if only_yes && decided == Truth::No && part.calls_plugin() {
                // What is null can't become true any more: a plugin need not be asked.
                (open, open_rows) =
                    open.into_iter().zip(open_rows).filter(|(at, _)| truths[*at] != Truth::Null).unzip();
            }
            if open.is_empty() {
                break;
            }
            let found = self.truths(part, &open_rows, only_yes)?;
            let mut left = 0;
            for (index, found) in found.into_iter().enumerate() {
                let at = open[index];
                if found == decided || found == Truth::Failed {
                    truths[at] = found;
                    continue;
                }
                if found == Truth::Null {
                    truths[at] = Truth::Null;
                }
                (open[left], open_rows[left]) = (at, open_rows[index]);
                left += 1;
            }
            open.truncate(left);
            open_rows.truncate(left);
        }
        Ok(truths)
    }

    fn ready<'o>(&mut self, operand: &'a Operand, rows: &[u32]) -> Result<Ready<'o>, OperatorError>
    where
        'a: 'o,
    {
        Ok(match operand {
            Operand::Property(property) => match self.columns.get(*property) {
                Some(column) => Ready::Column(column),
                None => Ready::Value(Value::Null),
            },
            Operand::Constant(constant) => Ready::Value(constant.value()),
            Operand::Negated(of) => Ready::Negated(Box::new(self.ready(of, rows)?)),
            Operand::Condition(condition) => Ready::Truths(self.truths(condition, rows, false)?),
        })
    }

    fn each(&mut self, rows: &[u32], answer: impl Fn(usize, u32) -> Result<Truth, Failure>) -> Vec<Truth> {
        let mut truths = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            truths.push(match answer(at, *row) {
                Ok(truth) => truth,
                Err(failure) => {
                    if self.failed.is_empty() && failure != Failure::Earlier {
                        self.failed.push((*row, failure));
                    }
                    Truth::Failed
                }
            });
        }
        truths
    }
}

impl Ready<'_> {
    fn at(&self, at: usize, row: u32) -> Result<Value<'_>, Failure> {
        match self {
            Ready::Column(column) => Ok(column.get(row).map_or(Value::Null, Value::Text)),
            Ready::Value(value) => Ok(*value),
            Ready::Truths(truths) => truths.get(at).copied().unwrap_or(Truth::Failed).value(),
            Ready::Negated(of) => Ok(match of.at(at, row)? {
                Value::Int(value) => Value::Int(value.wrapping_neg()),
                Value::Long(value) => Value::Long(value.wrapping_neg()),
                Value::Double(value) => Value::Double(-value),
                // Properties are texts, also those that look like numbers.
                Value::Null | Value::Text(_) | Value::Bool(_) => Value::Null,
            }),
        }
    }
}

/// Null is equal to null, and to nothing else: with null at the left there is no answer, at the right there is.
fn equal(left: Value<'_>, right: Value<'_>) -> Result<Truth, Failure> {
    match (left, right) {
        (Value::Null, Value::Null) => Ok(Truth::Yes),
        (Value::Null, _) => Ok(Truth::Null),
        (_, Value::Null) => Ok(Truth::No),
        _ => Ok(Truth::of(Some(compare(left, right)? == Ordering::Equal))),
    }
}

impl Order {
    fn holds(self, found: Ordering) -> bool {
        match self {
            Order::Less => found.is_lt(),
            Order::LessOrEqual => found.is_le(),
            Order::Greater => found.is_gt(),
            Order::GreaterOrEqual => found.is_ge(),
        }
    }
}

impl Part {
    fn is_in(self, whole: &str, text: &str) -> bool {
        match self {
            Part::Anywhere => whole.contains(text),
            Part::Start => whole.starts_with(text),
            Part::End => whole.ends_with(text),
        }
    }
}
