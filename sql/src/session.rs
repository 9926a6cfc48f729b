//! One caller's conversation: a principal and a current namespace.

use std::sync::Arc;

use futures::StreamExt;
use millstream_engine::{CallerAddress, Principal};
use parking_lot::RwLock;

use crate::parse::{CreatePlugin, PluginSource, Statement, parse_one, parse_script};
use crate::prepared::prepare;
use crate::run::Scene;
use crate::threads::{planned, planning};
use crate::{Error, Outcome, Prepared, Result, SqlEngine};

/// What executes statements. Cheap to clone; clones share the current namespace, which `USE` changes.
///
/// Statements run on threads of the [`SqlEngine`]; these calls may be awaited on any thread and any executor.
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

    /// The same session, called from there.
    #[must_use]
    pub fn at(self, address: CallerAddress) -> SqlSession {
        SqlSession { who: self.who.at(address), ..self }
    }

    /// The namespace that unqualified names are looked up in.
    pub fn namespace(&self) -> String {
        self.namespace.read().clone()
    }

    /// Parses and plans one statement, without any effect.
    pub async fn prepare(&self, sql: &str) -> Result<Prepared> {
        let (session, sql) = (self.clone(), sql.to_owned());
        self.sql.threads().run(planned(async move { prepare(session, parse_one(&sql)?).await })).await
    }

    /// Executes one statement.
    pub async fn execute(&self, sql: &str) -> Result<Outcome> {
        self.prepare(sql).await?.execute(None).await
    }

    /// Executes a `CREATE PLUGIN … FROM UPLOAD`, whose module comes beside it.
    pub async fn execute_with_module(&self, sql: &str, module: Arc<[u8]>) -> Result<Outcome> {
        let (session, sql) = (self.clone(), sql.to_owned());
        let planning = planned(async move {
            match parse_one(&sql)? {
                Statement::CreatePlugin(create) if matches!(create.source, PluginSource::Upload) => {
                    let create = CreatePlugin { source: PluginSource::Bytes(module), ..create };
                    prepare(session, Statement::CreatePlugin(create)).await
                }
                _ => Err(Error::Invalid {
                    message: "a module can be sent beside CREATE PLUGIN … FROM UPLOAD only".to_owned(),
                    position: None,
                }),
            }
        });
        self.sql.threads().run(planning).await?.execute(None).await
    }

    /// Executes statements separated by `;` one after the other, and stops at the first that fails. Nothing is executed if
    /// one of them can't be parsed. Rows of all but the last statement are read to their end and dropped; the last one's
    /// outcome is returned, `None` for an empty script.
    pub async fn execute_script(&self, sql: &str) -> Result<Option<Outcome>> {
        let (session, sql) = (self.clone(), sql.to_owned());
        self.sql.threads().run(async move { session.run_script(&sql).await }).await
    }

    async fn run_script(&self, sql: &str) -> Result<Option<Outcome>> {
        let mut last = None;
        for statement in planning(|| parse_script(sql))? {
            if let Some(Outcome::Rows { mut stream, .. }) = last.take() {
                while let Some(batch) = stream.next().await {
                    batch?;
                }
            }
            last = Some(planned(prepare(self.clone(), statement)).await?.execute(None).await?);
        }
        Ok(last)
    }

    pub(crate) fn scene(&self) -> Scene {
        self.sql.scene(&self.who, self.namespace())
    }
}
