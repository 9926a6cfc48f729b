//! `*` in a statement that names a pseudo-column, which it leaves out, and over outer joins with columns in common.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Ident, ObjectName, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor,
    TableWithJoins, WildcardAdditionalOptions,
};

use super::Scope;
use super::using::{self, Joined, Kind, Pair};
use crate::names::fold;
use crate::{Error, Position, Result};

/// What a `*` takes of one relation.
struct Part {
    /// As `name.*` has it.
    name: ObjectName,
    /// The columns left out.
    except: Vec<String>,
    /// All that it has, where that is known.
    columns: Option<Vec<String>>,
    /// Columns of later relations that stand before this one's.
    before: Vec<(String, SelectItem)>,
}

impl Part {
    /// Whether a wildcard would leave everything out, which is an error.
    fn is_empty(&self) -> bool {
        self.columns.as_ref().is_some_and(|columns| columns.iter().all(|column| self.except.contains(column)))
    }
}

/// Adds `EXCEPT (_partition, …)` to wildcards over relations that have hidden columns. Over several relations a name alone would
/// be ambiguous, so that `*` becomes one wildcard for each of them.
pub(super) fn narrow(select: &mut Select, scope: &dyn Scope, ctes: &HashSet<String>, pseudo: bool) -> Result<()> {
    let is_outer = using::is_outer(select);
    let parts: Option<Vec<Part>> = select
        .from
        .iter()
        .map(|table| parts_of(table, scope, ctes, pseudo))
        .collect::<Option<Vec<_>>>()
        .map(|parts| parts.into_iter().flatten().collect());
    let factors: Vec<&TableFactor> = select
        .from
        .iter()
        .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)))
        .collect();
    let hidden: Vec<(Option<String>, Vec<String>)> = factors
        .into_iter()
        .map(|factor| (name_of(factor).map(|name| last(&name)), hidden(factor, scope, ctes, pseudo)))
        .collect();
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match (item, &parts) {
            (SelectItem::Wildcard(options), Some(parts)) if hidden.len() > 1 && is_plain(&options) => {
                for part in parts {
                    items.extend(part.before.iter().map(|(_, item)| item.clone()));
                    if part.is_empty() {
                        continue;
                    }
                    let mut options = options.clone();
                    except(&mut options, &part.except);
                    let name = SelectItemQualifiedWildcardKind::ObjectName(part.name.clone());
                    items.push(SelectItem::QualifiedWildcard(name, options));
                }
            }
            (SelectItem::Wildcard(options), _) if is_outer => {
                let message = "* over an outer join with USING is offered as it is, over tables and sub-queries that have a name; \
                               list the columns, or write ON";
                let position = Position::of(options.wildcard_token.0.span);
                return Err(Error::Unsupported { message: message.to_owned(), position });
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
    Ok(())
}

/// The parts of `*` in their order; `None` where a relation has no name to write them with.
fn parts_of(table: &TableWithJoins, scope: &dyn Scope, ctes: &HashSet<String>, pseudo: bool) -> Option<Vec<Part>> {
    let part = |factor: &TableFactor| {
        let columns = columns(factor, scope, ctes);
        Some(Part { name: name_of(factor)?, except: hidden(factor, scope, ctes, pseudo), columns, before: Vec::new() })
    };
    let mut parts = vec![part(&table.relation)?];
    let mut joined = Joined::new(&table.relation, scope, ctes)?;
    for join in &table.joins {
        let mut right = part(&join.relation)?;
        let (kind, pairs) = joined.join(join)?;
        let using: Vec<String> = pairs.iter().map(|pair| pair.column.clone()).collect();
        match kind {
            Kind::OnlyLeft => continue,
            Kind::OnlyRight => parts.clear(),
            // What both have in common is shown once, as it is always there, and first.
            Kind::Right | Kind::Full => {
                if let Some(first) = parts.first_mut() {
                    // Those of earlier joins follow, but for what this one has in common with them.
                    let earlier = std::mem::take(&mut first.before);
                    let earlier = earlier.into_iter().filter(|(column, _)| !using.contains(column));
                    let shown = |pair: &Pair| Some((pair.column.clone(), pair.shown(kind)?));
                    first.before = pairs.iter().map(shown).collect::<Option<_>>()?;
                    first.before.extend(earlier);
                }
                for left in &mut parts {
                    // A wildcard can't leave out what its relation lacks.
                    let lacks = |column: &&String| left.columns.as_ref().is_some_and(|all| !all.contains(column));
                    let has: Vec<String> = using.iter().filter(|column| !lacks(column)).cloned().collect();
                    left.except.extend(has);
                }
                right.except.extend(using);
            }
            Kind::Inner | Kind::Left => right.except.extend(using),
        }
        parts.push(right);
    }
    Some(parts)
}

pub(super) fn name_of(factor: &TableFactor) -> Option<ObjectName> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(ObjectName::from(alias.name.clone()))
        }
        TableFactor::Table { name, args: None, .. } => Some(name.clone()),
        _ => None,
    }
}

fn hidden(factor: &TableFactor, scope: &dyn Scope, ctes: &HashSet<String>, pseudo: bool) -> Vec<String> {
    let TableFactor::Table { name, .. } = factor else { return Vec::new() };
    if !pseudo || name.0.len() == 1 && ctes.contains(&last(name)) {
        return Vec::new();
    }
    scope.hidden(name).into_iter().map(str::to_owned).collect()
}

/// The columns of a table by its name; `None` for other relations.
pub(super) fn columns(factor: &TableFactor, scope: &dyn Scope, ctes: &HashSet<String>) -> Option<Vec<String>> {
    match factor {
        TableFactor::Table { name, args: None, .. } if name.0.len() > 1 || !ctes.contains(&last(name)) => {
            super::columns::columns(factor, scope)
        }
        _ => None,
    }
}

pub(super) fn last(name: &ObjectName) -> String {
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
