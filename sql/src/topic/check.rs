//! Which SELECTs a stateless topic can be. Everything else is refused with the clause's name and place.

use std::collections::HashSet;
use std::ops::ControlFlow;

use arrow::datatypes::Schema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, ObjectName, Query, Select, SelectItem, SetExpr, Spanned, TableFactor, Value, Visit, Visitor,
    WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::names::fold;
use crate::{Error, Position, Result};

/// Checks a topic's query and gives its table's name.
pub(crate) fn check<'q>(
    query: &'q Query,
    tokens: &[TokenWithSpan],
    functions: &SessionState,
) -> Result<(&'q Select, &'q ObjectName)> {
    let refuse = |clause: &str, words: &[&str]| Err(refused(clause, find(tokens, words)));
    if query.with.is_some() {
        return refuse("WITH (common table expressions)", &["WITH"]);
    }
    let select = match query.body.as_ref() {
        SetExpr::Select(select) => select.as_ref(),
        SetExpr::SetOperation { op, .. } => {
            let op = op.to_string();
            return refuse(&op, &[&op]);
        }
        SetExpr::Values(_) => return refuse("VALUES", &["VALUES"]),
        SetExpr::Query(_) => return Err(refused("a query in parentheses", tokens.first().map(place))),
        _ => return Err(refused("this statement", tokens.first().map(place))),
    };
    check_select(select, tokens)?;
    if query.order_by.is_some() {
        return refuse("ORDER BY", &["ORDER"]);
    }
    if query.limit_clause.is_some() {
        return refuse("LIMIT or OFFSET", &["LIMIT", "OFFSET"]);
    }
    if query.fetch.is_some() {
        return refuse("FETCH", &["FETCH"]);
    }
    if !query.locks.is_empty() || query.for_clause.is_some() {
        return refuse("FOR", &["FOR"]);
    }
    if query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
        return Err(refused("a clause after the SELECT", tokens.last().map(place)));
    }
    let table = check_from(select, tokens)?;
    check_columns(select)?;
    check_expressions(query, functions)?;
    Ok((select, table))
}

fn check_select(select: &Select, tokens: &[TokenWithSpan]) -> Result<()> {
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
    };
    let clauses: [(bool, &str, &[&str]); 13] = [
        (select.distinct.is_some(), "DISTINCT", &["DISTINCT"]),
        (grouped, "GROUP BY", &["GROUP"]),
        (select.having.is_some(), "HAVING", &["HAVING"]),
        (!select.named_window.is_empty(), "WINDOW", &["WINDOW"]),
        (select.qualify.is_some(), "QUALIFY", &["QUALIFY"]),
        (select.top.is_some(), "TOP", &["TOP"]),
        (select.into.is_some(), "INTO", &["INTO"]),
        (!select.lateral_views.is_empty(), "LATERAL VIEW", &["LATERAL"]),
        (select.prewhere.is_some(), "PREWHERE", &["PREWHERE"]),
        (!select.connect_by.is_empty(), "CONNECT BY", &["CONNECT", "START"]),
        (!select.cluster_by.is_empty(), "CLUSTER BY", &["CLUSTER"]),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY", &["DISTRIBUTE"]),
        (!select.sort_by.is_empty(), "SORT BY", &["SORT"]),
    ];
    for (present, clause, words) in clauses {
        if present {
            return Err(refused(clause, find(tokens, words)));
        }
    }
    if select.value_table_mode.is_some() || select.exclude.is_some() {
        return Err(refused("SELECT AS or EXCLUDE", tokens.first().map(place)));
    }
    Ok(())
}

/// Exactly one table, by name.
fn check_from<'q>(select: &'q Select, tokens: &[TokenWithSpan]) -> Result<&'q ObjectName> {
    let [table] = select.from.as_slice() else {
        return match select.from.get(1) {
            Some(second) => Err(refused("a join (several tables in FROM)", Position::of(second.relation.span()))),
            None => Err(Error::Invalid {
                message: "a topic selects from a table: FROM is missing".to_owned(),
                position: tokens.first().map(place),
            }),
        };
    };
    if !table.joins.is_empty() {
        return Err(refused("JOIN", find(tokens, &["JOIN"])));
    }
    match &table.relation {
        TableFactor::Table { name, args: None, version: None, sample: None, partitions, .. }
            if partitions.is_empty() =>
        {
            Ok(name)
        }
        TableFactor::Table { name, args: Some(_), .. } => {
            Err(refused(&format!("the table function {name}"), crate::names::position(name)))
        }
        TableFactor::Table { name, .. } => Err(refused("a clause on the table in FROM", crate::names::position(name))),
        TableFactor::Derived { .. } => Err(refused("a sub-query in FROM", after(tokens, "FROM"))),
        _ => Err(refused("this relation in FROM", after(tokens, "FROM"))),
    }
}

