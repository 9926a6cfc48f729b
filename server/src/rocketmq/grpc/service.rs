//! The service: its calls, as tonic has them. Each answers with a status of the protocol's; gRPC's own status says that a call could not
//! be read.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::caller::Caller;
use super::door::MessagingDoor;
use super::proto::messaging_service_server::MessagingService;
use super::proto::*;
use super::status::{Done, Failed, ok, status};
use super::{acknowledge, offsets, pull, recall, receive, route, send, telemetry, transactions};

/// What gRPC is given to serve.
#[derive(Debug, Clone)]
pub(crate) struct Messaging(Arc<MessagingDoor>);

type Answered<T> = Result<Response<T>, Status>;
type Answers<T> = BoxStream<'static, Result<T, Status>>;

impl Messaging {
    pub(super) fn new(door: Arc<MessagingDoor>) -> Messaging {
        Messaging(door)
    }

    async fn caller<T>(&self, request: Request<T>) -> (Done<Caller>, T) {
        let (metadata, extensions, message) = request.into_parts();
        (Caller::of(&self.0, &metadata, &extensions).await, message)
    }
}

fn not_served(what: &str) -> Failed {
    Failed::new(Code::Unsupported, format!("{what} is not served"))
}

#[tonic::async_trait]
impl MessagingService for Messaging {
    type TelemetryStream = Answers<TelemetryCommand>;
    type ReceiveMessageStream = Answers<ReceiveMessageResponse>;
    type PullMessageStream = Answers<PullMessageResponse>;

    async fn query_route(&self, request: Request<QueryRouteRequest>) -> Answered<QueryRouteResponse> {
        let (caller, request) = self.caller(request).await;
        let queues = caller.and_then(|caller| route::route(&caller, &request));
        Ok(Response::new(match queues {
            Ok(message_queues) => QueryRouteResponse { status: Some(ok()), message_queues },
            Err(failed) => QueryRouteResponse { status: Some(failed.status()), message_queues: Vec::new() },
        }))
    }

    async fn query_assignment(&self, request: Request<QueryAssignmentRequest>) -> Answered<QueryAssignmentResponse> {
        let (caller, request) = self.caller(request).await;
        let assigned = caller.and_then(|caller| route::assignment(&caller, &request));
        Ok(Response::new(match assigned {
            Ok(assignments) => QueryAssignmentResponse { status: Some(ok()), assignments },
            Err(failed) => QueryAssignmentResponse { status: Some(failed.status()), assignments: Vec::new() },
        }))
    }

