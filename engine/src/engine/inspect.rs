//! Segments, figures and events.

use crate::*;

#[allow(unused_variables, clippy::unimplemented, reason = "signatures first: bodies land with their modules")]
impl Engine {
    pub fn segments(&self, who: &Principal) -> Result<Vec<SegmentInfo>> {
        unimplemented!()
    }
    /// Figures for `system.log` and `/metrics`.
    pub fn stats(&self) -> EngineStats {
        unimplemented!()
    }
    /// What opening and running found worth telling an operator: cut tails, raised epochs, skipped rows.
    pub fn events(&self) -> Vec<EngineEvent> {
        unimplemented!()
    }
}
