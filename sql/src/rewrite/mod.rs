//! What is changed in a query's syntax tree before DataFusion plans it: plugins are found, `p()` gets the plugin's
//! declared columns, `*` leaves out the pseudo-columns, and named arguments of `poll` take their places.

mod columns;
mod using;
mod wildcards;

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Query, Select, SetExpr, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::names::{fold, ident_position};
use crate::plugin::Plugin;
use crate::{Error, Result, poll, pseudo, values};

/// What a rewrite asks about the world.
pub(crate) trait Scope {
    /// The pseudo-columns of a relation that `*` must leave out.
    fn hidden(&self, relation: &ObjectName) -> Vec<&'static str>;
    /// The columns of a table or topic but for its pseudo-columns; `None` for other relations.
    fn columns(&self, relation: &ObjectName) -> Option<Vec<String>>;
    /// The function or plugin of this (folded) name in the current namespace.
    fn plugin(&self, name: &str) -> Result<Option<Plugin>>;
}

/// Whether a statement names a pseudo-column anywhere.
pub(crate) fn names_pseudo(node: &impl Visit) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let named = match expr {
                Expr::Identifier(ident) => pseudo::is_pseudo(&fold(ident)),
                Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|ident| pseudo::is_pseudo(&fold(ident))),
                _ => false,
            };
            if named { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    node.visit(&mut Finder).is_break()
}

/// Rewrites `node` in place; gives the plugins it calls, by name.
pub(crate) fn rewrite(
    node: &mut impl VisitMut,
    scope: &dyn Scope,
    functions: &SessionState,
    pseudo: bool,
) -> Result<BTreeMap<String, Plugin>> {
    let mut rewriter = Rewriter { scope, functions, pseudo, ctes: HashSet::new(), plugins: BTreeMap::new() };
    match node.visit(&mut rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(rewriter.plugins),
    }
}

struct Rewriter<'a> {
    scope: &'a dyn Scope,
    functions: &'a SessionState,
    pseudo: bool,
    ctes: HashSet<String>,
    plugins: BTreeMap<String, Plugin>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| fold(&cte.alias.name)));
        }
        columns::mark_step_casts(query);
        if let (SetExpr::Select(select), Some(order)) = (query.body.as_mut(), &mut query.order_by) {
            match self.select(select) {
                Ok(common) => using::write_out_order(order, select, &common),
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        self.select(select).map_or_else(ControlFlow::Break, |_| ControlFlow::Continue(()))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::Table { name, args: Some(args), .. } = factor
            && let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice()
            && fold(ident) == poll::NAME
        {
            // DataFusion looks table functions up by their text.
            *ident = Ident { value: poll::NAME.to_owned(), quote_style: None, span: ident.span };
            if let Err(error) = poll::place_arguments(&mut args.args) {
                return ControlFlow::Break(error);
            }
        }
        if self.pseudo {
            columns::extend_alias(factor, self.scope);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let rewritten = match expr {
            Expr::Function(function) => self.resolve_plugin(function),
            _ => values::rewrite_syntax(expr),
        };
        rewritten.map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

impl Rewriter<'_> {
    /// Does nothing more when it is done again. Gives what columns that joins have in common stand for.
    fn select(&self, select: &mut Select) -> Result<Vec<(String, Expr)>> {
        columns::write_out_natural(select, self.scope, self.pseudo)?;
        let is_outer = using::is_outer(select);
        if self.pseudo || is_outer {
            wildcards::narrow(select, self.scope, &self.ctes, self.pseudo)?;
        }
        let common = if is_outer { using::write_out(select, self.scope, &self.ctes)? } else { Vec::new() };
        columns::name_duplicates(select);
        Ok(common)
    }

    fn resolve_plugin(&mut self, function: &mut Function) -> Result<()> {
        let [part] = function.name.0.as_slice() else { return Ok(()) };
        let Some(ident) = part.as_ident().cloned() else { return Ok(()) };
        let name = fold(&ident);
        if is_builtin(self.functions, &name) {
            return Ok(());
        }
        let plugin = match self.plugins.get(&name) {
            Some(plugin) => plugin.clone(),
            None => match self.scope.plugin(&name)? {
                Some(plugin) => plugin,
                None => return Ok(()),
            },
        };
        if let Some(given) = argument_count(&function.args) {
            let parameters = &plugin.parameters;
            if given == 0 {
                function.args = columns_of(parameters.iter().map(|(name, _)| name.as_str()), &ident);
            } else if given != parameters.len() {
                let wanted: Vec<_> = parameters.iter().map(|(name, data_type)| format!("{name} {data_type}")).collect();
                let message = format!("{name} takes ({}), or () for columns of these names", wanted.join(", "));
                return Err(Error::Invalid { message, position: ident_position(&ident) });
            }
        }
        self.plugins.insert(name, plugin);
        Ok(())
    }
}

/// Whether DataFusion has a function of this name.
pub(crate) fn is_builtin(functions: &SessionState, name: &str) -> bool {
    functions.scalar_functions().contains_key(name)
        || functions.aggregate_functions().contains_key(name)
        || functions.window_functions().contains_key(name)
        || functions.table_functions().contains_key(name)
        || functions.higher_order_functions().contains_key(name)
        || SPECIAL_FORMS.contains(&name)
}

/// Function-like syntax that DataFusion's planner handles itself.
const SPECIAL_FORMS: [&str; 4] = ["unnest", "grouping", "struct", "exists"];

/// How many plain arguments a call has; `None` when it has something else in its parentheses.
fn argument_count(arguments: &FunctionArguments) -> Option<usize> {
    match arguments {
        FunctionArguments::None => Some(0),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list) => Some(list.args.len()),
    }
}

fn columns_of<'a>(names: impl Iterator<Item = &'a str>, call: &Ident) -> FunctionArguments {
    let argument = |name: &str| {
        let ident = Ident { value: name.to_owned(), quote_style: Some('"'), span: call.span };
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(ident)))
    };
    let args = names.map(argument).collect();
    FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() })
}
