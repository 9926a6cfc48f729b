//! The stream on which client and server tell each other what is new.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::sync::mpsc;
use tonic::Streaming;

use super::caller::Caller;
use super::proto::telemetry_command::Command as Said;
use super::proto::{Code, TelemetryCommand};
use super::sessions::{Command, Session};
use super::settings;
use super::status::{self, Done, Failed};

/// How often it is looked whether the client's login still stands: the stream ends with it.
const CHECKED_EACH: Duration = Duration::from_millis(500);

/// One client's stream. The session ends with it.
struct Telemetry {
    caller: Caller,
    session: Arc<Session>,
    incoming: Streaming<TelemetryCommand>,
    told: mpsc::Receiver<Command>,
    is_over: bool,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.caller.door.sessions.end(&self.session, &self.caller.tables);
    }
}

pub(super) fn serve(
    caller: Caller,
    incoming: Streaming<TelemetryCommand>,
) -> impl Stream<Item = Result<TelemetryCommand, tonic::Status>> + Send + 'static {
    let (session, told) = caller.door.sessions.begin(caller.name(), caller.address, &caller.sent);
    let telemetry = Telemetry { caller, session, incoming, told, is_over: false };
    stream::unfold(telemetry, |mut telemetry| async move {
        let next = telemetry.next().await?;
        telemetry.is_over = next.is_err();
        Some((next, telemetry))
    })
}

impl Telemetry {
    /// What the client is told next; `None` at the end.
    async fn next(&mut self) -> Option<Result<TelemetryCommand, tonic::Status>> {
        if self.is_over {
            return None;
        }
        let door = Arc::clone(&self.caller.door);
        let mut checks = tokio::time::interval(CHECKED_EACH);
        loop {
            tokio::select! {
                _ = checks.tick() => {
                    let tables = &self.caller.tables;
                    if let Err(error) = tables.engine.check_login(&tables.who) {
                        return Some(Err(ended(&error.into())));
                    }
                }
                () = door.door.stopped() => return None,
                Some((command, room)) = self.told.recv() => {
                    self.caller.sent.hand_over(room);
                    return Some(Ok(command));
                }
                said = self.incoming.message() => match said {
                    Ok(Some(command)) => {
                        if let Some(answer) = self.answer(command) {
                            return Some(answer);
                        }
                    }
                    Ok(None) => return None,
                    Err(status) => return Some(Err(status)),
                },
            }
        }
    }

    fn answer(&self, command: TelemetryCommand) -> Option<Result<TelemetryCommand, tonic::Status>> {
        match command.command {
            // Without settings of its own a client does not start: it is told as it expects, by the end of the stream.
            Some(Said::Settings(said)) => Some(match self.settle(said) {
                Ok(answer) => Ok(answer),
                Err(failed) => Err(ended(&failed)),
            }),
            // Answers to commands that are not given here.
            Some(Said::ThreadStackTrace(_) | Said::VerifyMessageResult(_)) => None,
            Some(_) => {
                Some(Ok(refused(Failed::new(Code::Unsupported, "a command of the server's, which clients don't give"))))
            }
            None => Some(Ok(refused(Failed::new(Code::BadRequest, "a command that says nothing that is known here")))),
        }
    }

    fn settle(&self, said: super::proto::Settings) -> Done<TelemetryCommand> {
        let part = settings::part(&self.caller, &said)?;
        self.session.says(&self.caller.tables, part)?;
        let settings = settings::answer(&self.caller, said)?;
        Ok(TelemetryCommand { status: Some(status::ok()), command: Some(Said::Settings(settings)) })
    }
}

fn refused(failed: Failed) -> TelemetryCommand {
    TelemetryCommand { status: Some(failed.status()), command: None }
}

/// A failure as the end of a call.
pub(super) fn ended(failed: &Failed) -> tonic::Status {
    let message = format!("{} ({}): {}", failed.code.as_str_name(), i32::from(failed.code), failed.message);
    match failed.code {
        Code::Unsupported => tonic::Status::unimplemented(message),
        Code::Unauthorized => tonic::Status::unauthenticated(message),
        Code::Forbidden => tonic::Status::permission_denied(message),
        Code::TooManyRequests | Code::HaNotAvailable => tonic::Status::unavailable(message),
        code if i32::from(code) >= i32::from(Code::InternalError) => tonic::Status::internal(message),
        _ => tonic::Status::invalid_argument(message),
    }
}
