//! Delayed messages that are taken back.

use millstream_engine::ErrorKind;

use super::caller::Caller;
use super::proto::{Code, RecallMessageRequest};
use super::resources;
use super::status::{Done, Failed};
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::recall::Handle;
use crate::work::Waits;

/// The message's id.
pub(super) async fn recall(caller: &Caller, request: RecallMessageRequest) -> Done<String> {
    let topic = resources::topic(caller, request.topic.as_ref())?;
    let handle = Handle::read(&request.recall_handle)?;
    if ScopedName::parse(&handle.topic) != topic {
        return Err(Failed::new(Code::BadRequest, format!("the handle is one of topic {:?}", handle.topic)));
    }
    let tables = caller.tables.clone();
    let recall = move || {
        tables.existing(&topic)?;
        let (id, deliver_us) = (&handle.message_id, handle.deliver_ms.saturating_mul(1_000));
        match tables.engine.recall_message(&tables.who, &topic.namespace, &topic.name, id, Some(deliver_us)) {
            Ok(()) => Ok(handle.message_id),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Failed::new(
                Code::MessageNotFound,
                format!("message {id:?} does not wait any more: it is delivered, or was recalled before"),
            )),
            Err(error) => Err(error.into()),
        }
    };
    caller.door.door.work.run(Waits::ForLog, recall).await?
}
