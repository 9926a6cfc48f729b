//! Before types are coerced: pairs that DataFusion would bring together in a type that can't hold both.
//!
//! A decimal beside a DOUBLE becomes a DOUBLE, where DataFusion takes `DECIMAL(30, 15)`; a REAL beside a larger integer becomes
//! a DOUBLE, where it takes REAL; a quotient of decimals is a DOUBLE, where it cuts digits; times are compared in
//! [`super::times`].

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult, plan_err};
use datafusion::logical_expr::expr::{Between, InList, InSubquery};
use datafusion::logical_expr::type_coercion::other::get_coerce_type_for_case_expression;
use datafusion::logical_expr::{
    BinaryExpr, Case, Cast, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator, RecursiveQuery,
    Union, Values,
};
use datafusion::optimizer::AnalyzerRule;

use super::meet::{as_double, as_real, as_type, meet, meet_in_double, types_of};
use super::plans::rewrite_plan;
use super::{casts, is_arithmetic, is_comparison, like, times};
use crate::types::to_sql;

/// Functions whose arguments are brought together to one type.
const UNIFYING: [&str; 8] = ["coalesce", "nvl", "ifnull", "nvl2", "nullif", "greatest", "least", "make_array"];

/// Functions of real numbers, which take DOUBLEs.
const REAL_FUNCTIONS: [&str; 9] = ["power", "pow", "log", "log2", "log10", "ln", "exp", "sqrt", "cbrt"];

/// See the module.
#[derive(Debug)]
pub(super) struct CommonType;

impl AnalyzerRule for CommonType {
    fn name(&self) -> &str {
        "common_type"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        rewrite_plan(plan, &rewrite, &finish)
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) => rewrite_binary(binary, schema),
        Expr::Between(between) => rewrite_between(between, schema),
        Expr::InList(list) => rewrite_list(list, schema),
        Expr::InSubquery(membership) => rewrite_membership(membership, schema),
        Expr::Case(case) => rewrite_case(case, schema),
        Expr::Like(pattern) => like::with_backslash(pattern),
        Expr::ScalarFunction(mut call) if UNIFYING.contains(&call.func.name()) => {
            // What comes first of nvl2 only decides.
            let from = usize::from(call.func.name() == "nvl2");
            let types = types_of(call.args.iter().skip(from), schema)?;
            let Some(wanted) = meet(&types) else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
            for arg in call.args.iter_mut().skip(from) {
                *arg = as_type(std::mem::take(arg), &wanted, schema)?;
            }
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        Expr::ScalarFunction(mut call) if REAL_FUNCTIONS.contains(&call.func.name()) => {
            let changed = decimals_as_doubles(&mut call.args, schema)?;
            Ok(transformed(Expr::ScalarFunction(call), changed))
        }
        Expr::AggregateFunction(mut call) if gives_quotients(call.func.name()) => {
            let changed = decimals_as_doubles(&mut call.params.args, schema)?;
            Ok(transformed(Expr::AggregateFunction(call), changed))
        }
        Expr::WindowFunction(mut call) if gives_quotients(call.fun.name()) => {
            let changed = decimals_as_doubles(&mut call.params.args, schema)?;
            Ok(transformed(Expr::WindowFunction(call), changed))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Aggregates that divide, which few decimals bear.
fn gives_quotients(function: &str) -> bool {
    function == "avg" || function.contains("percentile")
}

fn decimals_as_doubles(args: &mut [Expr], schema: &DFSchema) -> DfResult<bool> {
    let mut changed = false;
    for arg in args {
        if arg.get_type(schema)?.is_decimal() {
            changed = true;
            *arg = as_double(std::mem::take(arg), schema)?;
        }
    }
    Ok(changed)
}

fn transformed(expr: Expr, changed: bool) -> Transformed<Expr> {
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}

fn rewrite_binary(binary: BinaryExpr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let BinaryExpr { left, op, right } = binary;
    if !is_comparison(op) && !is_arithmetic(op) {
        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
    }
    let types = [left.get_type(schema)?, right.get_type(schema)?];
    if is_comparison(op)
        && let Some(compared) = times::compare(&left, &types[0], op, &right, &types[1])?
    {
        return Ok(Transformed::yes(compared));
    }
    let quotient = op == Operator::Divide
        && types.iter().any(DataType::is_decimal)
        && types.iter().all(|data_type| data_type.is_numeric());
    if !quotient && !meet_in_double(&types) {
        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
    }
    if is_comparison(op) {
        match (&types, as_real(&left), as_real(&right)) {
            ([DataType::Float32, _], _, Some(real)) => {
                return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right: Box::new(real) })));
            }
            ([_, DataType::Float32], Some(real), _) => {
                return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: Box::new(real), op, right })));
            }
            _ => {}
        }
    }
    let (left, right) = (as_double(*left, schema)?, as_double(*right, schema)?);
    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })))
}

