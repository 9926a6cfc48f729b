//! `*` in a statement that names a pseudo-column: it leaves the pseudo-columns out.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins, WildcardAdditionalOptions,
};

use super::Scope;
use crate::names::fold;

/// What a `*` takes of one relation.
struct Part {
    /// As `name.*` has it.
    name: ObjectName,
    /// The columns left out.
    except: Vec<String>,
    /// Columns of a later relation that stand before this one's.
    before: Vec<SelectItem>,
}

/// Adds `EXCEPT (_partition, …)` to wildcards over relations that have hidden columns. Over several relations a name alone would
/// be ambiguous, so that `*` becomes one wildcard for each of them.
pub(super) fn narrow(select: &mut Select, scope: &dyn Scope, ctes: &HashSet<String>) {
    let parts: Option<Vec<Part>> = select
        .from
        .iter()
        .map(|table| parts_of(table, scope, ctes))
        .collect::<Option<Vec<_>>>()
        .map(|parts| parts.into_iter().flatten().collect());
    let factors: Vec<&TableFactor> = select
        .from
        .iter()
        .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)))
        .collect();
    let hidden: Vec<(Option<String>, Vec<String>)> = factors
        .into_iter()
        .map(|factor| (name_of(factor).map(|name| last(&name)), hidden(factor, scope, ctes)))
        .collect();
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match (item, &parts) {
            (SelectItem::Wildcard(options), Some(parts)) if hidden.len() > 1 && is_plain(&options) => {
                for part in parts {
                    let mut options = options.clone();
                    except(&mut options, &part.except);
                    let name = SelectItemQualifiedWildcardKind::ObjectName(part.name.clone());
                    items.extend(part.before.iter().cloned());
                    items.push(SelectItem::QualifiedWildcard(name, options));
                }
            }
            (SelectItem::Wildcard(mut options), _) => {
                let all: Vec<String> = hidden.iter().flat_map(|(_, hidden)| hidden.iter().cloned()).collect();
                except(&mut options, &all);
                items.push(SelectItem::Wildcard(options));
            }
            (SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), mut options), _) => {
                let wanted = Some(last(&name));
                if let Some((_, hidden)) = hidden.iter().find(|(alias, _)| *alias == wanted) {
                    except(&mut options, hidden);
                }
                items.push(SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options));
            }
            (other, _) => items.push(other),
        }
    }
    select.projection = items;
}

/// The parts of `*` in their order; `None` where a relation has no name to write them with.
fn parts_of(table: &TableWithJoins, scope: &dyn Scope, ctes: &HashSet<String>) -> Option<Vec<Part>> {
    use JoinOperator::{Anti, LeftAnti, LeftSemi, Right, RightAnti, RightOuter, RightSemi, Semi};
    let part = |factor: &TableFactor| {
        Some(Part { name: name_of(factor)?, except: hidden(factor, scope, ctes), before: Vec::new() })
    };
    let mut parts = vec![part(&table.relation)?];
    for join in &table.joins {
        let mut right = part(&join.relation)?;
        let using = using(&join.join_operator)?;
        match &join.join_operator {
            Semi(_) | LeftSemi(_) | Anti(_) | LeftAnti(_) => continue,
            RightSemi(_) | RightAnti(_) => parts.clear(),
            // What both have in common is shown once, from the side that is always there, and first.
            Right(_) | RightOuter(_) => {
                if let Some(first) = parts.first_mut() {
                    // Of several such joins the last one's.
                    first.before = using.iter().map(|column| column_of(&right.name, column)).collect();
                }
                for left in &mut parts {
                    left.except.extend(using.iter().cloned());
                }
                right.except.extend(using);
            }
            _ => right.except.extend(using),
        }
        let columns = match &join.relation {
            TableFactor::Table { name, .. } => scope.columns(name),
            _ => None,
        };
        // A wildcard that leaves everything out is none.
        if !columns.is_some_and(|columns| columns.iter().all(|column| right.except.contains(column))) {
            parts.push(right);
        }
    }
    Some(parts)
}

/// The columns of USING; `None` where they are not known.
fn using(operator: &JoinOperator) -> Option<Vec<String>> {
    use JoinOperator::{
        Anti, CrossJoin, FullOuter, Inner, Join, Left, LeftAnti, LeftOuter, LeftSemi, Right, RightAnti, RightOuter,
        RightSemi, Semi,
    };
    let constraint = match operator {
        Join(constraint)
        | Inner(constraint)
        | Left(constraint)
        | LeftOuter(constraint)
        | Right(constraint)
        | RightOuter(constraint)
        | FullOuter(constraint)
        | CrossJoin(constraint)
        | Semi(constraint)
        | LeftSemi(constraint)
        | RightSemi(constraint)
        | Anti(constraint)
        | LeftAnti(constraint)
        | RightAnti(constraint) => constraint,
        _ => return None,
    };
    match constraint {
        JoinConstraint::Using(names) => Some(names.iter().map(last).collect()),
        JoinConstraint::Natural => None,
        JoinConstraint::On(_) | JoinConstraint::None => Some(Vec::new()),
    }
}

fn column_of(relation: &ObjectName, column: &str) -> SelectItem {
    let parts = relation.0.iter().filter_map(|part| part.as_ident()).cloned();
    SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts.chain([Ident::with_quote('"', column)]).collect()))
}

fn name_of(factor: &TableFactor) -> Option<ObjectName> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(ObjectName::from(alias.name.clone()))
        }
        TableFactor::Table { name, .. } => Some(name.clone()),
        _ => None,
    }
}

fn hidden(factor: &TableFactor, scope: &dyn Scope, ctes: &HashSet<String>) -> Vec<String> {
    let TableFactor::Table { name, .. } = factor else { return Vec::new() };
    if name.0.len() == 1 && ctes.contains(&last(name)) {
        return Vec::new();
    }
    scope.hidden(name).into_iter().map(str::to_owned).collect()
}

fn last(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default()
}

fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    let WildcardAdditionalOptions { opt_ilike, opt_exclude, opt_except, opt_replace, opt_rename, .. } = options;
    opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
}

fn except(options: &mut WildcardAdditionalOptions, hidden: &[String]) {
    let mut names: Vec<Ident> = options
        .opt_except
        .take()
        .map(|except| std::iter::once(except.first_element).chain(except.additional_elements).collect())
        .unwrap_or_default();
    for name in hidden {
        if !names.iter().any(|known| fold(known) == *name) {
            names.push(Ident::with_quote('"', name));
        }
    }
    let mut names = names.into_iter();
    options.opt_except =
        names.next().map(|first_element| ExceptSelectItem { first_element, additional_elements: names.collect() });
}
