//! One caller's conversation: a principal and a current namespace.

use std::sync::Arc;

use millstream_engine::Principal;
use parking_lot::RwLock;

use crate::{Outcome, Prepared, Result, SqlEngine};

/// What executes statements. Cheap to clone; clones share the current namespace, which `USE` changes.
#[derive(Debug, Clone)]
pub struct SqlSession {
    pub(crate) sql: SqlEngine,
    pub(crate) who: Principal,
    pub(crate) namespace: Arc<RwLock<String>>,
}

impl SqlSession {
    /// Who the session acts for.
    pub fn principal(&self) -> &Principal {
        &self.who
    }

    /// The namespace that unqualified names are looked up in.
    pub fn namespace(&self) -> String {
        self.namespace.read().clone()
    }

    /// Parses and plans one statement, without any effect.
    pub async fn prepare(&self, sql: &str) -> Result<Prepared> {
        let _ = sql;
        unimplemented!()
    }

    /// Executes one statement.
    pub async fn execute(&self, sql: &str) -> Result<Outcome> {
        self.prepare(sql).await?.execute(None).await
    }

    /// Executes statements separated by `;` one after the other, and stops at the first that fails. Rows of all but the
    /// last statement are read to their end and dropped; the last one's outcome is returned, `None` for an empty script.
    pub async fn execute_script(&self, sql: &str) -> Result<Option<Outcome>> {
        let _ = sql;
        unimplemented!()
    }
}
