//! Where arithmetic is checked: plans keep the plain operators, whose names and types cost DataFusion nothing to ask for, and have
//! checked functions in their place wherever something is computed: while constants are folded, and once a plan is optimised. Then
//! casts that may fail give way, too, to those that say which value of which column does not fit, and comparisons of floating-point
//! numbers to those that know of NaN.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, TryCast};
use datafusion::optimizer::optimizer::Optimizer;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner as _};

use super::plans::schema_of;
use super::{arithmetic, casts, floats, is_arithmetic, lists, nan};

/// The rules of DataFusion that fold constants, by their names.
const FOLDING: [&str; 3] = ["simplify_expressions", "decorrelate_predicate_subquery", "scalar_subquery_to_join"];

/// DataFusion's rules; from the first to the last one that folds constants arithmetic is checked.
pub(super) fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let folds = |rule: &Arc<dyn OptimizerRule + Send + Sync>| FOLDING.contains(&rule.name());
    let (first, last) = (rules.iter().position(folds).unwrap_or(0), rules.iter().rposition(folds));
    rules.insert(last.map_or(rules.len(), |last| last + 1), Arc::new(Plain));
    rules.insert(first, Arc::new(Checked));
    rules
}

/// Puts checked functions in the place of arithmetic.
#[derive(Debug)]
struct Checked;

impl OptimizerRule for Checked {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> DfResult<Transformed<LogicalPlan>> {
        checked_plan(plan, Stage::Folding)
    }
}

/// Puts the operators back.
#[derive(Debug)]
struct Plain;

impl OptimizerRule for Plain {
    fn name(&self) -> &str {
        "plain_arithmetic"
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> DfResult<Transformed<LogicalPlan>> {
        plan.transform_up_with_subqueries(|step| step.map_expressions(plain))
    }
}

/// Makes physical plans of optimised ones.
#[derive(Debug)]
pub(super) struct CheckedPlanner;

#[async_trait]
impl QueryPlanner for CheckedPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let plan = checked_plan(plan.clone(), Stage::Evaluation)?.data;
        DefaultPhysicalPlanner::default().create_physical_plan(&plan, session).await
    }
}

/// What an expression is made ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Constants are folded, and [`plain`] follows.
    Folding,
    /// It will be evaluated as it is.
    Evaluation,
}

