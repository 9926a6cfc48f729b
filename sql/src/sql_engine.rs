//! The room's front: one per engine.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use millstream_engine::{Engine, Principal};
use parking_lot::RwLock;

use crate::{Result, SqlOptions, SqlSession};

/// SQL over one engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqlEngine {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) options: SqlOptions,
}

impl SqlEngine {
    /// Sets up queries over `engine` and becomes its topic compiler.
    pub fn new(engine: Engine, options: SqlOptions) -> Result<SqlEngine> {
        Ok(SqlEngine { inner: Arc::new(Inner { engine, options }) })
    }

    /// The engine beneath.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Starts a session. The namespace need not exist yet.
    pub fn session(&self, who: Principal, namespace: &str) -> SqlSession {
        SqlSession { sql: self.clone(), who, namespace: Arc::new(RwLock::new(namespace.to_owned())) }
    }

    /// Names and schemas of the tables in the namespace `system`, by name.
    pub fn system_tables() -> Vec<(&'static str, SchemaRef)> {
        Vec::new()
    }

    /// The name of the one catalog.
    pub fn catalog_name() -> &'static str {
        "millstream"
    }

    /// SQL keywords, functions and types for listings such as Flight SQL's GetSqlInfo.
    pub fn function_names(&self) -> Vec<String> {
        Vec::new()
    }
}