/// A BETWEEN whose bounds need care becomes two comparisons, as it would later.
fn rewrite_between(between: Between, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let types = types_of([between.expr.as_ref(), &between.low, &between.high], schema)?;
    let times = times::is_delicate(&types[0], &types[1]) || times::is_delicate(&types[0], &types[2]);
    if !times && !meet_in_double(&types) {
        return Ok(Transformed::no(Expr::Between(between)));
    }
    let Between { expr, negated, low, high } = between;
    let side = |op, bound: Box<Expr>| {
        rewrite_binary(BinaryExpr { left: expr.clone(), op, right: bound }, schema).map(|side| side.data)
    };
    Ok(Transformed::yes(match negated {
        false => side(Operator::GtEq, low)?.and(side(Operator::LtEq, high)?),
        true => side(Operator::Lt, low)?.or(side(Operator::Gt, high)?),
    }))
}

fn rewrite_list(list: InList, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let wanted = list.expr.get_type(schema)?;
    let items = types_of(&list.list, schema)?;
    if items.iter().any(|item| times::is_delicate(&wanted, item)) {
        return times::among(list, &wanted, &items);
    }
    let all: Vec<DataType> = items.into_iter().chain([wanted]).collect();
    if !meet_in_double(&all) {
        return Ok(Transformed::no(Expr::InList(list)));
    }
    let InList { expr, list, negated } = list;
    let list = list.into_iter().map(|item| as_double(item, schema)).collect::<DfResult<Vec<_>>>()?;
    Ok(Transformed::yes(Expr::InList(InList { expr: Box::new(as_double(*expr, schema)?), list, negated })))
}

/// `x IN (SELECT …)`: the sub-query's column and `x` are brought together.
fn rewrite_membership(mut membership: InSubquery, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let inner = Arc::clone(membership.subquery.subquery.schema());
    let Some(column) = inner.columns().into_iter().next().filter(|_| inner.fields().len() == 1) else {
        return Ok(Transformed::no(Expr::InSubquery(membership)));
    };
    let types = [membership.expr.get_type(schema)?, inner.field(0).data_type().clone()];
    let Some(wanted) = meet(&types) else { return Ok(Transformed::no(Expr::InSubquery(membership))) };
    *membership.expr = as_type(std::mem::take(membership.expr.as_mut()), &wanted, schema)?;
    let (relation, name) = (column.relation.clone(), column.name.clone());
    let column = as_type(Expr::Column(column), &wanted, &inner)?.alias_qualified(relation, name);
    let subquery = membership.subquery.subquery.as_ref().clone();
    membership.subquery.subquery = Arc::new(LogicalPlanBuilder::from(subquery).project([column])?.build()?);
    Ok(Transformed::yes(Expr::InSubquery(membership)))
}

fn rewrite_case(mut case: Case, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let mut changed = false;
    if let Some(base) = &mut case.expr {
        let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
        if meet_in_double(&types_of(whens.chain([base.as_ref()]), schema)?) {
            changed = true;
            **base = as_double(std::mem::take(base), schema)?;
            for (when, _) in &mut case.when_then_expr {
                **when = as_double(std::mem::take(when), schema)?;
            }
        }
    }
    // What contains the CASE has to know its type, which DataFusion takes from the first branch until it is coerced.
    let thens = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    let types = types_of(thens.chain(case.else_expr.as_deref()), schema)?;
    let wanted = meet(&types).or_else(|| get_coerce_type_for_case_expression(&types, None));
    let branches = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(case.else_expr.as_mut());
    for (branch, data_type) in branches.zip(&types) {
        let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != data_type && !data_type.is_null()) else {
            continue;
        };
        changed = true;
        let branch: &mut Expr = branch;
        *branch = as_type(std::mem::take(branch), wanted, schema)?;
    }
    Ok(transformed(Expr::Case(case), changed))
}

