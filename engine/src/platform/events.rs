//! What an operator should hear of: a bounded ring for `system.log`, and a line in the process's log.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::EngineEvent;
use crate::platform::Clock;

/// Events kept; older ones are only in the process's log.
const KEPT: usize = 1_024;

/// The newest events, oldest first.
#[derive(Debug)]
pub(crate) struct Events {
    clock: Arc<dyn Clock>,
    ring: Mutex<VecDeque<EngineEvent>>,
}

impl Events {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Events {
        Events { clock, ring: Mutex::default() }
    }

    /// Records an event and logs it as a warning.
    pub(crate) fn push(&self, kind: &'static str, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!(kind, "{message}");
        let mut ring = self.ring.lock();
        if ring.len() == KEPT {
            ring.pop_front();
        }
        ring.push_back(EngineEvent { at_us: self.clock.wall_us(), kind, message });
    }

    pub(crate) fn list(&self) -> Vec<EngineEvent> {
        self.ring.lock().iter().cloned().collect()
    }
}
