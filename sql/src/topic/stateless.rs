//! A stateless step in logical form: filters and expressions over one table's columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult};
use datafusion::logical_expr::{Expr, ScalarUDF};

use crate::plugin::plugin_of;
use crate::pseudo;

/// One output column.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) field: Field,
    /// Over the columns of [`Stateless::input`], unqualified, of the field's type.
    pub(crate) expr: Expr,
}

/// Filters, then expressions, over the columns of one table.
#[derive(Debug, Clone)]
pub(crate) struct Stateless {
    /// The table's columns at the schema version this was planned for, then the pseudo-columns.
    pub(crate) input: SchemaRef,
    /// How many of `input` are the table's own.
    pub(crate) columns: usize,
    /// Applied in this order; a later one sees only rows that passed the earlier ones.
    pub(crate) filters: Vec<Expr>,
    pub(crate) outputs: Vec<Output>,
}

impl Stateless {
    /// A table's rows unchanged.
    pub(crate) fn identity(schema: &Schema) -> Stateless {
        let input = Arc::new(pseudo::extend(schema));
        let outputs = schema
            .fields()
            .iter()
            .map(|field| Output { field: field.as_ref().clone(), expr: column(field.name()) })
            .collect();
        Stateless { input, columns: schema.fields().len(), filters: Vec::new(), outputs }
    }

    /// Adds those pseudo-columns to the outputs that have no column of their name; gives their names.
    pub(crate) fn add_pseudo(&mut self) -> Vec<&'static str> {
        let mut added = Vec::new();
        for (name, field) in pseudo::NAMES.into_iter().zip(pseudo::fields()) {
            if !self.outputs.iter().any(|output| output.field.name() == name) {
                self.outputs.push(Output { field, expr: column(name) });
                added.push(name);
            }
        }
        added
    }

    /// The schema of what it gives.
    pub(crate) fn output_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.outputs.iter().map(|output| output.field.clone()).collect::<Vec<_>>()))
    }

    /// Whether it gives the table's columns of `schema` unchanged, and all of them.
    pub(crate) fn is_identity(&self, schema: &Schema) -> bool {
        let unchanged = |(output, field): (&Output, &Arc<Field>)| {
            matches!(&output.expr, Expr::Column(column) if column.name == *field.name())
                && output.field.name() == field.name()
                && output.field.data_type() == field.data_type()
        };
        self.filters.is_empty()
            && self.outputs.len() == schema.fields().len()
            && self.outputs.iter().zip(schema.fields()).all(unchanged)
    }

    /// A query over this: filters and columns of the outputs, in terms of the input.
    pub(crate) fn narrow(&self, filters: &[Expr], projection: Option<&[usize]>) -> DfResult<Stateless> {
        let mut narrowed = self.clone();
        for filter in filters {
            narrowed.filters.push(self.inline(filter.clone())?);
        }
        if let Some(projection) = projection {
            narrowed.outputs = projection.iter().filter_map(|index| self.outputs.get(*index).cloned()).collect();
        }
        Ok(narrowed)
    }

    /// An expression over the outputs as one over the input.
    pub(crate) fn inline(&self, expr: Expr) -> DfResult<Expr> {
        let inlined = expr.transform_up(|node| match &node {
            Expr::Column(column) => match self.outputs.iter().find(|output| output.field.name() == &column.name) {
                Some(output) => Ok(Transformed::yes(output.expr.clone())),
                None => datafusion::common::plan_err!("column {} is not there", column.name),
            },
            _ => Ok(Transformed::no(node)),
        })?;
        Ok(inlined.data)
    }

    /// Every function called, by name, and every plugin among them.
    pub(crate) fn functions(&self) -> (BTreeSet<String>, Vec<Arc<ScalarUDF>>) {
        let (mut names, mut plugins) = (BTreeSet::new(), Vec::<Arc<ScalarUDF>>::new());
        let expressions = self.filters.iter().chain(self.outputs.iter().map(|output| &output.expr));
        for expr in expressions {
            let walked: DfResult<TreeNodeRecursion> = expr.apply(|node| {
                if let Expr::ScalarFunction(call) = node {
                    match plugin_of(&call.func) {
                        Some(_) if !plugins.contains(&call.func) => plugins.push(Arc::clone(&call.func)),
                        Some(_) => {}
                        None => {
                            names.insert(call.func.name().to_owned());
                        }
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            });
            debug_assert!(walked.is_ok(), "the walk itself cannot fail");
        }
        (names, plugins)
    }
}

/// A column of the input.
pub(crate) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
