//! Names of columns that DataFusion would refuse or take otherwise: columns selected twice, and lists of columns beside the
//! pseudo-columns.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, ObjectName, Query, Select, SelectItem, SetExpr, SetOperator, Spanned,
    TableAliasColumnDef, TableFactor, Value,
};

use super::Scope;
use super::using::{self, Kind};
use crate::names::fold;
use crate::{Error, Position, Result};

/// Gives what is selected twice a name of its own, `n_1` for the second `n`: DataFusion refuses two of one name.
pub(super) fn name_duplicates(select: &mut Select) {
    let mut taken: HashSet<String> = select.projection.iter().filter_map(written_name).collect();
    let mut seen = HashSet::new();
    for item in &mut select.projection {
        let Some(name) = key(item) else { continue };
        if seen.insert(name) {
            continue;
        }
        let written = written_name(item);
        let base = written.unwrap_or_else(|| item.to_string());
        let Some(free) = (1..).map(|number| format!("{base}_{number}")).find(|name| !taken.contains(name)) else {
            continue;
        };
        taken.insert(free.clone());
        let alias = Ident::with_quote('"', free);
        match item {
            SelectItem::UnnamedExpr(expr) => {
                *item =
                    SelectItem::ExprWithAlias { expr: std::mem::replace(expr, Expr::Identifier(Ident::new(""))), alias }
            }
            SelectItem::ExprWithAlias { alias: name, .. } => *name = alias,
            _ => {}
        }
    }
}

/// What two items of one name share. `a.n` and `b.n` differ.
fn key(item: &SelectItem) -> Option<String> {
    match item {
        // DataFusion calls a cast as it calls what is cast.
        SelectItem::UnnamedExpr(expr) => match without_casts(expr) {
            Expr::Identifier(ident) => Some(fold(ident)),
            expr => Some(format!("({expr})")),
        },
        SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
        _ => None,
    }
}

fn without_casts(mut expr: &Expr) -> &Expr {
    while let Expr::Cast { expr: inner, .. } = expr {
        expr = inner;
    }
    expr
}

pub(super) fn written_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(fold(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(fold),
        SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
        _ => None,
    }
}

/// Names the pseudo-columns in `t AS x(a, b)`, which lists the table's own alone.
pub(super) fn extend_alias(factor: &mut TableFactor, scope: &dyn Scope) {
    if let TableFactor::Table { name, alias: Some(alias), .. } = factor
        && !alias.columns.is_empty()
    {
        let hidden = scope.hidden(name).into_iter();
        alias.columns.extend(hidden.map(|name| TableAliasColumnDef { name: Ident::new(name), data_type: None }));
    }
}

/// Writes NATURAL JOIN as the USING that it stands for: beside pseudo-columns every two tables have these in common, and of outer
/// joins the columns in common have to be known.
pub(super) fn write_out_natural(select: &mut Select, scope: &dyn Scope, pseudo: bool) -> Result<()> {
    for table in &mut select.from {
        let mut left = columns(&table.relation, scope);
        for join in &mut table.joins {
            let right = columns(&join.relation, scope);
            if let Some((kind, constraint)) = using::condition(&mut join.join_operator)
                && *constraint == JoinConstraint::Natural
            {
                match (&left, &right) {
                    (Some(left), Some(right)) => {
                        let common = left.iter().filter(|name| right.contains(name));
                        let common: Vec<_> =
                            common.map(|name| ObjectName::from(Ident::with_quote('"', name))).collect();
                        *constraint = match common.is_empty() {
                            true => JoinConstraint::On(Expr::value(Value::Boolean(true))),
                            false => JoinConstraint::Using(common),
                        };
                    }
                    _ if pseudo || matches!(kind, Kind::Left | Kind::Right | Kind::Full) => {
                        let message = "NATURAL JOIN of a sub-query is not offered beside a pseudo-column, nor as an outer \
                                       join; write USING or ON";
                        let position = Position::of(join.relation.span());
                        return Err(Error::Unsupported { message: message.to_owned(), position });
                    }
                    _ => {}
                }
            }
            left = left.zip(right).map(|(mut left, right)| {
                left.extend(right.into_iter().filter(|name| !left.contains(name)).collect::<Vec<_>>());
                left
            });
        }
    }
    Ok(())
}

/// The columns of a table by its name; `None` for other relations.
pub(super) fn columns(factor: &TableFactor, scope: &dyn Scope) -> Option<Vec<String>> {
    match factor {
        TableFactor::Table { name, alias: Some(alias), args: None, .. } if !alias.columns.is_empty() => {
            let hidden = scope.hidden(name);
            let named = alias.columns.iter().map(|column| fold(&column.name));
            Some(named.filter(|name| !hidden.contains(&name.as_str())).collect())
        }
        TableFactor::Table { name, args: None, .. } => scope.columns(name),
        _ => None,
    }
}

/// Marks the casts in the steps of WITH RECURSIVE as written: DataFusion adds some that cut values, which are refused.
pub(super) fn mark_step_casts(query: &mut Query) {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else { return };
    for cte in &mut with.cte_tables {
        if let SetExpr::SetOperation { op: SetOperator::Union, right, .. } = cte.query.body.as_mut()
            && let SetExpr::Select(step) = right.as_mut()
        {
            for item in &mut step.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                    && let Expr::Cast { kind, data_type, array, .. } = expr
                {
                    let (kind, data_type, array) = (kind.clone(), data_type.clone(), *array);
                    let inner = Box::new(std::mem::replace(expr, Expr::Identifier(Ident::new(""))));
                    *expr = Expr::Cast { kind, expr: inner, data_type, array, format: None };
                }
            }
        }
    }
}
