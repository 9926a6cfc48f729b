//! Columns that joins have in common by USING. Of both DataFusion shows in `*` the one whose relation's name comes first in the
//! alphabet, and takes the left one where the column is named, so that outer joins would show nulls for values. Here `*` has the
//! side that is always there, and where that is not the left one USING becomes ON, and the column what it stands for.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Join,
    JoinConstraint, JoinOperator, ObjectName, OrderBy, OrderByKind, Query, Select, SelectItem, Spanned, TableFactor,
    TableWithJoins, VisitMut, VisitorMut,
};

use super::Scope;
use super::columns::written_name;
use super::wildcards::{columns, last, name_of};
use crate::names::fold;
use crate::{Error, Position, Result};

/// Which rows a join keeps that have no counterpart, and whose columns it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Inner,
    Left,
    Right,
    Full,
    OnlyLeft,
    OnlyRight,
}

/// A join's kind and its condition; `None` where it has none.
pub(super) fn condition(operator: &mut JoinOperator) -> Option<(Kind, &mut JoinConstraint)> {
    use JoinOperator::{
        Anti, CrossJoin, FullOuter, Inner, Join, Left, LeftAnti, LeftOuter, LeftSemi, Right, RightAnti, RightOuter,
        RightSemi, Semi,
    };
    Some(match operator {
        Join(constraint) | Inner(constraint) | CrossJoin(constraint) => (Kind::Inner, constraint),
        Left(constraint) | LeftOuter(constraint) => (Kind::Left, constraint),
        Right(constraint) | RightOuter(constraint) => (Kind::Right, constraint),
        FullOuter(constraint) => (Kind::Full, constraint),
        Semi(constraint) | LeftSemi(constraint) | Anti(constraint) | LeftAnti(constraint) => {
            (Kind::OnlyLeft, constraint)
        }
        RightSemi(constraint) | RightAnti(constraint) => (Kind::OnlyRight, constraint),
        _ => return None,
    })
}

/// A column in common.
pub(super) struct Pair {
    pub(super) column: String,
    /// `None` where it is not known which of the relations before has it.
    left: Option<Expr>,
    right: Expr,
}

impl Pair {
    /// The value that is there in every row of the join.
    fn merged(&self, kind: Kind) -> Option<Expr> {
        match kind {
            Kind::Inner | Kind::Left | Kind::OnlyLeft => self.left.clone(),
            Kind::Right | Kind::OnlyRight => Some(self.right.clone()),
            Kind::Full => Some(coalesce(self.left.clone()?, self.right.clone())),
        }
    }

    /// As `*` shows it.
    pub(super) fn shown(&self, kind: Kind) -> Option<SelectItem> {
        let expr = self.merged(kind)?;
        Some(match kind {
            Kind::Full => SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', &self.column) },
            _ => SelectItem::UnnamedExpr(expr),
        })
    }
}

/// Relations that are joined, one after the other.
pub(super) struct Joined<'a> {
    scope: &'a dyn Scope,
    ctes: &'a HashSet<String>,
    relations: Vec<(ObjectName, Option<Vec<String>>)>,
    /// What columns in common stand for.
    common: Vec<(String, Expr)>,
}

impl<'a> Joined<'a> {
    /// `None` for a relation that has no name, as below.
    pub(super) fn new(first: &TableFactor, scope: &'a dyn Scope, ctes: &'a HashSet<String>) -> Option<Joined<'a>> {
        let relations = vec![(name_of(first)?, columns(first, scope, ctes))];
        Some(Joined { scope, ctes, relations, common: Vec::new() })
    }

    /// Takes up a join: its kind, and the columns in common.
    pub(super) fn join(&mut self, join: &Join) -> Option<(Kind, Vec<Pair>)> {
        let right = name_of(&join.relation)?;
        let mut operator = join.join_operator.clone();
        let (kind, constraint) = condition(&mut operator)?;
        let using = match constraint {
            JoinConstraint::Using(names) => names.iter().map(last).collect(),
            JoinConstraint::Natural => return None,
            JoinConstraint::On(_) | JoinConstraint::None => Vec::new(),
        };
        let pair = |column: String| {
            let right = column_of(&right, &column);
            Pair { left: self.left(&column), right, column }
        };
        let pairs: Vec<Pair> = using.into_iter().map(pair).collect();
        if kind == Kind::OnlyRight {
            self.relations.clear();
            self.common.clear();
        }
        for pair in &pairs {
            self.common.retain(|(column, _)| *column != pair.column);
            self.common.extend(pair.merged(kind).map(|merged| (pair.column.clone(), merged)));
        }
        if kind != Kind::OnlyLeft {
            self.relations.push((right, columns(&join.relation, self.scope, self.ctes)));
        }
        Some((kind, pairs))
    }

    /// What a column of the relations so far stands for.
    fn left(&self, column: &str) -> Option<Expr> {
        if let Some((_, merged)) = self.common.iter().find(|(common, _)| common == column) {
            return Some(merged.clone());
        }
        let of = |known: &dyn Fn(&Option<Vec<String>>) -> bool| {
            let mut found = self.relations.iter().filter(|(_, columns)| known(columns));
            found.next().filter(|_| found.next().is_none()).map(|(name, _)| column_of(name, column))
        };
        let has =
            |columns: &Option<Vec<String>>| columns.as_ref().is_some_and(|all| all.iter().any(|one| one == column));
        if self.relations.iter().any(|(_, columns)| has(columns)) { of(&has) } else { of(&Option::is_none) }
    }
}

