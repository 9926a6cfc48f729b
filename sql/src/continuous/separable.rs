//! Whether a plan can be answered window by window: what brings rows together must bring together rows of one window alone.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Volatility};
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;

use super::check::{find, refused, volatile};
use crate::convert::from_datafusion;
use crate::windows::{COLUMNS, WindowKind};
use crate::{Error, Result};

/// What of its window a column says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Start,
    End,
    /// The last time in it.
    Time,
}

impl Bound {
    fn names_window(self, kind: WindowKind) -> bool {
        match self {
            // Several windows of CUMULATE begin together.
            Bound::Start => kind != WindowKind::Cumulate,
            Bound::End | Bound::Time => true,
        }
    }
}

/// Checks an analysed plan; gives what each of its columns says of the window.
pub(super) fn check(plan: &LogicalPlan, kind: WindowKind, tokens: &[TokenWithSpan]) -> Result<Vec<Option<Bound>>> {
    let walked = plan.apply_expressions(|expr| {
        expr.apply(|node| match node {
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                Err(crate::convert::into_datafusion(volatile(call.func.name(), None)))
            }
            _ => Ok(TreeNodeRecursion::Continue),
        })
    });
    walked.map_err(|error| from_datafusion(error, 0))?;
    let separated = |keys: &[Expr], below: &[Option<Bound>], input: &LogicalPlan| {
        keys.iter().any(|key| bound(key, below, input).is_some_and(|bound| bound.names_window(kind)))
    };
    let wanted = match kind {
        WindowKind::Tumble | WindowKind::Hop => "window_start or window_end",
        WindowKind::Cumulate => "window_end",
    };
    Ok(match plan {
        LogicalPlan::TableScan(scan) => scan
            .projected_schema
            .fields()
            .iter()
            .map(|field| match COLUMNS.iter().position(|name| name == field.name()) {
                Some(0) => Some(Bound::Start),
                Some(1) => Some(Bound::End),
                Some(_) => Some(Bound::Time),
                None => None,
            })
            .collect(),
        LogicalPlan::Projection(step) => {
            let below = check(&step.input, kind, tokens)?;
            step.expr.iter().map(|expr| bound(expr, &below, &step.input)).collect()
        }
        LogicalPlan::Filter(step) => check(&step.input, kind, tokens)?,
        LogicalPlan::SubqueryAlias(step) => check(&step.input, kind, tokens)?,
        LogicalPlan::Sort(step) if step.fetch.is_none() => check(&step.input, kind, tokens)?,
        LogicalPlan::Aggregate(step) => {
            let below = check(&step.input, kind, tokens)?;
            if step.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
                let words = ["ROLLUP", "CUBE", "GROUPING"];
                let way_out = "make a topic of each way to group";
                return Err(refused("GROUPING SETS, ROLLUP or CUBE", way_out, find(tokens, &words)));
            }
            if !separated(&step.group_expr, &below, &step.input) {
                let way_out = format!("add {wanted} to what is grouped by");
                let position = find(tokens, &["GROUP"]).or_else(|| find(tokens, &["SELECT"]));
                return Err(refused("an aggregate over several windows", &way_out, position));
            }
            let groups = step.group_expr.iter().map(|expr| bound(expr, &below, &step.input));
            groups.chain(step.aggr_expr.iter().map(|_| None)).collect()
        }
        LogicalPlan::Window(step) => {
            let below = check(&step.input, kind, tokens)?;
            for expr in &step.window_expr {
                let partition_by = match unaliased(expr) {
                    Expr::WindowFunction(function) => function.params.partition_by.as_slice(),
                    _ => &[],
                };
                if !separated(partition_by, &below, &step.input) {
                    let way_out = format!("add {wanted} to its PARTITION BY");
                    return Err(refused("a window function over several windows", &way_out, find(tokens, &["OVER"])));
                }
            }
            below.into_iter().chain(step.window_expr.iter().map(|_| None)).collect()
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let below = check(input, kind, tokens)?;
            if !below.iter().flatten().any(|bound| bound.names_window(kind)) {
                let way_out = format!("select {wanted}, too");
                return Err(refused("DISTINCT over several windows", &way_out, find(tokens, &["DISTINCT"])));
            }
            below
        }
        LogicalPlan::Distinct(Distinct::On(step)) => {
            let below = check(&step.input, kind, tokens)?;
            if !separated(&step.on_expr, &below, &step.input) {
                let way_out = format!("add {wanted} to what it tells apart");
                return Err(refused("DISTINCT ON over several windows", &way_out, find(tokens, &["DISTINCT"])));
            }
            step.select_expr.iter().map(|expr| bound(expr, &below, &step.input)).collect()
        }
        other => {
            let step = other.display().to_string();
            return Err(Error::Unsupported {
                message: format!("this step is refused in a topic over windows: {step:.100}"),
                position: None,
            });
        }
    })
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        expr => expr,
    }
}

fn bound(expr: &Expr, below: &[Option<Bound>], input: &LogicalPlan) -> Option<Bound> {
    let Expr::Column(column) = unaliased(expr) else { return None };
    *below.get(input.schema().maybe_index_of_column(column)?)?
}
