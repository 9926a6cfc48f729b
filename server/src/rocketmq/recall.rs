//! 370: a delayed message is taken back. Who has sent it was given a handle, which says where it is.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use millstream_engine::ErrorKind;

use super::answer::{Answer, Answered, Refusal};
use super::client::Client;
use super::fields::Fields;
use super::names::{BROKER, ScopedName};
use super::wire::codes;
use super::wire::command::Command;
use crate::work::Waits;

const VERSION: &str = "v1";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a handle says: `version topic broker time id`, with a space between, in base 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handle {
    /// As the client has written it.
    pub(super) topic: String,
    pub(super) deliver_ms: i64,
    pub(super) message_id: String,
}

impl Handle {
    pub(super) fn write(&self) -> String {
        let Handle { topic, deliver_ms, message_id } = self;
        BASE64.encode(format!("{VERSION} {topic} {BROKER} {deliver_ms} {message_id}"))
    }

    pub(super) fn read(text: &str) -> Result<Handle, Refusal> {
        let wrong = || Refusal::new(codes::ILLEGAL_OPERATION, "recall failed, the handle is not one of this broker");
        let bytes = BASE64.decode(text).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let mut parts = text.splitn(5, ' ');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(wrong);
        let (version, topic, broker, time, id) = (next()?, next()?, next()?, next()?, next()?);
        if version != VERSION || broker != BROKER {
            return Err(wrong());
        }
        let deliver_ms = time.parse().map_err(|_| wrong())?;
        Ok(Handle { topic: topic.to_owned(), deliver_ms, message_id: id.to_owned() })
    }
}

pub(super) async fn answer(client: Arc<Client>, command: Command) -> Answered {
    let work = client.door.work.clone();
    work.run(Waits::ForLog, move || recall(&client, &command)).await?
}

fn recall(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let topic = ScopedName::read(fields.text("topic")?, fields);
    let handle = Handle::read(fields.text("recallHandle")?)?;
    if ScopedName::read(&handle.topic, fields) != topic {
        let message = format!("recall failed, the handle is one of topic {:?}", handle.topic);
        return Err(Refusal::new(codes::ILLEGAL_OPERATION, message));
    }
    let tables = &client.tables;
    tables.existing(&topic)?;
    let (id, deliver_us) = (&handle.message_id, handle.deliver_ms.saturating_mul(1_000));
    match tables.engine.recall_message(&tables.who, &topic.namespace, &topic.name, id, Some(deliver_us)) {
        Ok(()) => Ok(Answer::with(vec![("msgId", handle.message_id)])),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Refusal::new(
            codes::ILLEGAL_OPERATION,
            format!("recall failed, message {id:?} does not wait any more: it is delivered, or was recalled before"),
        )),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_those_of_apaches_clients() {
        let handle = Handle { topic: "t".to_owned(), deliver_ms: 1_795_889_531_769, message_id: "FD00".to_owned() };
        let text = handle.write();
        assert_eq!(text, "djEgdCBtaWxsc3RyZWFtIDE3OTU4ODk1MzE3NjkgRkQwMA==");
        assert_eq!(Handle::read(&text).unwrap(), handle);
        assert_eq!(Handle::read(text.trim_end_matches('=')).unwrap(), handle);
        for end in 0..text.trim_end_matches('=').len() - 4 {
            assert!(
                Handle::read(&text[..end]).is_err() || Handle::read(&text[..end]).unwrap() != handle,
                "cut at {end}"
            );
        }
        for wrong in ["", "é", "v1 t b 1 x", &BASE64.encode("v2 t millstream 1 x"), &BASE64.encode("v1 t other 1 x")] {
            assert_eq!(Handle::read(wrong).unwrap_err().code, codes::ILLEGAL_OPERATION, "{wrong:?}");
        }
        assert!(Handle::read(&BASE64.encode("v1 t millstream soon x")).is_err());
        assert!(Handle::read(&BASE64.encode([0xff; 8])).is_err());
    }
}
