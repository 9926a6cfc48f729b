//! A client that is nothing but messages.

use std::net::SocketAddr;
use std::time::Duration;

use prost_types::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use super::proto::messaging_service_client::MessagingServiceClient;
use super::proto::*;
use crate::program::Server;

pub(super) struct Client {
    calls: MessagingServiceClient<Channel>,
    id: String,
    namespace: Option<&'static str>,
    /// What each call has in its metadata besides.
    shown: Vec<(&'static str, String)>,
}

pub(super) fn resource(name: &str) -> Resource {
    Resource { resource_namespace: String::new(), name: name.to_owned() }
}

/// A message of a topic.
pub(super) fn of(topic: &str, id: &str, body: &[u8]) -> Message {
    let properties = SystemProperties { message_id: id.to_owned(), ..SystemProperties::default() };
    Message {
        topic: Some(resource(topic)),
        system_properties: Some(properties),
        body: body.to_vec().into(),
        ..Message::default()
    }
}

pub(super) fn in_group(mut message: Message, group: &str) -> Message {
    message.system_properties.as_mut().unwrap().message_group = Some(group.to_owned());
    message
}

pub(super) fn tagged(mut message: Message, tag: &str) -> Message {
    message.system_properties.as_mut().unwrap().tag = Some(tag.to_owned());
    message
}

pub(super) fn delayed(mut message: Message, seconds: i64) -> Message {
    message.system_properties.as_mut().unwrap().delivery_timestamp = Some(Timestamp { seconds, nanos: 0 });
    message
}

pub(super) fn packed(mut message: Message) -> Message {
    message.system_properties.as_mut().unwrap().body_encoding = Encoding::Gzip.into();
    message
}

pub(super) fn with(mut message: Message, name: &str, value: &str) -> Message {
    message.user_properties.insert(name.to_owned(), value.to_owned());
    message
}

pub(super) fn settings(settings: Settings) -> TelemetryCommand {
    TelemetryCommand { status: None, command: Some(telemetry_command::Command::Settings(settings)) }
}

/// What a push consumer of group `g` says of itself.
pub(super) fn push_consumer(topic: &str) -> Settings {
    let subscription = Subscription {
        group: Some(resource("g")),
        subscriptions: vec![SubscriptionEntry { topic: Some(resource(topic)), expression: None }],
        ..Subscription::default()
    };
    Settings {
        client_type: Some(ClientType::PushConsumer.into()),
        pub_sub: Some(settings::PubSub::Subscription(subscription)),
        ..Settings::default()
    }
}

fn queue(topic: &str, id: i32) -> Option<MessageQueue> {
    Some(MessageQueue { topic: Some(resource(topic)), id, ..MessageQueue::default() })
}

fn duration(duration: Duration) -> Option<prost_types::Duration> {
    Some(duration.try_into().unwrap())
}

impl Client {
    pub(super) async fn connect(server: &Server, id: &str) -> Client {
        Client::over(Channel::from_shared(format!("http://{}", server.grpc)).unwrap(), id).await
    }

    /// The server may send it 64 KiB of an answer before it has read some.
    pub(super) async fn connect_slow(server: &Server, id: &str) -> Client {
        let endpoint = Channel::from_shared(format!("http://{}", server.grpc)).unwrap();
        Client::over(endpoint.initial_stream_window_size(65_535), id).await
    }

    async fn over(endpoint: Endpoint, id: &str) -> Client {
        let channel = endpoint.connect().await.unwrap();
        let calls = MessagingServiceClient::new(channel).max_encoding_message_size(usize::MAX);
        Client { calls, id: id.to_owned(), namespace: None, shown: Vec::new() }
    }

    pub(super) async fn to(address: SocketAddr, id: &str) -> Client {
        Client::over(Channel::from_shared(format!("http://{address}")).unwrap(), id).await
    }

