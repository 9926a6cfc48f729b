//! What a continuous topic can't be, by what is written. What it means is looked at in `separable`.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, Query, Select, SetExpr, Spanned, TableFactor, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::names::{fold, position};
use crate::windows::WindowCall;
use crate::{Error, Position, Result};

/// Checks a query with one window call or more in it.
pub(super) fn check(query: &Query, tokens: &[TokenWithSpan], functions: &SessionState) -> Result<()> {
    let mut checker = Checker { tokens, functions, ctes: HashSet::new(), calls: 0, inside_source: 0 };
    match query.visit(&mut checker) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Checker<'a> {
    tokens: &'a [TokenWithSpan],
    functions: &'a SessionState,
    ctes: HashSet<String>,
    calls: usize,
    /// How many queries of a call's argument are being visited: they are checked as topics without windows are.
    inside_source: usize,
}

/// The error of a clause, with the way out.
pub(super) fn refused(clause: &str, way_out: &str, position: Option<Position>) -> Error {
    Error::Unsupported { message: format!("{clause} is refused in a topic over windows: {way_out}"), position }
}

impl Checker<'_> {
    fn find(&self, words: &[&str]) -> Option<Position> {
        find(self.tokens, words)
    }

    fn query(&mut self, query: &Query) -> Result<()> {
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(refused("WITH RECURSIVE", "a window closes in one go", self.find(&["RECURSIVE"])));
            }
            self.ctes.extend(with.cte_tables.iter().map(|cte| fold(&cte.alias.name)));
        }
        if let SetExpr::SetOperation { op, .. } = query.body.as_ref() {
            let word = op.to_string();
            return Err(refused(
                &word,
                "make a topic of each part, and read them together in a query",
                self.find(&[&word]),
            ));
        }
        if query.limit_clause.is_some() || query.fetch.is_some() {
            return Err(refused(
                "LIMIT, OFFSET or FETCH",
                "windows come without end; the first n of each window are QUALIFY row_number() OVER (PARTITION BY window_start, \
                 window_end ORDER BY …) <= n",
                self.find(&["LIMIT", "OFFSET", "FETCH"]),
            ));
        }
        if !query.locks.is_empty() || query.for_clause.is_some() {
            return Err(refused("FOR", "leave it out", self.find(&["FOR"])));
        }
        if query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
            return Err(refused("a clause after the SELECT", "leave it out", self.tokens.last().map(place)));
        }
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<()> {
        let clauses: [(bool, &str, &[&str]); 8] = [
            (select.top.is_some(), "TOP", &["TOP"]),
            (select.into.is_some(), "INTO", &["INTO"]),
            (!select.lateral_views.is_empty(), "LATERAL VIEW", &["LATERAL"]),
            (select.prewhere.is_some(), "PREWHERE", &["PREWHERE"]),
            (!select.connect_by.is_empty(), "CONNECT BY", &["CONNECT", "START"]),
            (!select.cluster_by.is_empty(), "CLUSTER BY", &["CLUSTER"]),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY", &["DISTRIBUTE"]),
            (!select.sort_by.is_empty(), "SORT BY", &["SORT"]),
        ];
        if let Some((_, clause, words)) = clauses.into_iter().find(|(present, ..)| *present) {
            return Err(refused(clause, "leave it out", self.find(words)));
        }
        let [table] = select.from.as_slice() else {
            let position = select.from.get(1).and_then(|second| Position::of(second.relation.span()));
            return Err(refused("a join (several tables in FROM)", JOIN, position));
        };
        match table.joins.first() {
            None => Ok(()),
            Some(join) => {
                let position = self.find(&["JOIN"]).or_else(|| Position::of(join.relation.span()));
                Err(refused("JOIN", JOIN, position))
            }
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<()> {
        if WindowCall::of(factor)?.is_some() {
            self.calls += 1;
            return match self.calls {
                1 => Ok(()),
                _ => Err(refused(
                    "a second window",
                    "one topic has one window over one table; make a topic over the topic",
                    Position::of(factor.span()),
                )),
            };
        }
        match factor {
            TableFactor::Table { name, args: None, version: None, sample: None, .. }
                if name.0.len() == 1 && self.ctes.contains(&last(name)) =>
            {
                Ok(())
            }
            TableFactor::Derived { lateral: false, sample: None, .. } => Ok(()),
            TableFactor::Table { name, args: None, .. } => Err(refused(
                "a table without a window",
                "write TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE), or HOP or CUMULATE, around it",
                position(name),
            )),
            TableFactor::Table { name, .. } => {
                Err(refused(&format!("the table function {name}"), "windows are made of a table", position(name)))
            }
            other => Err(refused("this relation in FROM", "windows are made of a table", Position::of(other.span()))),
        }
    }

    fn expression(&self, expr: &Expr) -> Result<()> {
        let (clause, position) = match expr {
            Expr::Function(function) => return self.function(function),
            Expr::Subquery(query) => ("a sub-query in an expression", Position::of(query.span())),
            Expr::Exists { subquery, .. } => ("EXISTS", Position::of(subquery.span())),
            Expr::InSubquery { expr, .. } => ("IN with a sub-query", Position::of(expr.span())),
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } if matches!(right.as_ref(), Expr::Subquery(_)) => {
                ("ANY or ALL with a sub-query", Position::of(right.span()))
            }
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                return Err(refused("a parameter", "write the value", Position::of(value.span)));
            }
            _ => return Ok(()),
        };
        let way_out =
            "values of the whole window are window functions: sum(n) OVER (PARTITION BY window_start, window_end)";
        Err(refused(clause, way_out, position))
    }

    fn function(&self, function: &Function) -> Result<()> {
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
        if self.functions.table_functions().contains_key(&name) || name == "unnest" {
            let clause = format!("the table function {name}");
            return Err(refused(&clause, "windows are made of a table's rows as they are", position(&function.name)));
        }
        match self.functions.scalar_functions().get(&name) {
            Some(known) if known.signature().volatility != Volatility::Immutable => {
                Err(volatile(&name, position(&function.name)))
            }
            _ => Ok(()),
        }
    }
}

