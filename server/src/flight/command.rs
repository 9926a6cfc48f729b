//! Names and commands in Flight's descriptors, tickets and actions.

use arrow_flight::sql::{Any, Command, ProstMessageExt};
use bytes::Bytes;
use millstream_engine::ErrorKind;
use prost::Message;

use super::error::{DoorError, Result};
use super::sessions::Caller;

/// `[namespace, name]`, or `[name]` in the caller's namespace.
pub(super) fn path(caller: &Caller, path: &[String]) -> Result<(String, String)> {
    match path {
        [name] => Ok((caller.session.namespace(), name.clone())),
        [namespace, name] => Ok((namespace.clone(), name.clone())),
        _ => Err(DoorError::invalid("the descriptor's path must be [name] or [namespace, name]")),
    }
}

pub(super) fn command(bytes: &Bytes) -> Result<Command> {
    let any = Any::decode(bytes.clone())
        .map_err(|_| DoorError::invalid("the command is neither a Flight SQL command nor a ticket of this server"))?;
    match Command::try_from(any) {
        Ok(Command::Unknown(any)) if any.type_url.is_empty() => Err(DoorError::invalid("the command is empty")),
        Ok(command) => Ok(command),
        Err(error) => Err(DoorError::invalid(error.to_string())),
    }
}

pub(super) fn unpack<M: ProstMessageExt>(body: &Bytes) -> Result<M> {
    let any = Any::decode(body.clone())
        .map_err(|error| DoorError::invalid(format!("the action's body is malformed: {error}")))?;
    let message = any.unpack().map_err(|error| DoorError::invalid(error.to_string()))?;
    message.ok_or_else(|| DoorError::invalid(format!("the action's body is a {}, not what it takes", any.type_url)))
}

pub(super) fn refuse_transaction(transaction: Option<Bytes>) -> Result<()> {
    match transaction {
        Some(id) if !id.is_empty() => Err(DoorError::new(ErrorKind::NotFound, "this transaction was never begun here")),
        _ => Ok(()),
    }
}
