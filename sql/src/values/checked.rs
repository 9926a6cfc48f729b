//! After types are coerced: casts that are checked, and one NaN wherever values are compared.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Cast, Distinct, Expr, ExprSchemable, GroupingSet, Join, LogicalPlan, LogicalPlanBuilder,
    TryCast,
};
use datafusion::optimizer::AnalyzerRule;

use super::nan::with_one_nan;
use super::plans::rewrite_plan;
use super::times::with_seconds;
use super::{casts, is_comparison};

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
        Expr::Cast(cast) => rewrite_cast(cast, schema),
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
        Expr::InSubquery(mut membership) => {
            let changed =
                one_nan(&mut membership.expr, schema)? | columns_with_one_nan(&mut membership.subquery.subquery)?;
            Ok(done(Expr::InSubquery(membership), changed))
        }
        Expr::SetComparison(mut comparison) => {
            let changed =
                one_nan(&mut comparison.expr, schema)? | columns_with_one_nan(&mut comparison.subquery.subquery)?;
            Ok(done(Expr::SetComparison(comparison), changed))
        }
        Expr::ScalarFunction(mut call) if compares(call.func.name()) => {
            let mut changed = false;
            for arg in &mut call.args {
                changed |= one_nan(arg, schema)?;
            }
            Ok(done(Expr::ScalarFunction(call), changed))
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

fn rewrite_cast(Cast { expr, field }: Cast, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr.as_ref()
        && matches!(field.data_type(), DataType::Timestamp(..))
        && let Cow::Owned(text) = with_seconds(text)
    {
        let expr = Box::new(Expr::Literal(ScalarValue::Utf8(Some(text)), None));
        return Ok(Transformed::yes(Expr::Cast(Cast { expr, field })));
    }
    Ok(match casts::is_ours(&expr.get_type(schema)?, field.data_type()) {
        true => Transformed::yes(casts::cast(*expr, field.data_type().clone(), false)),
        false => Transformed::no(Expr::Cast(Cast { expr, field })),
    })
}

fn rewrite_binary(binary: BinaryExpr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let BinaryExpr { mut left, op, mut right } = binary;
    if !is_comparison(op) {
        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
    }
    let changed = one_nan(&mut left, schema)? | one_nan(&mut right, schema)?;
    Ok(done(Expr::BinaryExpr(BinaryExpr { left, op, right }), changed))
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
        LogicalPlan::Distinct(Distinct::All(mut input)) => {
            let changed = columns_with_one_nan(&mut input)?;
            Ok(step(LogicalPlan::Distinct(Distinct::All(input)), changed))
        }
        LogicalPlan::Distinct(Distinct::On(mut distinct)) => {
            let schema = Arc::clone(distinct.input.schema());
            let mut changed = false;
            for expr in &mut distinct.on_expr {
                changed |= one_nan(expr, &schema)?;
            }
            // They begin with what the rows are told apart by, and have to do so still.
            for key in distinct.sort_expr.iter_mut().flatten() {
                changed |= one_nan(&mut key.expr, &schema)?;
            }
            Ok(step(LogicalPlan::Distinct(Distinct::On(distinct)), changed))
        }
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

/// Puts a step upon a plan that gives all of its columns with one NaN, if that is needed.
fn columns_with_one_nan(input: &mut Arc<LogicalPlan>) -> DfResult<bool> {
    let schema = Arc::clone(input.schema());
    let mut columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let mut changed = false;
    for column in &mut columns {
        changed |= group_with_one_nan(column, &schema)?;
    }
    if changed {
        *input = Arc::new(LogicalPlanBuilder::from(input.as_ref().clone()).project(columns)?.build()?);
    }
    Ok(changed)
}

/// Functions that tell values apart.
fn compares(function: &str) -> bool {
    matches!(function, "nullif" | "greatest" | "least")
        || function.starts_with("array_")
        || function.starts_with("list_")
}

/// As [`one_nan`], and the column keeps its name.
fn group_with_one_nan(expr: &mut Expr, schema: &DFSchema) -> DfResult<bool> {
    if let Expr::GroupingSet(sets) = expr {
        let exprs: Vec<&mut Expr> = match sets {
            GroupingSet::Rollup(exprs) | GroupingSet::Cube(exprs) => exprs.iter_mut().collect(),
            GroupingSet::GroupingSets(sets) => sets.iter_mut().flatten().collect(),
        };
        let mut changed = false;
        for expr in exprs {
            changed |= group_with_one_nan(expr, schema)?;
        }
        return Ok(changed);
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
