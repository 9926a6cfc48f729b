//! Answers on their way out.

use bytes::Bytes;

use super::answer::{Answer, Given};
use super::client::ClientConnection;
use super::wire::codes;
use super::wire::command::{Command, Header, HeaderForm};

/// What an answer has to say of its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    form: HeaderForm,
    opaque: i32,
    one_way: bool,
}

impl Asked {
    pub(super) fn of(command: &Command) -> Asked {
        Asked { form: command.form, opaque: command.opaque, one_way: command.wants_no_answer() }
    }
}

/// An answer as it goes out; `None` where none is wanted.
pub(super) fn written(client: &ClientConnection, asked: Asked, answer: Answer) -> Option<Bytes> {
    if asked.one_way {
        if answer.code != codes::SUCCESS {
            tracing::debug!(peer = ?client.address, code = answer.code, remark = answer.remark, "refused, one way");
        }
        return None;
    }
    let Answer { code, remark, fields, body } = answer;
    match Header::answer(code, asked.opaque, remark, fields).write(asked.form, &body) {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            None
        }
    }
}

pub(super) async fn reply(client: &ClientConnection, asked: Asked, Given { answer, room, handed }: Given) {
    let Some(message) = written(client, asked, answer) else { return };
    let room = match room {
        Some(mut held) => held.split(message.len()),
        None => client.outgoing.room(message.len()).await,
    };
    if client.outgoing.send(message, room).await
        && let Some(handed) = handed
    {
        handed.received();
    }
}
