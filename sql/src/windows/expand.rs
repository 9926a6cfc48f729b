//! Calls written out: what they stand for in DataFusion's words.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use super::call::{Source, WindowCall};
use super::spec::WindowKind;
use super::{COLUMNS, functions};
use crate::names::{literal, position};
use crate::{Error, Result, parse};

/// Stands in the text for the column with the time.
const TIME: &str = "\u{1}time";
/// Stands in the text for what is parted.
const SOURCE: &str = "\u{1}source";

/// Writes out all calls in a statement. `columns` are those of a table.
pub(crate) fn expand(node: &mut impl VisitMut, columns: &dyn Fn(&ObjectName) -> Option<Vec<String>>) -> Result<()> {
    struct Expander<'a>(&'a dyn Fn(&ObjectName) -> Option<Vec<String>>);
    impl VisitorMut for Expander<'_> {
        type Break = Error;
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
            match WindowCall::of(factor).and_then(|call| call.map(|call| written_out(call, self.0)).transpose()) {
                Ok(Some(written)) => *factor = written,
                Ok(None) => {}
                Err(error) => return ControlFlow::Break(error),
            }
            ControlFlow::Continue(())
        }
    }
    match node.visit(&mut Expander(columns)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The first call in a query.
pub(crate) fn first_call(query: &Query) -> Result<Option<WindowCall>> {
    struct Finder;
    impl Visitor for Finder {
        type Break = Result<WindowCall>;
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Result<WindowCall>> {
            match WindowCall::of(factor).transpose() {
                Some(found) => ControlFlow::Break(found),
                None => ControlFlow::Continue(()),
            }
        }
    }
    match query.visit(&mut Finder) {
        ControlFlow::Break(found) => found.map(Some),
        ControlFlow::Continue(()) => Ok(None),
    }
}

/// Refuses a table that has columns of the names that windows have.
fn check_columns(table: &ObjectName, columns: &[String]) -> Result<()> {
    match columns.iter().find(|column| COLUMNS.contains(&column.as_str())) {
        None => Ok(()),
        Some(column) => {
            let message = format!(
                "{table} has a column {column} of its own; give it another name in a sub-query: \
                 TUMBLE((SELECT {column} AS …, … FROM {table}), DESCRIPTOR(…), …)"
            );
            Err(Error::Invalid { message, position: position(table) })
        }
    }
}

fn written_out(call: WindowCall, columns: &dyn Fn(&ObjectName) -> Option<Vec<String>>) -> Result<TableFactor> {
    if let Source::Table(name) = &call.source
        && let Some(columns) = columns(name)
    {
        check_columns(name, &columns)?;
    }
    let [start, end, time] = COLUMNS;
    let spec = literal(&call.spec.to_string());
    let ends = match call.spec.kind {
        WindowKind::Tumble => format!("{}(\"{TIME}\", {spec})", functions::END),
        WindowKind::Hop | WindowKind::Cumulate => format!("unnest({}(\"{TIME}\", {spec}))", functions::ENDS),
    };
    let text = format!(
        "SELECT * EXCEPT ({end}), {}({end}, {spec}) AS {start}, {end}, {}({end}, {spec}) AS {time} \
         FROM (SELECT *, {ends} AS {end} FROM \"{SOURCE}\" WHERE \"{TIME}\" IS NOT NULL)",
        functions::START,
        functions::TIME,
    );
    let mut query = parse::parse_query_at(&text, call.span)?;
    let _ = VisitMut::visit(&mut query, &mut Filler { source: &call.source, time: &call.time });
    Ok(TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: call.alias, sample: None })
}

/// Puts what was written into the places of the text.
struct Filler<'a> {
    source: &'a Source,
    time: &'a Ident,
}

impl VisitorMut for Filler<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor
            && name.0.iter().filter_map(|part| part.as_ident()).any(|ident| ident.value == SOURCE)
        {
            match self.source {
                Source::Table(table) => table.clone_into(name),
                Source::Query(query) => {
                    *factor =
                        TableFactor::Derived { lateral: false, subquery: query.clone(), alias: None, sample: None };
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && ident.value == TIME
        {
            self.time.clone_into(ident);
        }
        ControlFlow::Continue(())
    }
}