    async fn telemetry(&self, request: Request<Streaming<TelemetryCommand>>) -> Answered<Self::TelemetryStream> {
        let (caller, incoming) = self.caller(request).await;
        let caller = caller.map_err(|failed| telemetry::ended(&failed))?;
        Ok(Response::new(telemetry::serve(caller, incoming).boxed()))
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Answered<HeartbeatResponse> {
        let (caller, _) = self.caller(request).await;
        let heard = caller.and_then(|caller| match self.0.sessions.of(caller.name()) {
            Some(session) if session.is_heard(&caller.tables)? => Ok(()),
            _ => Err(Failed::new(
                Code::UnrecognizedClientType,
                "the client has not told its settings on a Telemetry stream, or that has ended",
            )),
        });
        Ok(Response::new(HeartbeatResponse { status: status(heard) }))
    }

    async fn notify_client_termination(
        &self,
        request: Request<NotifyClientTerminationRequest>,
    ) -> Answered<NotifyClientTerminationResponse> {
        let (caller, _) = self.caller(request).await;
        let left = caller.and_then(|caller| match self.0.sessions.of(caller.name()) {
            Some(session) => self.0.sessions.leave(&session, &caller.tables),
            None => Ok(()),
        });
        Ok(Response::new(NotifyClientTerminationResponse { status: status(left) }))
    }

    async fn send_message(&self, request: Request<SendMessageRequest>) -> Answered<SendMessageResponse> {
        let (caller, request) = self.caller(request).await;
        let sent = match caller {
            Ok(caller) => send::send(&caller, request).await,
            Err(failed) => Err(failed),
        };
        Ok(Response::new(match sent {
            Ok(entries) => SendMessageResponse { status: together(entries.iter().map(|entry| &entry.status)), entries },
            Err(failed) => SendMessageResponse { status: Some(failed.status()), entries: Vec::new() },
        }))
    }

    async fn end_transaction(&self, request: Request<EndTransactionRequest>) -> Answered<EndTransactionResponse> {
        let (caller, request) = self.caller(request).await;
        let ended = match caller {
            Ok(caller) => transactions::end(&caller, request).await,
            Err(failed) => Err(failed),
        };
        Ok(Response::new(EndTransactionResponse { status: status(ended) }))
    }

    async fn recall_message(&self, request: Request<RecallMessageRequest>) -> Answered<RecallMessageResponse> {
        let (caller, request) = self.caller(request).await;
        let recalled = match caller {
            Ok(caller) => recall::recall(&caller, request).await,
            Err(failed) => Err(failed),
        };
        Ok(Response::new(match recalled {
            Ok(message_id) => RecallMessageResponse { status: Some(ok()), message_id },
            Err(failed) => RecallMessageResponse { status: Some(failed.status()), message_id: String::new() },
        }))
    }

    async fn receive_message(&self, request: Request<ReceiveMessageRequest>) -> Answered<Self::ReceiveMessageStream> {
        let (caller, request) = self.caller(request).await;
        let (answers, handed) = match caller {
            Ok(caller) => receive::receive(&caller, request).await,
            Err(failed) => {
                let content = receive_message_response::Content::Status(failed.status());
                (vec![ReceiveMessageResponse { content: Some(content) }], None)
            }
        };
        Ok(Response::new(receive::answers(answers, handed).map(Ok).boxed()))
    }

    async fn ack_message(&self, request: Request<AckMessageRequest>) -> Answered<AckMessageResponse> {
        let (caller, request) = self.caller(request).await;
        let acknowledged = match caller {
            Ok(caller) => acknowledge::acknowledge(&caller, request).await,
            Err(failed) => Err(failed),
        };
        Ok(Response::new(match acknowledged {
            Ok(entries) => AckMessageResponse { status: together(entries.iter().map(|entry| &entry.status)), entries },
            Err(failed) => AckMessageResponse { status: Some(failed.status()), entries: Vec::new() },
        }))
    }

    async fn change_invisible_duration(
        &self,
        request: Request<ChangeInvisibleDurationRequest>,
    ) -> Answered<ChangeInvisibleDurationResponse> {
        let (caller, request) = self.caller(request).await;
        let changed = match caller {
            Ok(caller) => acknowledge::change(&caller, request).await,
            Err(failed) => Err(failed),
        };
        Ok(Response::new(match changed {
            Ok(receipt_handle) => ChangeInvisibleDurationResponse { status: Some(ok()), receipt_handle },
            Err(failed) => {
                ChangeInvisibleDurationResponse { status: Some(failed.status()), receipt_handle: String::new() }
            }
        }))
    }

    async fn forward_message_to_dead_letter_queue(
        &self,
        request: Request<ForwardMessageToDeadLetterQueueRequest>,
    ) -> Answered<ForwardMessageToDeadLetterQueueResponse> {
        let (caller, request) = self.caller(request).await;
        let given_up = match caller {
            Ok(caller) => acknowledge::give_up(&caller, request).await,
            Err(failed) => Err(failed),
        };
        Ok(Response::new(ForwardMessageToDeadLetterQueueResponse { status: status(given_up) }))
    }

    async fn sync_lite_subscription(
        &self,
        request: Request<SyncLiteSubscriptionRequest>,
    ) -> Answered<SyncLiteSubscriptionResponse> {
        let (caller, _) = self.caller(request).await;
        let failed = caller.err().unwrap_or_else(|| not_served("SyncLiteSubscription"));
        Ok(Response::new(SyncLiteSubscriptionResponse { status: Some(failed.status()) }))
    }

    async fn pull_message(&self, request: Request<PullMessageRequest>) -> Answered<Self::PullMessageStream> {
        let (caller, request) = self.caller(request).await;
        let answers = match caller {
            Ok(caller) => pull::pull(&caller, request).await,
            Err(failed) => {
                vec![PullMessageResponse { content: Some(pull_message_response::Content::Status(failed.status())) }]
            }
        };
        Ok(Response::new(stream::iter(answers.into_iter().map(Ok)).boxed()))
    }

    async fn query_offset(&self, request: Request<QueryOffsetRequest>) -> Answered<QueryOffsetResponse> {
        let (caller, request) = self.caller(request).await;
        let found = match caller {
            Ok(caller) => offsets::query(&caller, request).await,
            Err(failed) => Err(failed),
        };
        let offset = found.as_ref().copied().unwrap_or_default();
        Ok(Response::new(QueryOffsetResponse { status: status(found.map(drop)), offset }))
    }

    async fn get_offset(&self, request: Request<GetOffsetRequest>) -> Answered<GetOffsetResponse> {
        let (caller, request) = self.caller(request).await;
        let found = match caller {
            Ok(caller) => offsets::committed(&caller, request).await,
            Err(failed) => Err(failed),
        };
        let offset = found.as_ref().copied().unwrap_or_default();
        Ok(Response::new(GetOffsetResponse { status: status(found.map(drop)), offset }))
    }

    async fn update_offset(&self, request: Request<UpdateOffsetRequest>) -> Answered<UpdateOffsetResponse> {
        let (caller, request) = self.caller(request).await;
        let committed = match caller {
            Ok(caller) => offsets::commit(&caller, request).await,
            Err(failed) => Err(failed),
        };
        Ok(Response::new(UpdateOffsetResponse { status: status(committed) }))
    }
}

/// The status of several outcomes.
fn together<'a>(statuses: impl Iterator<Item = &'a Option<super::proto::Status>>) -> Option<super::proto::Status> {
    let mut statuses = statuses.flatten();
    let first = statuses.next()?;
    if statuses.all(|status| status.code == first.code) {
        return Some(first.clone());
    }
    let code = Code::MultipleResults;
    Some(super::proto::Status { code: code.into(), message: code.as_str_name().to_owned() })
}
