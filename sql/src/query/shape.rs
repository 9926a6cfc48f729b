//! Bounds on what a statement grows to when it is planned, which its text does not show: common table expressions are
//! written out wherever they are named, a list of tables becomes a chain of joins, and some constructs are planned twice.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Select, Spanned, TableFactor, Visit, Visitor};

use crate::names::{fold, position};
use crate::{Error, Position, Result};

/// Steps upon one another, common table expressions written out: a join is one, a query two. Stack and, for joins, time
/// with its third power grow with it.
const MAX_STEPS: usize = 100;
/// Tables that are read in all, common table expressions written out.
const MAX_RELATIONS: usize = 1000;
/// Sub-queries in expressions, one inside of another: each level doubles the time to plan.
const MAX_SUBQUERIES: usize = 8;
/// BETWEEN within BETWEEN: each level doubles the expression.
const MAX_BETWEEN: usize = 8;

/// Refuses statements that grow too much.
pub(crate) fn check_shape(node: &impl Visit) -> Result<()> {
    let mut checker = Checker { frames: vec![Frame::default()], between: 0 };
    match node.visit(&mut checker) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// How large a query is when it is written out.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    relations: usize,
    /// Joins and queries, one inside of another.
    steps: usize,
    /// Sub-queries in expressions, one inside of another.
    subqueries: usize,
}

/// A query, a SELECT, or a sub-query in an expression that is being visited.
#[derive(Debug, Default)]
struct Frame {
    /// Tables and queries that FROM names here.
    joined: usize,
    /// All that lies below.
    below: Size,
    /// Common table expressions that are still to be visited, in order.
    coming: VecDeque<String>,
    named: HashMap<String, Size>,
}

impl Frame {
    fn add(&mut self, size: Size) {
        self.below.relations = self.below.relations.saturating_add(size.relations);
        self.below.steps = self.below.steps.max(size.steps);
        self.below.subqueries = self.below.subqueries.max(size.subqueries);
    }

    fn size(&self) -> Size {
        Size { steps: self.below.steps + self.joined.max(1), ..self.below }
    }
}

struct Checker {
    frames: Vec<Frame>,
    between: usize,
}

impl Checker {
    fn here(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }

    /// Ends a frame and gives what it comes to.
    fn pop(&mut self) -> Size {
        self.frames.pop().map(|frame| frame.size()).unwrap_or_default()
    }

    /// Adds a part to the current frame.
    fn add(&mut self, size: Size, position: Option<Position>) -> ControlFlow<Error> {
        let Some(here) = self.frames.last_mut() else { return ControlFlow::Continue(()) };
        here.add(size);
        let total = here.size();
        let message = if total.relations > MAX_RELATIONS {
            format!(
                "the statement reads more than {MAX_RELATIONS} tables, where those of a WITH count each time they are named"
            )
        } else if total.steps > MAX_STEPS {
            format!(
                "the statement stacks too many joins and queries upon one another: where a join counts for 1 and a query \
                 for 2, the limit is {MAX_STEPS}"
            )
        } else if total.subqueries > MAX_SUBQUERIES {
            format!("sub-queries in expressions stand inside of one another more than {MAX_SUBQUERIES} levels deep")
        } else {
            return ControlFlow::Continue(());
        };
        ControlFlow::Break(Error::Unsupported { message, position })
    }

    fn named(&self, name: &ObjectName) -> Option<Size> {
        let [part] = name.0.as_slice() else { return None };
        let name = fold(part.as_ident()?);
        self.frames.iter().rev().find_map(|frame| frame.named.get(&name).copied())
    }
}

impl Visitor for Checker {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let coming = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| fold(&cte.alias.name)).collect();
        self.frames.push(Frame { coming, ..Frame::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let size = self.pop();
        // The parts of a WITH are visited in order, before all else of the query.
        if let Some(here) = self.here()
            && let Some(name) = here.coming.pop_front()
        {
            here.named.insert(name, size);
            return ControlFlow::Continue(());
        }
        self.add(size, Position::of(query.span()))
    }

    fn pre_visit_select(&mut self, _: &Select) -> ControlFlow<Error> {
        self.frames.push(Frame::default());
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        let size = self.pop();
        self.add(size, Position::of(select.span()))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        let Some(here) = self.here() else { return ControlFlow::Continue(()) };
        here.joined += 1;
        self.add(Size::default(), Position::of(factor.span()))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Error> {
        let size = self.named(relation).unwrap_or(Size { relations: 1, ..Size::default() });
        self.add(size, position(relation))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => self.frames.push(Frame::default()),
            Expr::Between { .. } => self.between += 1,
            _ => {}
        }
        if self.between > MAX_BETWEEN {
            let message = format!("BETWEEN stands inside of BETWEEN more than {MAX_BETWEEN} levels deep");
            return ControlFlow::Break(Error::Unsupported { message, position: Position::of(expr.span()) });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                let size = self.pop();
                self.add(Size { subqueries: size.subqueries + 1, ..size }, Position::of(expr.span()))
            }
            Expr::Between { .. } => {
                self.between -= 1;
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