/// Joins and unions bring columns together too.
fn finish(plan: LogicalPlan) -> DfResult<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Join(join) => finish_join(join),
        LogicalPlan::Union(union) => finish_union(union),
        LogicalPlan::Values(values) => finish_values(values),
        LogicalPlan::RecursiveQuery(query) => {
            check_steps(&query)?;
            Ok(Transformed::no(LogicalPlan::RecursiveQuery(query)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn finish_join(mut join: Join) -> DfResult<Transformed<LogicalPlan>> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        let types = [left.get_type(join.left.schema())?, right.get_type(join.right.schema())?];
        if let Some(wanted) = meet(&types) {
            changed = true;
            *left = as_type(std::mem::take(left), &wanted, join.left.schema())?;
            *right = as_type(std::mem::take(right), &wanted, join.right.schema())?;
        }
    }
    let join = LogicalPlan::Join(join);
    Ok(if changed { Transformed::yes(join) } else { Transformed::no(join) })
}

fn finish_union(mut union: Union) -> DfResult<Transformed<LogicalPlan>> {
    let width = union.inputs.iter().map(|input| input.schema().fields().len()).min().unwrap_or(0);
    let type_of = |input: &LogicalPlan, column: usize| input.schema().field(column).data_type().clone();
    let meets = |column: usize| meet(&union.inputs.iter().map(|input| type_of(input, column)).collect::<Vec<_>>());
    let wanted: Vec<Option<DataType>> = (0..width).map(meets).collect();
    // It is said to have the types that its first part had when it was planned: what is rewritten in that may have others.
    let first = |column: usize| union.inputs.first().map(|first| type_of(first, column));
    let types: Vec<Option<DataType>> =
        wanted.iter().enumerate().map(|(n, wanted)| wanted.clone().or(first(n))).collect();
    let said = union.schema.fields().iter().map(|field| field.data_type());
    if said.zip(&types).all(|(said, known)| known.as_ref().is_none_or(|known| known == said))
        && wanted.iter().all(Option::is_none)
    {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    // Types are brought together beginning with those that the union is said to have.
    let fields = union.schema.iter().zip(types.iter().chain(std::iter::repeat(&None)));
    let fields = fields.map(|((relation, field), known)| {
        let field = match known {
            Some(known) => Arc::new(field.as_ref().clone().with_data_type(known.clone())),
            None => Arc::clone(field),
        };
        (relation.cloned(), field)
    });
    union.schema = Arc::new(DFSchema::new_with_metadata(fields.collect(), union.schema.metadata().clone())?);
    if wanted.iter().any(Option::is_some) {
        let inputs = union.inputs.into_iter().map(|input| brought_to(input, &wanted));
        union.inputs = inputs.collect::<DfResult<_>>()?;
    }
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

fn brought_to(input: Arc<LogicalPlan>, wanted: &[Option<DataType>]) -> DfResult<Arc<LogicalPlan>> {
    let schema = Arc::clone(input.schema());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (index, column) in schema.columns().into_iter().enumerate() {
        let (relation, name) = (column.relation.clone(), column.name.clone());
        columns.push(match wanted.get(index) {
            Some(Some(wanted)) => as_type(Expr::Column(column), wanted, &schema)?.alias_qualified(relation, name),
            _ => Expr::Column(column),
        });
    }
    let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(columns)?.build()?;
    Ok(Arc::new(input))
}

/// The types of VALUES are fixed when it is planned; what is rewritten in it may have others.
fn finish_values(mut values: Values) -> DfResult<Transformed<LogicalPlan>> {
    let none = DFSchema::empty();
    let mut changed = false;
    let mut fields = Vec::with_capacity(values.schema.fields().len());
    for (column, field) in values.schema.fields().iter().enumerate() {
        let types = types_of(values.values.iter().filter_map(|row| row.get(column)), &none)?;
        let mut known: Vec<&DataType> = types.iter().filter(|data_type| !data_type.is_null()).collect();
        known.dedup();
        let wanted = match known.as_slice() {
            [one] => (*one).clone(),
            _ => field.data_type().clone(),
        };
        for (row, data_type) in values.values.iter_mut().zip(&types) {
            if *data_type != wanted
                && let Some(value) = row.get_mut(column)
            {
                changed = true;
                *value = Expr::Cast(Cast::new(Box::new(std::mem::take(value)), wanted.clone()));
            }
        }
        changed |= wanted != *field.data_type();
        fields.push(field.as_ref().clone().with_data_type(wanted));
    }
    if changed {
        values.schema = Arc::new(DFSchema::from_unqualified_fields(fields.into(), Default::default())?);
    }
    let values = LogicalPlan::Values(values);
    Ok(if changed { Transformed::yes(values) } else { Transformed::no(values) })
}

/// DataFusion casts the columns of a recursion's steps to the types of its first part. Where that would cut values, the
/// recursion may never end.
fn check_steps(query: &RecursiveQuery) -> DfResult<()> {
    let LogicalPlan::Projection(step) = query.recursive_term.as_ref() else { return Ok(()) };
    for (expr, field) in step.expr.iter().zip(query.static_term.schema().fields()) {
        let Expr::Cast(cast) = expr.clone().unalias_nested().data else { continue };
        let (from, to) = (cast.expr.get_type(step.input.schema())?, cast.field.data_type());
        if casts::cuts(&from, to) {
            return plan_err!(
                "column {:?} of WITH RECURSIVE {} is {} in its first part and {} in its steps, which would cut values; CAST \
                 one of them",
                field.name(),
                query.name,
                to_sql(to),
                to_sql(&from)
            );
        }
    }
    Ok(())
}