    pub(super) fn showing(self, shown: &[(&'static str, &str)]) -> Client {
        Client { shown: shown.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), ..self }
    }

    pub(super) fn within(self, namespace: &'static str) -> Client {
        Client { namespace: Some(namespace), ..self }
    }

    fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if !self.id.is_empty() {
            request.metadata_mut().insert("x-mq-client-id", self.id.parse().unwrap());
        }
        if let Some(namespace) = self.namespace {
            request.metadata_mut().insert("x-mq-namespace", namespace.parse().unwrap());
        }
        for (name, value) in &self.shown {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    pub(super) async fn route(&mut self, topic: &str, endpoints: Option<Endpoints>) -> QueryRouteResponse {
        let request = self.call(QueryRouteRequest { topic: Some(resource(topic)), endpoints });
        self.calls.query_route(request).await.unwrap().into_inner()
    }

    pub(super) async fn send(&mut self, messages: Vec<Message>) -> SendMessageResponse {
        let request = self.call(SendMessageRequest { messages });
        self.calls.send_message(request).await.unwrap().into_inner()
    }

    pub(super) async fn end(
        &mut self,
        topic: &str,
        message: &str,
        transaction: &str,
        resolution: TransactionResolution,
    ) -> EndTransactionResponse {
        let request = self.call(EndTransactionRequest {
            topic: Some(resource(topic)),
            message_id: message.to_owned(),
            transaction_id: transaction.to_owned(),
            resolution: resolution.into(),
            ..EndTransactionRequest::default()
        });
        self.calls.end_transaction(request).await.unwrap().into_inner()
    }

    pub(super) async fn recall(&mut self, topic: &str, handle: &str) -> RecallMessageResponse {
        let message = RecallMessageRequest { topic: Some(resource(topic)), recall_handle: handle.to_owned() };
        let request = self.call(message);
        self.calls.recall_message(request).await.unwrap().into_inner()
    }

    /// As a consumer of group `g`.
    pub(super) async fn receive(&mut self, topic: &str, most: i32, wait: Duration) -> (Option<Status>, Vec<Message>) {
        let mut answers = self.begin_receiving(topic, most, wait, false).await;
        let (mut status, mut messages) = (None, Vec::new());
        while let Some(answer) = answers.message().await.unwrap() {
            match answer.content.unwrap() {
                receive_message_response::Content::Status(told) => status = Some(told),
                receive_message_response::Content::Message(message) => messages.push(message),
                receive_message_response::Content::DeliveryTimestamp(_) => {}
            }
        }
        (status, messages)
    }

    /// The answers, none of which is read yet. `auto_renew`: the client keeps the messages for as long as it is there.
    pub(super) async fn begin_receiving(
        &mut self,
        topic: &str,
        most: i32,
        wait: Duration,
        auto_renew: bool,
    ) -> Streaming<ReceiveMessageResponse> {
        let request = self.call(ReceiveMessageRequest {
            group: Some(resource("g")),
            message_queue: queue(topic, 0),
            batch_size: most,
            invisible_duration: duration(Duration::from_secs(30)),
            long_polling_timeout: duration(wait),
            auto_renew,
            ..ReceiveMessageRequest::default()
        });
        self.calls.receive_message(request).await.unwrap().into_inner()
    }

    pub(super) async fn leave(&mut self) -> NotifyClientTerminationResponse {
        let request = self.call(NotifyClientTerminationRequest { group: Some(resource("g")) });
        self.calls.notify_client_termination(request).await.unwrap().into_inner()
    }

    pub(super) async fn acknowledge(&mut self, topic: &str, handles: &[String]) -> AckMessageResponse {
        let entries = handles
            .iter()
            .map(|handle| AckMessageEntry { receipt_handle: handle.clone(), ..AckMessageEntry::default() });
        let request = self.call(AckMessageRequest {
            group: Some(resource("g")),
            topic: Some(resource(topic)),
            entries: entries.collect(),
        });
        self.calls.ack_message(request).await.unwrap().into_inner()
    }

    pub(super) async fn change(
        &mut self,
        topic: &str,
        handle: &str,
        after: Duration,
    ) -> ChangeInvisibleDurationResponse {
        let request = self.call(ChangeInvisibleDurationRequest {
            group: Some(resource("g")),
            topic: Some(resource(topic)),
            receipt_handle: handle.to_owned(),
            invisible_duration: duration(after),
            ..ChangeInvisibleDurationRequest::default()
        });
        self.calls.change_invisible_duration(request).await.unwrap().into_inner()
    }

    pub(super) async fn give_up(&mut self, topic: &str, handle: &str) -> ForwardMessageToDeadLetterQueueResponse {
        let request = self.call(ForwardMessageToDeadLetterQueueRequest {
            group: Some(resource("g")),
            topic: Some(resource(topic)),
            receipt_handle: handle.to_owned(),
            ..ForwardMessageToDeadLetterQueueRequest::default()
        });
        self.calls.forward_message_to_dead_letter_queue(request).await.unwrap().into_inner()
    }

    /// Status, messages, and the next offset.
    pub(super) async fn pull(&mut self, topic: &str, id: i32, offset: i64) -> (Option<Status>, Vec<Message>, i64) {
        let request = self.call(PullMessageRequest {
            group: Some(resource("p")),
            message_queue: queue(topic, id),
            offset,
            batch_size: 8,
            ..PullMessageRequest::default()
        });
        let mut answers = self.calls.pull_message(request).await.unwrap().into_inner();
        let (mut status, mut messages, mut next) = (None, Vec::new(), 0);
        while let Some(answer) = answers.message().await.unwrap() {
            match answer.content.unwrap() {
                pull_message_response::Content::Status(told) => status = Some(told),
                pull_message_response::Content::Message(message) => messages.push(message),
                pull_message_response::Content::NextOffset(offset) => next = offset,
            }
        }
        (status, messages, next)
    }

    /// The first and the next offset of a topic's first queue.
    pub(super) async fn offsets(&mut self, topic: &str) -> (i64, i64) {
        let mut found = Vec::new();
        for policy in [QueryOffsetPolicy::Beginning, QueryOffsetPolicy::End] {
            let request = self.call(QueryOffsetRequest {
                message_queue: queue(topic, 0),
                query_offset_policy: policy.into(),
                timestamp: None,
            });
            found.push(self.calls.query_offset(request).await.unwrap().into_inner().offset);
        }
        (found[0], found[1])
    }

    pub(super) async fn committed(&mut self, topic: &str, group: &str) -> GetOffsetResponse {
        let request = self.call(GetOffsetRequest { group: Some(resource(group)), message_queue: queue(topic, 0) });
        self.calls.get_offset(request).await.unwrap().into_inner()
    }

    pub(super) async fn commit(&mut self, topic: &str, group: &str, offset: i64) -> UpdateOffsetResponse {
        let message = UpdateOffsetRequest { group: Some(resource(group)), message_queue: queue(topic, 0), offset };
        let request = self.call(message);
        self.calls.update_offset(request).await.unwrap().into_inner()
    }

    pub(super) async fn heartbeat(&mut self) -> HeartbeatResponse {
        let request = self.call(HeartbeatRequest::default());
        self.calls.heartbeat(request).await.unwrap().into_inner()
    }

    /// Of the first queue's end.
    pub(super) async fn query_offset(&mut self, topic: &str) -> QueryOffsetResponse {
        let request = self.call(QueryOffsetRequest {
            message_queue: queue(topic, 0),
            query_offset_policy: QueryOffsetPolicy::End.into(),
            timestamp: None,
        });
        self.calls.query_offset(request).await.unwrap().into_inner()
    }

    pub(super) async fn assignment(&mut self, topic: &str) -> QueryAssignmentResponse {
        let (topic, group) = (Some(resource(topic)), Some(resource("g")));
        let request = self.call(QueryAssignmentRequest { topic, group, endpoints: None });
        self.calls.query_assignment(request).await.unwrap().into_inner()
    }

    pub(super) async fn lite(&mut self) -> SyncLiteSubscriptionResponse {
        let request = self.call(SyncLiteSubscriptionRequest::default());
        self.calls.sync_lite_subscription(request).await.unwrap().into_inner()
    }

    /// Why there is no stream.
    pub(super) async fn no_telemetry(&mut self) -> tonic::Status {
        let (_commands, sent) = mpsc::channel::<TelemetryCommand>(4);
        let request = self.call(ReceiverStream::new(sent));
        self.calls.telemetry(request).await.unwrap_err()
    }

    pub(super) async fn telemetry(&mut self) -> (mpsc::Sender<TelemetryCommand>, Streaming<TelemetryCommand>) {
        let (commands, sent) = mpsc::channel(4);
        let request = self.call(ReceiverStream::new(sent));
        (commands, self.calls.telemetry(request).await.unwrap().into_inner())
    }
}
