//! After types are coerced: arithmetic and casts that are checked, and one NaN wherever values are compared.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Cast, Distinct, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator,
    TryCast,
};
use datafusion::optimizer::AnalyzerRule;

use super::nan::with_one_nan;
use super::plans::rewrite_plan;
use super::{arithmetic, casts, is_comparison};

/// See the module.
#[derive(Debug)]
pub(super) struct Checked;

impl AnalyzerRule for Checked {
    fn name(&self) -> &str {
        "checked_values"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        rewrite_plan(plan, &rewrite, &finish)
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) => rewrite_binary(binary, schema),
        Expr::Negative(operand) => match operand.get_type(schema)? {
            data_type if data_type.is_floating() || data_type.is_null() => Ok(Transformed::no(Expr::Negative(operand))),
            _ => Ok(Transformed::yes(arithmetic::negative(*operand))),
        },
        Expr::Cast(Cast { expr, field }) => match casts::is_ours(&expr.get_type(schema)?, field.data_type()) {
            true => Ok(Transformed::yes(casts::cast(*expr, field.data_type().clone(), false))),
            false => Ok(Transformed::no(Expr::Cast(Cast { expr, field }))),
        },
        Expr::TryCast(TryCast { expr, field }) => match casts::is_ours(&expr.get_type(schema)?, field.data_type()) {
            true => Ok(Transformed::yes(casts::cast(*expr, field.data_type().clone(), true))),
            false => Ok(Transformed::no(Expr::TryCast(TryCast { expr, field }))),
        },
        Expr::InList(mut list) => {
            let mut changed = one_nan(&mut list.expr, schema)?;
            for item in &mut list.list {
                changed |= one_nan(item, schema)?;
            }
            Ok(done(Expr::InList(list), changed))
        }
        Expr::Between(mut between) => {
            let changed = one_nan(&mut between.expr, schema)?
                | one_nan(&mut between.low, schema)?
                | one_nan(&mut between.high, schema)?;
            Ok(done(Expr::Between(between), changed))
        }
        Expr::Case(mut case) => {
            let Some(base) = &mut case.expr else { return Ok(Transformed::no(Expr::Case(case))) };
            let mut changed = one_nan(base, schema)?;
            for (when, _) in &mut case.when_then_expr {
                changed |= one_nan(when, schema)?;
            }
            Ok(done(Expr::Case(case), changed))
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            let mut changed = false;
            for arg in &mut params.args {
                changed |= one_nan(arg, schema)?;
            }
            for sort in &mut params.order_by {
                changed |= one_nan(&mut sort.expr, schema)?;
            }
            Ok(done(Expr::AggregateFunction(AggregateFunction { func, params }), changed))
        }
        Expr::WindowFunction(mut window) => {
            let changed = rewrite_window(&mut window, schema)?;
            Ok(done(Expr::WindowFunction(window), changed))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn rewrite_binary(binary: BinaryExpr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let BinaryExpr { mut left, op, mut right } = binary;
    match op {
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            let types = [left.get_type(schema)?, right.get_type(schema)?];
            match types.iter().all(is_checked) && !is_date_difference(&types) {
                true => Ok(Transformed::yes(arithmetic::binary(*left, op, *right))),
                false => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        op if is_comparison(op) => {
            let changed = one_nan(&mut left, schema)? | one_nan(&mut right, schema)?;
            Ok(done(Expr::BinaryExpr(BinaryExpr { left, op, right }), changed))
        }
        op => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
    }
}

fn rewrite_window(window: &mut WindowFunction, schema: &DFSchema) -> DfResult<bool> {
    let mut changed = false;
    for expr in window.params.args.iter_mut().chain(&mut window.params.partition_by) {
        changed |= one_nan(expr, schema)?;
    }
    for sort in &mut window.params.order_by {
        changed |= one_nan(&mut sort.expr, schema)?;
    }
    Ok(changed)
}

/// Floats have infinities where others overflow; times of day go round the clock.
fn is_checked(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_decimal()
        || matches!(
            data_type,
            DataType::Date32
                | DataType::Date64
                | DataType::Timestamp(..)
                | DataType::Duration(_)
                | DataType::Interval(_)
        )
}

/// Days between dates are DataFusion's own, and always fit.
fn is_date_difference(types: &[DataType; 2]) -> bool {
    types.iter().all(|data_type| matches!(data_type, DataType::Date32 | DataType::Date64))
}

/// Steps that compare whole columns: what they group, sort, join and tell apart by.
fn finish(plan: LogicalPlan) -> DfResult<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let schema = Arc::clone(aggregate.input.schema());
            let mut groups = aggregate.group_expr.clone();
            let mut changed = false;
            for group in &mut groups {
                changed |= group_with_one_nan(group, &schema)?;
            }
            if !changed {
                return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
            }
            let aggregate = Aggregate::try_new(aggregate.input, groups, aggregate.aggr_expr)?;
            Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
        }
        LogicalPlan::Sort(mut sort) => {
            let schema = Arc::clone(sort.input.schema());
            let mut changed = false;
            for key in &mut sort.expr {
                changed |= one_nan(&mut key.expr, &schema)?;
            }
            Ok(step(LogicalPlan::Sort(sort), changed))
        }
        LogicalPlan::Join(join) => finish_join(join),
        LogicalPlan::Distinct(Distinct::All(input)) => finish_distinct(input),
        other => Ok(Transformed::no(other)),
    }
}

fn finish_join(mut join: Join) -> DfResult<Transformed<LogicalPlan>> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        changed |= one_nan(left, join.left.schema())?;
        changed |= one_nan(right, join.right.schema())?;
    }
    Ok(step(LogicalPlan::Join(join), changed))
}

fn finish_distinct(input: Arc<LogicalPlan>) -> DfResult<Transformed<LogicalPlan>> {
    let schema = Arc::clone(input.schema());
    let mut columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let mut changed = false;
    for column in &mut columns {
        changed |= group_with_one_nan(column, &schema)?;
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::All(input))));
    }
    let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(columns)?.build()?;
    Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::All(Arc::new(input)))))
}

/// As [`one_nan`], and the column keeps its name.
fn group_with_one_nan(expr: &mut Expr, schema: &DFSchema) -> DfResult<bool> {
    if let Expr::GroupingSet(_) = expr {
        return Ok(false);
    }
    let (relation, name) = expr.qualified_name();
    let changed = one_nan(expr, schema)?;
    if changed {
        *expr = std::mem::take(expr).alias_qualified(relation, name);
    }
    Ok(changed)
}

fn one_nan(expr: &mut Expr, schema: &DFSchema) -> DfResult<bool> {
    let replaced = with_one_nan(expr, schema)?;
    Ok(match replaced {
        Some(other) => {
            *expr = other;
            true
        }
        None => false,
    })
}

fn done(expr: Expr, changed: bool) -> Transformed<Expr> {
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}

fn step(plan: LogicalPlan, changed: bool) -> Transformed<LogicalPlan> {
    if changed { Transformed::yes(plan) } else { Transformed::no(plan) }
}
