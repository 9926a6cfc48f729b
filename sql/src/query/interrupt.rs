//! Joins that can be ended. A join may work for hours between two rows that it gives, or give millions of batches for one that
//! it takes, without coming back to its runtime: neither could it be aborted then, nor would its thread do anything else.

use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DfResult, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder};

use crate::Error;
use crate::convert::into_datafusion;
use crate::threads::{Stop, waiting};

/// How long a join keeps a thread from other work.
const TURN: Duration = Duration::from_millis(10);

/// Makes the joins of a plan, which is executed once, look at `stop` and give way to others.
pub(crate) fn interruptible(plan: Arc<dyn ExecutionPlan>, stop: &Stop) -> DfResult<Arc<dyn ExecutionPlan>> {
    let watched = plan.transform_up(|node| {
        let join: Arc<dyn ExecutionPlan> = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            let filter = join.filter().map(|filter| watched(filter, stop));
            Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?)
        } else if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            join.builder().with_filter(join.filter().map(|filter| watched(filter, stop))).build_exec()?
        } else if node.is::<CrossJoinExec>() {
            node
        } else {
            return Ok(Transformed::no(node));
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(join))))
    })?;
    Ok(watched.data)
}

fn watched(filter: &JoinFilter, stop: &Stop) -> JoinFilter {
    let expression = Arc::new(Watched { condition: Arc::clone(filter.expression()), stop: stop.clone() });
    JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// The condition of a join, which is asked batch by batch however few rows it lets through.
#[derive(Debug, Clone)]
struct Watched {
    condition: Arc<dyn PhysicalExpr>,
    stop: Stop,
}

impl Watched {
    fn look(&self) -> DfResult<()> {
        if self.stop.is_set() {
            return Err(into_datafusion(Error::Execution("the statement was ended".to_owned())));
        }
        thread_local!(static TURN_BEGAN: Cell<Option<Instant>> = const { Cell::new(None) });
        let now = Instant::now();
        if TURN_BEGAN.get().is_none_or(|began| now.duration_since(began) >= TURN) {
            TURN_BEGAN.set(Some(now));
            // Another thread takes over what waits for this one.
            waiting(|| ());
        }
        Ok(())
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Watched) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for Watched {
    fn return_field(&self, schema: &Schema) -> DfResult<FieldRef> {
        self.condition.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        self.look()?;
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> DfResult<Arc<dyn PhysicalExpr>> {
        match children.pop() {
            Some(condition) => Ok(Arc::new(Watched { condition, stop: self.stop.clone() })),
            None => internal_err!("a condition is gone"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}
