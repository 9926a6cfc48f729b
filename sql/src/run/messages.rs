//! Messages that are not visible yet: recalled, committed, rolled back.

use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::CheckVerdict;

use super::groups::micros;
use super::{Scene, done};
use crate::names::resolve;
use crate::{Outcome, Result};

pub(super) fn recall_message(scene: &Scene, id: &str, table: &ObjectName, due: Option<&str>) -> Result<Outcome> {
    let table = resolve(table, &scene.namespace)?;
    let due = due.map(micros).transpose()?;
    scene.engine().recall_message(scene.who(), &table.namespace, &table.name, id, due)?;
    done(format!("message {id:?} is recalled"))
}

pub(super) fn end_transaction(scene: &Scene, id: &str, table: &ObjectName, commit: bool) -> Result<Outcome> {
    let table = resolve(table, &scene.namespace)?;
    let (engine, who) = (scene.engine(), scene.who());
    let table = engine.table(who, &table.namespace, &table.name)?;
    let verdict = if commit { CheckVerdict::Commit } else { CheckVerdict::Rollback };
    let appended = engine.end_transaction(who, table.id, id.parse()?, verdict)?;
    done(match appended {
        Some(at) => {
            format!("transaction {id} is committed, at offset {} of partition {}", at.first_offset, at.partition)
        }
        None => format!("transaction {id} is rolled back"),
    })
}