/// Columns keep their names: a checked function has that of its operator.
fn checked_plan(plan: LogicalPlan, stage: Stage) -> DfResult<Transformed<LogicalPlan>> {
    plan.transform_up_with_subqueries(|step| {
        let mut found = false;
        step.apply_expressions(|expr| {
            found = found || computes(expr, stage);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !found {
            return Ok(Transformed::no(step));
        }
        let schema = schema_of(&step)?;
        let names = NamePreserver::new(&step);
        step.map_expressions(|expr| {
            let name = names.save(&expr);
            checked(expr, &schema, stage).map(|checked| checked.update_data(|expr| name.restore(expr)))
        })
    })
}

fn computes(expr: &Expr, stage: Stage) -> bool {
    let is_one = |node: &Expr| match node {
        Expr::BinaryExpr(binary) => is_arithmetic(binary.op) || stage == Stage::Evaluation && knows_nan(binary),
        Expr::Negative(_) => true,
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => {
            stage == Stage::Evaluation || is_exact(field.data_type())
        }
        Expr::InList(_) => stage == Stage::Evaluation,
        _ => false,
    };
    expr.exists(|node| Ok(is_one(node))).unwrap_or(true)
}

/// Whether an operand is brought to one NaN.
fn knows_nan(binary: &BinaryExpr) -> bool {
    nan::is_done(&binary.left) || nan::is_done(&binary.right)
}

/// The expression with checked functions in the place of arithmetic that may fail. Its types are those after coercion.
pub(super) fn checked(expr: Expr, schema: &DFSchema, stage: Stage) -> DfResult<Transformed<Expr>> {
    if !computes(&expr, stage) {
        return Ok(Transformed::no(expr));
    }
    Ok(Transformed::yes(convert(expr, schema, stage)?.0))
}

/// As [`checked`], and of arithmetic the type, so that nobody has to ask for it anew at every level.
fn convert(expr: Expr, schema: &DFSchema, stage: Stage) -> DfResult<(Expr, Option<DataType>)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(op) => {
            let (left, left_type) = operand(*left, schema, stage)?;
            let (right, right_type) = operand(*right, schema, stage)?;
            let result = BinaryTypeCoercer::new(&left_type, &op, &right_type).get_result_type()?;
            let types = [left_type, right_type];
            let expr = match types.iter().all(may_fail) && !is_date_difference(&types) {
                true => arithmetic::binary(left, op, right),
                false => Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) }),
            };
            Ok((expr, Some(result)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if stage == Stage::Evaluation
                && (nan::is_done(&left) || nan::is_done(&right))
                && floats::compares(&left.get_type(schema)?, op, &right.get_type(schema)?) =>
        {
            let (left, _) = convert(nan::bare(*left), schema, stage)?;
            let (right, _) = convert(nan::bare(*right), schema, stage)?;
            Ok((floats::comparison(left, op, right), Some(DataType::Boolean)))
        }
        Expr::Negative(inner) => {
            let (inner, data_type) = operand(*inner, schema, stage)?;
            let expr = match data_type.is_floating() || data_type.is_null() {
                true => Expr::Negative(Box::new(inner)),
                false => arithmetic::negative(inner),
            };
            Ok((expr, Some(data_type)))
        }
        Expr::Cast(Cast { expr, field }) if stage == Stage::Evaluation || is_exact(field.data_type()) => {
            convert_cast(*expr, field, false, schema, stage)
        }
        Expr::TryCast(TryCast { expr, field }) if stage == Stage::Evaluation || is_exact(field.data_type()) => {
            convert_cast(*expr, field, true, schema, stage)
        }
        other => {
            let other = match (other, stage) {
                (Expr::InList(list), Stage::Evaluation) => Expr::InList(lists::row_by_row(list)),
                (other, _) => other,
            };
            let converted =
                other.map_children(|child| convert(child, schema, stage).map(|(expr, _)| Transformed::yes(expr)))?;
            Ok((converted.data, None))
        }
    }
}

/// While constants are folded, a comparison of a cast with a constant would become one of what is cast with the constant cast back, and
/// what does not fit would pass; so casts between exact numbers that may fail give way already then, for good.
fn convert_cast(
    expr: Expr,
    field: FieldRef,
    is_try: bool,
    schema: &DFSchema,
    stage: Stage,
) -> DfResult<(Expr, Option<DataType>)> {
    let (inner, from) = operand(expr, schema, stage)?;
    let to = field.data_type().clone();
    let gives_way = casts::may_fail(&from, &to) && (stage == Stage::Evaluation || is_exact(&from));
    let expr = match (gives_way, is_try) {
        (true, _) => casts::cast(inner, to.clone(), is_try),
        (false, true) => Expr::TryCast(TryCast { expr: Box::new(inner), field }),
        (false, false) => Expr::Cast(Cast { expr: Box::new(inner), field }),
    };
    Ok((expr, Some(to)))
}

fn operand(expr: Expr, schema: &DFSchema, stage: Stage) -> DfResult<(Expr, DataType)> {
    // What is no arithmetic is asked while what is in it is plain.
    let known = match &expr {
        Expr::BinaryExpr(binary) if is_arithmetic(binary.op) => None,
        Expr::Negative(_) => None,
        other => Some(other.get_type(schema)?),
    };
    let (expr, computed) = convert(expr, schema, stage)?;
    match known.or(computed) {
        Some(data_type) => Ok((expr, data_type)),
        None => expr.get_type(schema).map(|data_type| (expr, data_type)),
    }
}

/// The expression with its operators as they were.
pub(super) fn plain(expr: Expr) -> DfResult<Transformed<Expr>> {
    expr.transform_up(|node| match node {
        Expr::ScalarFunction(call) => Ok(match arithmetic::operator_of(call) {
            Ok(operator) => Transformed::yes(operator),
            Err(call) => Transformed::no(Expr::ScalarFunction(call)),
        }),
        other => Ok(Transformed::no(other)),
    })
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

/// Floats have infinities where others overflow; times of day go round the clock.
fn may_fail(data_type: &DataType) -> bool {
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