/// Whether there are outer joins with columns in common.
pub(super) fn is_outer(select: &Select) -> bool {
    let has = |table: &TableWithJoins| has(table, &[Kind::Left, Kind::Right, Kind::Full]);
    select.from.iter().any(has)
}

fn has(table: &TableWithJoins, kinds: &[Kind]) -> bool {
    table.joins.iter().any(|join| {
        let mut operator = join.join_operator.clone();
        condition(&mut operator).is_some_and(|(kind, constraint)| {
            kinds.contains(&kind) && matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
        })
    })
}

/// Writes USING as ON where an outer join keeps rows of the right; gives what the columns in common stand for.
pub(super) fn write_out(select: &mut Select, scope: &dyn Scope, ctes: &HashSet<String>) -> Result<Vec<(String, Expr)>> {
    let mut common = Vec::new();
    for table in select.from.iter_mut().filter(|table| has(table, &[Kind::Right, Kind::Full])) {
        let mut joined = Joined::new(&table.relation, scope, ctes).ok_or_else(|| refused(&table.relation))?;
        for join in &mut table.joins {
            let (_, pairs) = joined.join(join).ok_or_else(|| refused(&join.relation))?;
            let equal = |Pair { left, right, .. }| left.map(|left| binary(left, BinaryOperator::Eq, right));
            let equal = pairs.into_iter().map(equal).collect::<Option<Vec<_>>>();
            let equal = equal.ok_or_else(|| refused(&join.relation))?;
            if let Some(all) = equal.into_iter().reduce(|all, one| binary(all, BinaryOperator::And, one))
                && let Some((_, constraint)) = condition(&mut join.join_operator)
            {
                *constraint = JoinConstraint::On(all);
            }
        }
        common.append(&mut joined.common);
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(ident)) = item
            && let Some(expr @ Expr::Function(_)) = find(&common, ident)
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: ident.clone() };
        }
    }
    if !common.is_empty() {
        let _ = select.visit(&mut Named { common: &common, queries: 0 });
    }
    Ok(common)
}

/// The same for ORDER BY, which may name columns that are not selected.
pub(super) fn write_out_order(order: &mut OrderBy, select: &Select, common: &[(String, Expr)]) {
    let OrderByKind::Expressions(orders) = &mut order.kind else { return };
    for order in orders {
        let is_selected = |ident: &Ident| {
            let name = fold(ident);
            select.projection.iter().filter_map(written_name).any(|selected| selected == name)
        };
        if !matches!(&order.expr, Expr::Identifier(ident) if is_selected(ident)) {
            let _ = order.visit(&mut Named { common, queries: 0 });
        }
    }
}

fn find<'a>(common: &'a [(String, Expr)], ident: &Ident) -> Option<&'a Expr> {
    let name = fold(ident);
    common.iter().find(|(column, _)| *column == name).map(|(_, expr)| expr)
}

/// Puts what columns in common stand for where they are named by themselves, but in sub-queries.
struct Named<'a> {
    common: &'a [(String, Expr)],
    /// One inside of another, at this place.
    queries: usize,
}

impl VisitorMut for Named<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && self.queries == 0
            && let Some(stands_for) = find(self.common, ident)
        {
            *expr = stands_for.clone();
        }
        ControlFlow::Continue(())
    }
}

pub(super) fn refused(relation: &TableFactor) -> Error {
    let message = "USING in an outer join is offered between tables and sub-queries that have a name, and for columns that \
                   only one of those on the left has; name the sub-query with AS, or write ON and the columns' tables";
    Error::Unsupported { message: message.to_owned(), position: Position::of(relation.span()) }
}

fn column_of(relation: &ObjectName, column: &str) -> Expr {
    let parts = relation.0.iter().filter_map(|part| part.as_ident()).cloned();
    Expr::CompoundIdentifier(parts.chain([Ident::with_quote('"', column)]).collect())
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn coalesce(left: Expr, right: Expr) -> Expr {
    let args = [left, right].map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))).into();
    Expr::Function(Function {
        name: ObjectName::from(Ident::new("coalesce")),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
