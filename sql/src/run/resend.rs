//! RESEND: messages of a dead-letter table go back to the tables that they come from, as new ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::ObjectName;
use futures::StreamExt;
use millstream_engine::{TableInfo, sent_again};

use super::{Appender, Scene, done};
use crate::names::{position, resolve};
use crate::{BatchStream, Error, Outcome, Result};

/// The table whose messages are sent again.
pub(crate) fn message_table(scene: &Scene, name: &ObjectName) -> Result<Arc<TableInfo>> {
    let resolved = resolve(name, &scene.namespace)?;
    let table = scene.engine().table(scene.who(), &resolved.namespace, &resolved.name)?;
    match table.options.messages {
        Some(_) => Ok(table),
        None => {
            let message = format!("{:?} holds no messages: dead letters of messages alone are sent again", table.name);
            Err(Error::Invalid { message, position: position(name) })
        }
    }
}

/// Sends all rows again; those of one table in pieces that are atomic each. What became of it is told in the audit table.
pub(crate) async fn resend(scene: &Scene, letters: &TableInfo, rows: BatchStream) -> Result<Outcome> {
    let mut sent = BTreeMap::new();
    let resent = send(scene, letters, rows, &mut sent).await;
    let failure = resent.as_ref().err().map(ToString::to_string);
    scene.engine().tell_resent(scene.who(), letters, sent.values().sum(), failure.as_deref())?;
    resent?;
    let sent: Vec<String> = sent.into_iter().map(|(name, rows)| format!("{rows} to {name:?}")).collect();
    done(match sent.is_empty() {
        true => format!("no message of {:?} is meant", letters.name),
        false => format!("messages sent again: {}", sent.join(", ")),
    })
}

/// Notes by table how many messages have been sent.
async fn send(
    scene: &Scene,
    letters: &TableInfo,
    mut rows: BatchStream,
    sent: &mut BTreeMap<String, u64>,
) -> Result<()> {
    let mut appenders: BTreeMap<String, Appender> = BTreeMap::new();
    while let Some(batch) = rows.next().await {
        for (name, messages) in sent_again(&batch?)? {
            let appender = match appenders.remove(&name) {
                Some(appender) => appender,
                None => Appender::new(scene, scene.engine().table(scene.who(), &letters.namespace, &name)?),
            };
            appenders.insert(name, appender.push_later(messages).await?);
        }
    }
    for (name, appender) in appenders {
        let rows = appender.finish_later().await?;
        sent.insert(name, rows);
    }
    Ok(())
}
