//! A bound on the steps of WITH RECURSIVE: one whose steps never come to an end would run until somebody cancels it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

use crate::Error;
use crate::convert::into_datafusion;

/// Puts a counter upon the part that every step executes.
#[derive(Debug)]
pub(super) struct BoundRecursion {
    /// Steps of one WITH RECURSIVE.
    pub(super) limit: u64,
}

impl PhysicalOptimizerRule for BoundRecursion {
    fn name(&self) -> &str {
        "bound_recursion"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> DfResult<Arc<dyn ExecutionPlan>> {
        let bounded = plan.transform_up(|node| {
            let Some(query) = node.downcast_ref::<RecursiveQueryExec>() else { return Ok(Transformed::no(node)) };
            let (start, step) = (Arc::clone(query.static_term()), Arc::clone(query.recursive_term()));
            let name = query.name().to_owned();
            let counted = Arc::new(CountedSteps { step, name, limit: self.limit, taken: Arc::new(AtomicU64::new(0)) });
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            Ok(Transformed::yes(node.replace_children(vec![start, counted], options)?))
        })?;
        Ok(bounded.data)
    }
}

/// Fails when it is executed too often.
#[derive(Debug)]
struct CountedSteps {
    step: Arc<dyn ExecutionPlan>,
    name: String,
    limit: u64,
    /// Shared with the copies that each step is reset to.
    taken: Arc<AtomicU64>,
}

impl DisplayAs for CountedSteps {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountedSteps: limit={}", self.limit)
    }
}

impl ExecutionPlan for CountedSteps {
    fn name(&self) -> &str {
        "CountedSteps"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.step.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.step]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(step) => {
                let taken = Arc::clone(&self.taken);
                Ok(Arc::new(CountedSteps { step, name: self.name.clone(), limit: self.limit, taken }))
            }
            None => internal_err!("the steps of a recursion are gone"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.limit {
            let message = format!(
                "WITH RECURSIVE {:?} has taken {} steps, which is the limit; give its steps a condition that ends them",
                self.name, self.limit
            );
            return Err(into_datafusion(Error::Invalid { message, position: None }));
        }
        self.step.execute(partition, context)
    }
}
