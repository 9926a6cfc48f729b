//! Requests of ours to clients that answer them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::answer::Refusal;
use super::wire::codes;
use super::wire::command::Command;
use crate::net::framed::{Arrived, Outgoing};
use crate::net::stop::Stop;

/// Requests to one client that are under way.
const UNDER_WAY: usize = 64;
/// A client has answered after this long, or does not.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer with the room of its message.
pub(super) type Answered = (Command, Arrived);

/// What a client has not answered yet, by number.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<HashMap<i32, oneshot::Sender<Answered>>>);

impl Asked {
    /// Takes up an answer. One that nobody waits for is nobody's.
    pub(super) fn answered(&self, command: Command, arrived: Arrived) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&command.opaque);
        if let Some(waiting) = waiting {
            drop(waiting.send((command, arrived)));
        }
    }
}

/// A question that nobody waits for any more goes.
struct Question<'a> {
    asked: &'a Asked,
    opaque: i32,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.asked.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.opaque);
    }
}

impl Asked {
    /// Sends a request of ours, and waits for what is answered.
    pub(super) async fn ask(
        &self,
        (code, opaque): (i32, i32),
        message: Bytes,
        outgoing: &Outgoing,
        stop: &Stop,
    ) -> Result<Answered, Refusal> {
        let (answer, answered) = oneshot::channel();
        let question = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= UNDER_WAY {
                let message = format!("{UNDER_WAY} requests wait for the client's answer; try again later");
                return Err(Refusal::new(codes::SYSTEM_BUSY, message));
            }
            waiting.insert(opaque, answer);
            Question { asked: self, opaque }
        };
        let asked = async {
            let room = outgoing.room(message.len()).await;
            match outgoing.send(message, room).await {
                true => answered.await.ok(),
                false => None,
            }
        };
        let answered = tokio::select! {
            answered = tokio::time::timeout(PATIENCE, asked) => answered,
            () = stop.stopped() => return Err(Refusal::new(codes::SERVICE_NOT_AVAILABLE, "the server stops")),
        };
        drop(question);
        match answered {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Refusal::new(codes::SYSTEM_ERROR, "the client has gone")),
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                let message = format!("the client has not answered {} in {seconds} s", codes::name(code));
                Err(Refusal::new(codes::CONSUME_TIMEOUT, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rocketmq::wire::command::{Header, HeaderForm};

    #[test]
    fn answers_go_to_who_has_asked_and_to_nobody_else() {
        let asked = Asked::default();
        let answer = |opaque| {
            let message = Header::answer(0, opaque, None, Vec::new()).write(HeaderForm::Json, b"body").unwrap();
            let bytes = message.slice(4..);
            asked.answered(Command::read(&bytes).unwrap(), Arrived { bytes, _room: None });
        };
        let (sender, mut first) = oneshot::channel();
        asked.0.lock().unwrap().insert(1, sender);
        let (sender, mut second) = oneshot::channel();
        asked.0.lock().unwrap().insert(2, sender);
        answer(7);
        answer(2);
        answer(2);
        assert_eq!(second.try_recv().unwrap().0.opaque, 2);
        assert!(first.try_recv().is_err());
        drop(Question { asked: &asked, opaque: 1 });
        assert!(asked.0.lock().unwrap().is_empty());
    }
}
