//! DoPut of a plugin's module: `CREATE PLUGIN … FROM UPLOAD`, with the module in the messages.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::sql::Any;
use futures::StreamExt;
use millstream_engine::{ErrorKind, MAX_MODULE_BYTES};
use millstream_protocol::{CreatePlugin, StatementDone};
use millstream_sql::Outcome;
use prost::Message;
use tokio::sync::Semaphore;

use super::blocking::computing;
use super::error::{DoorError, Result};
use super::forward::Messages;
use super::query::check_length;
use super::sessions::Caller;
use crate::door::Door;

/// The command's type.
const TYPE_URL: &str = "type.googleapis.com/millstream.v1.CreatePlugin";
/// Modules in memory at once; others wait.
const MAX_UPLOADS: usize = 2;
/// How long a client waits for its turn, and how long it may take to send its module.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);
const MODULE_TIMEOUT: Duration = Duration::from_secs(300);

/// Room for modules that are being sent.
#[derive(Debug)]
pub(super) struct Uploads(Semaphore);

impl Default for Uploads {
    fn default() -> Uploads {
        Uploads(Semaphore::new(MAX_UPLOADS))
    }
}

/// The statement, if the command is one of this kind.
pub(super) fn statement(command: &[u8]) -> Result<Option<String>> {
    match Any::decode(command) {
        Ok(any) if any.type_url == TYPE_URL => match CreatePlugin::decode(any.value) {
            Ok(create) => Ok(Some(create.statement)),
            Err(error) => Err(DoorError::invalid(format!("the command is no CreatePlugin message: {error}"))),
        },
        _ => Ok(None),
    }
}

/// Takes the module in and executes the statement with it.
pub(super) async fn create(
    door: &Door,
    uploads: &Uploads,
    caller: Caller,
    statement: String,
    incoming: Messages,
) -> Result<StatementDone> {
    check_length(&statement)?;
    let late = |message: &str| DoorError::new(ErrorKind::Retry, message);
    let turn = tokio::time::timeout(TURN_TIMEOUT, uploads.0.acquire()).await;
    // The semaphore is never closed, so that there is room once the wait is over.
    let _room = turn.map_err(|_| late("other modules are being loaded; send this one again later"))?;
    let module = tokio::time::timeout(MODULE_TIMEOUT, receive(incoming)).await;
    let module: Arc<[u8]> = module.map_err(|_| late("the module did not come in time"))??.into();
    computing(&door.queries, async move {
        match caller.session.execute_with_module(&statement, module).await? {
            Outcome::Done { rows, message } => Ok(StatementDone { rows, message }),
            Outcome::Rows { .. } => Err(DoorError::internal("CREATE PLUGIN gave rows")),
        }
    })
    .await
}

async fn receive(mut incoming: Messages) -> Result<Vec<u8>> {
    let mut module = Vec::new();
    while let Some(data) = incoming.next().await {
        let piece = data?.app_metadata;
        if module.len() + piece.len() > MAX_MODULE_BYTES {
            let message = format!("the module has more than {MAX_MODULE_BYTES} bytes; strip it and leave data out");
            return Err(DoorError::new(ErrorKind::ResourceExhausted, message));
        }
        module.extend_from_slice(&piece);
    }
    Ok(module)
}
