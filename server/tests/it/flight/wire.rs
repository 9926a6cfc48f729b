//! A client that is nothing but messages.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, PutResult, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use millstream_protocol::{
    Ack, Append, ConsumerReply, ConsumerRequest, Hello, consumer_reply::Reply, consumer_request::Request,
};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::program::Server;

/// Runs a test's future.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

pub(crate) async fn connect(server: &Server) -> FlightServiceClient<Channel> {
    connect_to(&server.grpc.to_string()).await
}

pub(crate) async fn connect_to(address: &str) -> FlightServiceClient<Channel> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    FlightServiceClient::new(channel).max_encoding_message_size(usize::MAX).max_decoding_message_size(usize::MAX)
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("word", DataType::Utf8, true)]))
}

/// Rows `first..first + count`.
pub(crate) fn rows(first: i64, count: i64) -> RecordBatch {
    let words = StringArray::from_iter_values((first..first + count).map(|id| format!("word {id}")));
    let ids = Int64Array::from_iter_values(first..first + count);
    RecordBatch::try_new(schema(), vec![Arc::new(ids), Arc::new(words)]).unwrap()
}

pub(crate) fn schema_message(schema: &Schema, table: &str) -> FlightData {
    FlightData::from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()))
        .with_descriptor(FlightDescriptor::new_path(vec!["public".to_owned(), table.to_owned()]))
}

pub(crate) fn batch_message(batch: &RecordBatch, append: Append) -> FlightData {
    let (_, encoded) = IpcDataGenerator::default()
        .encode(batch, &mut DictionaryTracker::new(false), &IpcWriteOptions::default(), &mut IpcWriteContext::default())
        .unwrap();
    FlightData::from(encoded).with_app_metadata(append.encode_to_vec())
}

pub(crate) fn stamp(sequence: u64) -> Append {
    Append { producer_id: vec![7; 16].into(), epoch: 0, sequence, partition: None, ..Append::default() }
}

/// Sends all messages at once; gives the acknowledgements and how the call ended.
pub(crate) async fn put(server: &Server, messages: Vec<FlightData>) -> (Vec<Ack>, Result<(), Status>) {
    let mut client = connect(server).await;
    let mut stream = match client.do_put(tokio_stream::iter(messages)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return (Vec::new(), Err(status)),
    };
    let mut acks = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(PutResult { app_metadata })) => acks.push(Ack::decode(app_metadata).unwrap()),
            Ok(None) => return (acks, Ok(())),
            Err(status) => return (acks, Err(status)),
        }
    }
}

/// A consumer stream.
pub(crate) struct Exchange {
    requests: mpsc::Sender<FlightData>,
    replies: Streaming<FlightData>,
}

impl Exchange {
    pub(crate) async fn open(server: &Server, hello: Hello) -> Exchange {
        Exchange::open_at(&server.grpc.to_string(), hello).await
    }

    pub(crate) async fn open_at(address: &str, hello: Hello) -> Exchange {
        let (requests, receiver) = mpsc::channel(256);
        requests.send(control(Request::Hello(hello))).await.unwrap();
        let replies = connect_to(address).await.do_exchange(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Exchange { requests, replies }
    }

    pub(crate) async fn send(&self, request: Request) {
        self.requests.send(control(request)).await.unwrap();
    }

    /// The next reply, with the message it came in; bare schema messages are passed over.
    pub(crate) async fn next(&mut self) -> (Reply, FlightData) {
        loop {
            let data = self.replies.message().await.unwrap().expect("the stream ended without an end");
            if !data.app_metadata.is_empty() {
                let reply = ConsumerReply::decode(data.app_metadata.clone()).unwrap();
                return (reply.reply.unwrap(), data);
            }
        }
    }

    /// The next reply that `wanted` takes; the others are dropped.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(Reply) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next().await.0) {
                return found;
            }
        }
    }
}

fn control(request: Request) -> FlightData {
    FlightData::new().with_app_metadata(ConsumerRequest { request: Some(request) }.encode_to_vec())
}

pub(crate) fn hello(group: &str, topic: &str) -> Hello {
    Hello {
        version: 1,
        group_id: group.to_owned(),
        topic: topic.to_owned(),
        auto_offset_reset: millstream_protocol::AutoOffsetReset::Earliest.into(),
        credit_bytes: 64 << 20,
        ..Hello::default()
    }
}
