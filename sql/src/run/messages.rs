//! Messages that wait for their time.

use datafusion::sql::sqlparser::ast::ObjectName;

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
