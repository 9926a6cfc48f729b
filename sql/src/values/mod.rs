//! What values are in SQL: a result that does not fit its type is an error, never another value.
//!
//! DataFusion wraps integers, reads `8.20` as a DOUBLE, brings decimals and doubles together as decimals, cuts times before
//! 1970 upwards and knows several NaNs. This room is the one place where that is otherwise, for queries, topics and INSERT
//! alike: [`literals`] work on the syntax tree, [`settings`] and [`install`] set DataFusion up, and rules of its analyser see
//! every plan, [`common_type`] before types are coerced and [`checked`] afterwards.

mod arithmetic;
mod casts;
mod checked;
mod common_type;
mod like;
mod literals;
mod names;
mod nan;
mod plans;
mod sum;
mod times;
mod zones;

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{AggregateUDF, Cast, Expr, Operator};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::sql::planner::ParserOptions;

pub(crate) use literals::rewrite_syntax;

/// Literals with a point are decimals.
pub(crate) fn settings(config: &mut ConfigOptions) {
    config.sql_parser.parse_float_as_decimal = true;
}

/// The same for a planner that has no session.
pub(crate) fn parser_options() -> ParserOptions {
    ParserOptions::new().with_parse_float_as_decimal(true)
}

/// Puts the rules and functions of this room into a session.
pub(crate) fn install(builder: SessionStateBuilder) -> SessionStateBuilder {
    let rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![
        Arc::new(ResolveGroupingFunction::new()),
        Arc::new(common_type::CommonType),
        Arc::new(TypeCoercion::new()),
        Arc::new(checked::Checked),
    ];
    let mut builder = builder.with_analyzer_rules(rules);
    // Later ones take the place of those of the same name.
    let scalar = [zones::function(), like::function(), arithmetic::abs()];
    builder.scalar_functions().get_or_insert_default().extend(scalar.map(Arc::new));
    let sum = AggregateUDF::new_from_impl(sum::ExactSum::default());
    builder.aggregate_functions().get_or_insert_default().push(Arc::new(sum));
    builder
}

/// A cast after types are coerced.
pub(crate) fn cast(expr: Expr, from: &DataType, to: &DataType) -> Expr {
    match casts::is_ours(from, to) {
        true => casts::cast(expr, to.clone(), false),
        false => Expr::Cast(Cast::new(Box::new(expr), to.clone())),
    }
}

/// The expression as it was written, for people: with plain operators and casts where the rules have put functions.
pub(crate) fn written(expr: Expr) -> Expr {
    let plain = expr.clone().transform_up(|node| {
        let Expr::ScalarFunction(call) = &node else { return Ok(Transformed::no(node)) };
        let function: &dyn Any = call.func.inner().as_ref();
        let found = arithmetic::written(function, &call.args)
            .or_else(|| casts::written(function, &call.args))
            .or_else(|| nan::written(function, &call.args));
        Ok(found.map_or_else(|| Transformed::no(node.clone()), Transformed::yes))
    });
    plain.map_or(expr, |plain| plain.data)
}

/// Whether an operator compares two values of one type.
fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}
