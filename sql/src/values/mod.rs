//! What values are in SQL: a result that does not fit its type is an error, never another value.
//!
//! DataFusion wraps integers, reads `8.20` as a DOUBLE, brings decimals and doubles together as decimals, cuts times before
//! 1970 upwards and knows several NaNs. This room is the one place where that is otherwise, for queries, topics and INSERT
//! alike: [`literals`] work on the syntax tree, [`settings`] and [`install`] set DataFusion up, and rules of its analyser see
//! every plan, [`common_type`] before types are coerced and [`checked`] afterwards. Arithmetic is checked last, in [`operators`];
//! [`arguments`] of table functions, which are folded before there is a plan, pass through the same rules.

mod arguments;
mod arithmetic;
mod casts;
mod checked;
mod common_type;
mod extremes;
mod floats;
mod like;
mod lists;
mod literals;
mod meet;
mod names;
mod nan;
mod operators;
mod plans;
mod sum;
mod times;
mod zones;

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{AggregateUDF, Cast, Expr, Operator, ReturnFieldArgs, ScalarUDFImpl};
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::sql::planner::ParserOptions;

pub(crate) use casts::convert;
pub(crate) use literals::rewrite_syntax;
use operators::Stage;

/// Literals with a point are decimals.
pub(crate) fn settings(config: &mut ConfigOptions) {
    config.sql_parser.parse_float_as_decimal = true;
}

/// The same for a planner that has no session.
pub(crate) fn parser_options() -> ParserOptions {
    ParserOptions::new().with_parse_float_as_decimal(true)
}

/// The rules that every plan is analysed by.
fn rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let [before, after] = own_rules();
    vec![Arc::new(ResolveGroupingFunction::new()), before, Arc::new(TypeCoercion::new()), after]
}

/// Those of this room: before types are coerced, and afterwards.
pub(crate) fn own_rules() -> [Arc<dyn AnalyzerRule + Send + Sync>; 2] {
    [Arc::new(common_type::CommonType), Arc::new(checked::Checked)]
}

/// Puts the rules and functions of this room into a session.
pub(crate) fn install(builder: SessionStateBuilder) -> SessionStateBuilder {
    let arguments = arguments::Arguments { analyzer: Analyzer::with_rules(rules()) };
    let builder = builder.with_relation_planners(vec![Arc::new(arguments)]);
    let builder = builder.with_analyzer_rules(rules()).with_optimizer_rules(operators::optimizer_rules());
    let mut builder = builder.with_query_planner(Arc::new(operators::CheckedPlanner));
    // Later ones take the place of those of the same name.
    let scalar = [zones::function(), like::function(), arithmetic::abs()];
    builder.scalar_functions().get_or_insert_default().extend(scalar.map(Arc::new));
    let sum = AggregateUDF::new_from_impl(sum::ExactSum::default());
    let aggregates = extremes::functions().into_iter().chain([sum]);
    builder.aggregate_functions().get_or_insert_default().extend(aggregates.map(Arc::new));
    builder
}

/// A cast after types are coerced.
pub(crate) fn cast(expr: Expr, from: &DataType, to: &DataType) -> Expr {
    match casts::is_ours(from, to) {
        true => casts::cast(expr, to.clone(), false),
        false => Expr::Cast(Cast::new(Box::new(expr), to.clone())),
    }
}

/// What `CAST(value AS to)` gives.
pub(crate) fn convert_value(value: &ScalarValue, to: &DataType) -> DfResult<ScalarValue> {
    ScalarValue::try_from_array(&convert(&value.to_array()?, to, false)?, 0)
}

/// The expression, whose types are coerced, ready to be evaluated: what may overflow in it is checked.
pub(crate) fn evaluable(expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
    operators::checked(expr, schema, Stage::Evaluation).map(|checked| checked.data)
}

/// Folds the constants of an expression; what fails to be computed stays as it is.
pub(crate) fn simplify(simplifier: &ExprSimplifier, expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
    let checked = operators::checked(expr, schema, Stage::Folding)?.data;
    operators::plain(simplifier.simplify(checked)?).map(|plain| plain.data)
}

/// The expression as it was written, for people: with plain casts where the rules have put functions.
pub(crate) fn written(expr: Expr) -> Expr {
    let plain = expr.clone().transform_up(|node| {
        let Expr::ScalarFunction(call) = &node else { return Ok(Transformed::no(node)) };
        let function: &dyn Any = call.func.inner().as_ref();
        let found = casts::written(function, &call.args).or_else(|| nan::written(function, &call.args));
        Ok(found.map_or_else(|| Transformed::no(node.clone()), Transformed::yes))
    });
    plain.map_or(expr, |plain| plain.data)
}

/// The field of a function that gives null for null, and for nothing else.
fn field_of(function: &dyn ScalarUDFImpl, args: &ReturnFieldArgs) -> DfResult<FieldRef> {
    let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
    let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
    Ok(Arc::new(Field::new(function.name(), function.return_type(&types)?, is_nullable)))
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

/// Whether an operator compares two values of one type.
fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}