/// Refuses two columns of one name. `schema` is what `*` stands for.
pub(crate) fn check_names(select: &Select, schema: &Schema) -> Result<()> {
    let mut names = HashSet::new();
    let mut take = |name: &str, place: Span| match names.insert(name.to_owned()) {
        true => Ok(()),
        false => Err(Error::Invalid {
            message: format!("column {name} is selected twice; give one of them another name by AS"),
            position: Position::of(place),
        }),
    };
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => take(&fold(ident), ident.span)?,
            SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(parts)) => {
                parts.last().map_or(Ok(()), |ident| take(&fold(ident), expr.span()))?;
            }
            SelectItem::ExprWithAlias { alias, .. } => take(&fold(alias), alias.span)?,
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)
                if *options
                    == (WildcardAdditionalOptions {
                        wildcard_token: options.wildcard_token.clone(),
                        ..Default::default()
                    }) =>
            {
                schema.fields().iter().try_for_each(|field| take(field.name(), item.span()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every column must have a name of its own.
pub(crate) fn check_columns(select: &Select) -> Result<()> {
    for (index, item) in select.projection.iter().enumerate() {
        let unnamed = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => None,
            SelectItem::UnnamedExpr(expr) => Some(expr),
            SelectItem::ExprWithAliases { expr, .. } => Some(expr),
            _ => None,
        };
        if let Some(expr) = unnamed {
            check_nested(expr)?;
            return Err(Error::Invalid {
                message: format!("column {} ({expr:.60}) has no name; add AS and one", index + 1),
                position: Position::of(expr.span()),
            });
        }
    }
    Ok(())
}

/// Refuses an aggregate or sub-query before its lack of a name is complained about.
fn check_nested(expr: &Expr) -> Result<()> {
    match expr {
        Expr::Subquery(query) => Err(refused("a sub-query", Position::of(query.span()))),
        _ => Ok(()),
    }
}

fn check_expressions(query: &Query, functions: &SessionState) -> Result<()> {
    struct Checker<'a>(&'a SessionState);
    impl Visitor for Checker<'_> {
        type Break = Error;
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
            match check_expression(expr, self.0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        }
    }
    match query.visit(&mut Checker(functions)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn check_expression(expr: &Expr, functions: &SessionState) -> Result<()> {
    let (clause, position) = match expr {
        Expr::Function(function) => return check_function(function, functions),
        Expr::Subquery(query) => ("a sub-query".to_owned(), Position::of(query.span())),
        Expr::Exists { subquery, .. } => ("EXISTS".to_owned(), Position::of(subquery.span())),
        Expr::InSubquery { expr, .. } => ("IN with a sub-query".to_owned(), Position::of(expr.span())),
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } if matches!(right.as_ref(), Expr::Subquery(_)) => {
            ("ANY or ALL with a sub-query".to_owned(), Position::of(right.span()))
        }
        Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
            ("a parameter".to_owned(), Position::of(value.span))
        }
        _ => return Ok(()),
    };
    Err(refused(&clause, position))
}

fn check_function(function: &datafusion::sql::sqlparser::ast::Function, functions: &SessionState) -> Result<()> {
    let position = crate::names::position(&function.name);
    let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
    if function.over.is_some() || functions.window_functions().contains_key(&name) {
        return Err(refused(&format!("the window function {name}"), position));
    }
    if functions.aggregate_functions().contains_key(&name) {
        return Err(refused(&format!("the aggregate function {name}"), position));
    }
    if functions.table_functions().contains_key(&name) || name == "unnest" {
        return Err(refused(&format!("the table function {name}"), position));
    }
    match functions.scalar_functions().get(&name) {
        Some(known) if known.signature().volatility != Volatility::Immutable => Err(volatile(&name, position)),
        _ => Ok(()),
    }
}

/// The error of a function whose answer may change from one read to the next.
pub(super) fn volatile(name: &str, position: Option<Position>) -> Error {
    let message = format!(
        "{name} is refused in a topic: its answer is not determined by the row, so two readers could see different rows"
    );
    Error::Unsupported { message, position }
}

/// The error of a clause.
pub(super) fn refused(clause: &str, position: Option<Position>) -> Error {
    let message = format!(
        "{clause} is refused in a topic: a topic is a SELECT of columns and immutable expressions over one table, with \
         an optional WHERE"
    );
    Error::Unsupported { message, position }
}

/// The place of the first of these unquoted words.
fn find(tokens: &[TokenWithSpan], words: &[&str]) -> Option<Position> {
    let is_one = |token: &&TokenWithSpan| match &token.token {
        Token::Word(word) => {
            word.quote_style.is_none() && words.iter().any(|wanted| word.value.eq_ignore_ascii_case(wanted))
        }
        _ => false,
    };
    tokens.iter().find(is_one).map(place)
}

/// The place of what follows a word.
fn after(tokens: &[TokenWithSpan], word: &str) -> Option<Position> {
    let found = find(tokens, &[word])?;
    tokens.iter().map(place).find(|position| (position.line, position.column) > (found.line, found.column))
}

fn place(token: &TokenWithSpan) -> Position {
    Position { line: token.span.start.line, column: token.span.start.column }
}
