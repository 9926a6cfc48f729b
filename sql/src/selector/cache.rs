//! Filters in use, each compiled once for all who ask for the same.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millstream_engine::Error as EngineError;
use parking_lot::Mutex;

use super::columns::PropertyNames;
use super::filter::{Charge, MessageFilter, bytes_of};
use crate::Result;
use crate::plugin::Callables;

/// Filters that are kept for who asks next.
const KEPT: usize = 256;
/// What all may take, those included that somebody holds and that are kept no more.
const MAX_BYTES: usize = 16 << 20;

/// The filters of one engine.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    /// The newest last.
    kept: Mutex<VecDeque<Kept>>,
    used: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Kept {
    namespace: String,
    expression: String,
    filter: Arc<MessageFilter>,
}

impl Filters {
    /// The filter of an expression, with the plugins of a namespace as they are now.
    pub(crate) fn get(
        &self,
        namespace: &str,
        expression: &str,
        names: PropertyNames,
        callables: &dyn Callables,
    ) -> Result<Arc<MessageFilter>> {
        let found =
            self.kept.lock().iter().find(|kept| kept.is(namespace, expression, names)).map(|kept| kept.filter.clone());
        if let Some(filter) = found
            && is_current(&filter, callables)?
        {
            return Ok(filter);
        }
        let charge = self.charge(bytes_of(expression))?;
        let filter = Arc::new(MessageFilter::compile(expression, callables, names, charge)?);
        let mut kept = self.kept.lock();
        kept.retain(|other| !other.is(namespace, expression, names));
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        let (namespace, expression) = (namespace.to_owned(), expression.to_owned());
        kept.push_back(Kept { namespace, expression, filter: Arc::clone(&filter) });
        Ok(filter)
    }

    fn charge(&self, bytes: usize) -> Result<Charge> {
        let charge = Charge { used: Arc::clone(&self.used), bytes };
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= MAX_BYTES {
            return Ok(charge);
        }
        self.kept.lock().clear();
        match self.used.load(Ordering::Relaxed) <= MAX_BYTES {
            true => Ok(charge),
            false => Err(EngineError::Busy(format!("filters of messages take more than {MAX_BYTES} bytes")).into()),
        }
    }
}

impl Kept {
    fn is(&self, namespace: &str, expression: &str, names: PropertyNames) -> bool {
        self.expression == expression && self.namespace == namespace && self.filter.names == names
    }
}

/// Whether the names that it calls still stand for the same versions of plugins.
fn is_current(filter: &MessageFilter, callables: &dyn Callables) -> Result<bool> {
    for (name, plugin, via) in filter.plugins() {
        if callables.function(name)?.is_none_or(|now| (now.id, now.via) != (plugin, via)) {
            return Ok(false);
        }
    }
    Ok(true)
}
