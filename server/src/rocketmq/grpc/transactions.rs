//! Transactions: ended by producers, and asked about on their streams.

use std::sync::Arc;

use millstream_engine::{CheckVerdict, Engine, Error, Principal, TransactionCheck, TransactionId};
use prost::Message as _;
use tokio::sync::broadcast::error::RecvError;

use super::caller::Caller;
use super::door::MessagingDoor;
use super::proto::telemetry_command::Command as Said;
use super::proto::{
    Code, EndTransactionRequest, RecoverOrphanedTransactionCommand, TelemetryCommand, TransactionResolution,
};
use super::resources;
use super::status::{self, Done, Failed};
use super::written::{self, Place};
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::stored::MessageRows;
use crate::rocketmq::transactions::{whose_turn, with_append_time};
use crate::work::Waits;

pub(super) async fn end(caller: &Caller, request: EndTransactionRequest) -> Done<()> {
    let topic = resources::topic(caller, request.topic.as_ref())?;
    let wrong = |why: String| Failed::new(Code::InvalidTransactionId, why);
    let id: TransactionId = request.transaction_id.parse().map_err(|error: Error| wrong(error.to_string()))?;
    let verdict = match TransactionResolution::try_from(request.resolution) {
        Ok(TransactionResolution::Commit) => CheckVerdict::Commit,
        Ok(TransactionResolution::Rollback) => CheckVerdict::Rollback,
        Ok(TransactionResolution::Unspecified) => CheckVerdict::Unknown,
        Err(_) => return Err(Failed::new(Code::BadRequest, "a transaction is committed or rolled back")),
    };
    let tables = caller.tables.clone();
    let end = move || {
        let (engine, who) = (&tables.engine, &tables.who);
        let ended = |error: Error| match error {
            Error::NotFound { .. } => wrong(format!("transaction {id} has ended, or never was")),
            error => error.into(),
        };
        let table = tables.existing(&topic)?;
        let half = engine.half_message(who, id).map_err(ended)?;
        if half.table != table.id {
            return Err(wrong(format!("transaction {id} is none of topic {:?}", topic.wire())));
        }
        if !request.message_id.is_empty() && half.message_id != request.message_id {
            return Err(wrong(format!("transaction {id} is none of message {:.100?}", request.message_id)));
        }
        engine.end_transaction(who, half.table, id, verdict).map_err(ended)?;
        Ok(())
    };
    caller.door.door.work.run(Waits::ForLog, end).await?
}

/// Asks producers until the server stops: of the server's own accord, and for nobody else.
pub(super) async fn ask(messaging: Arc<MessagingDoor>) {
    let door = &messaging.door;
    let mut checks = match door.engine.transaction_checks(&Principal::system()) {
        Ok(checks) => checks,
        Err(error) => return tracing::error!(%error, "nobody can be asked about half messages over gRPC"),
    };
    loop {
        let check = tokio::select! {
            () = door.stopped() => return,
            check = checks.recv() => check,
        };
        match check {
            // What is not asked now is asked another time.
            Ok(check) => {
                let (asking, engine) = (Arc::clone(&messaging), door.engine.clone());
                let asked = door.work.run(Waits::ForState, move || ask_one(&asking, &engine, check)).await;
                let failed = asked.map_err(Failed::from).and_then(|asked| asked).err();
                if let Some(Failed { message, .. }) = failed {
                    tracing::debug!(id = %check.id, "nobody was asked about a half message: {message}");
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Asks the producer whose turn it is, if he is one of this door's.
fn ask_one(messaging: &MessagingDoor, engine: &Engine, check: TransactionCheck) -> Done<()> {
    let who = Principal::system();
    let half = engine.half_message(&who, check.id)?;
    let Some(producer) = whose_turn(engine, &who, &half)? else { return Ok(()) };
    let Some(session) = messaging.sessions.by_number(producer.connection) else { return Ok(()) };
    let table = engine.table_by_id(&who, half.table)?;
    let row = with_append_time(&engine.half_message_row(&who, half.table, half.id)?, half.begun_us)?;
    let topic = resources::written(&ScopedName { namespace: table.namespace.clone(), name: table.name.clone() });
    let store_host = messaging.store_host.to_string();
    let place = Place { topic: &topic, queue: half.partition, offset: None, store_host: &store_host, handed: None };
    let message = written::message(&MessageRows::of(&row)?, 0, place);
    let asked = RecoverOrphanedTransactionCommand { message: Some(message), transaction_id: half.id.to_string() };
    let command =
        TelemetryCommand { status: Some(status::ok()), command: Some(Said::RecoverOrphanedTransactionCommand(asked)) };
    if let Some(room) = session.try_room(command.encoded_len()) {
        session.try_tell((command, room));
    }
    Ok(())
}