const JOIN: &str =
    "joins of streams are not offered; what both sides have in one window can be joined in a query over two topics";

/// The error of a function whose answer is not determined by the rows.
pub(super) fn volatile(name: &str, position: Option<Position>) -> Error {
    refused(
        name,
        "its answer is not determined by the rows, and a topic is; the window's bounds are window_start and window_end",
        position,
    )
}

fn last(name: &datafusion::sql::sqlparser::ast::ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default()
}

impl Visitor for Checker<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        // After the call comes its argument, the last of what is visited that has a table.
        if self.inside_source > 0 {
            return ControlFlow::Continue(());
        }
        flow(self.query(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        if self.inside_source > 0 {
            return ControlFlow::Continue(());
        }
        flow(self.select(select))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        if self.inside_source > 0 {
            return ControlFlow::Continue(());
        }
        let checked = self.factor(factor);
        if matches!(WindowCall::of(factor), Ok(Some(_))) {
            self.inside_source += 1;
        }
        flow(checked)
    }

    fn post_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        if matches!(WindowCall::of(factor), Ok(Some(_))) {
            self.inside_source = self.inside_source.saturating_sub(1);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        if self.inside_source > 0 {
            return ControlFlow::Continue(());
        }
        flow(self.expression(expr))
    }
}

fn flow(checked: Result<()>) -> ControlFlow<Error> {
    checked.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

/// The place of the first of these unquoted words.
pub(super) fn find(tokens: &[TokenWithSpan], words: &[&str]) -> Option<Position> {
    let is_one = |token: &&TokenWithSpan| match &token.token {
        Token::Word(word) => {
            word.quote_style.is_none() && words.iter().any(|wanted| word.value.eq_ignore_ascii_case(wanted))
        }
        _ => false,
    };
    tokens.iter().find(is_one).map(place)
}

fn place(token: &TokenWithSpan) -> Position {
    Position { line: token.span.start.line, column: token.span.start.column }
}
