//! What programs do with the RocketMQ client for Rust, one part a run. Prints a line a check; any failure ends it with an error.

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rocketmq_client_rust::{
    ClientResult, ClientRuntime, ClientRuntimeConfig, ConsumeConcurrentlyContext, ConsumeConcurrentlyStatus,
    ConsumeOrderlyContext, ConsumeOrderlyStatus, DefaultMQProducer, DefaultMQPushConsumer, LocalTransactionState,
    MQPushConsumer, MessageListenerConcurrently, MessageListenerOrderly, MessageQueueSelector, SelectMessageQueueByHash,
    TransactionListener, TransactionMQProducer,
};
use rocketmq_model::common::consumer::consume_from_where::ConsumeFromWhere;
use rocketmq_model::common::message::MessageTrait;
use rocketmq_model::common::message::message_ext::MessageExt;
use rocketmq_model::common::message::message_single::Message;
use rocketmq_runtime::{RuntimeConfig, RuntimeOwner};

type Done = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Done {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, server, part] = &arguments[..] else { return Err("check ADDRESS PART".into()) };
    let owner = RuntimeOwner::plan(RuntimeConfig::default())?.build()?;
    let telemetry = rocketmq_observability::install_global(&Default::default())?;
    let component = owner.root_context().component("client");
    let runtime = ClientRuntime::try_new(component, ClientRuntimeConfig::default(), telemetry.handle())?;
    match part.as_str() {
        "concurrent" => concurrent(server, &runtime).await?,
        "orderly" => orderly(server, &runtime).await?,
        "transactions" => transactions(server, &runtime).await?,
        part => return Err(format!("there is no part {part}").into()),
    }
    // Some of the client's tasks would keep the program.
    std::process::exit(0);
}

async fn until(what: &str, condition: impl Fn() -> bool) -> Done {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > Duration::from_secs(90) {
            return Err(format!("{what} did not come true within 90 s").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn producer(server: &str, runtime: &Arc<ClientRuntime>, group: &str) -> DefaultMQProducer {
    DefaultMQProducer::builder(Arc::clone(runtime))
        .producer_group(group.to_owned())
        .name_server_addr(server.to_owned())
        .build()
}

fn consumer(server: &str, runtime: &Arc<ClientRuntime>, group: &str) -> DefaultMQPushConsumer {
    DefaultMQPushConsumer::builder(Arc::clone(runtime))
        .consumer_group(group.to_owned())
        .name_server_addr(server.to_owned())
        .consume_from_where(ConsumeFromWhere::ConsumeFromFirstOffset)
        .build()
}

fn text(message: &MessageExt) -> String {
    String::from_utf8_lossy(&message.body().unwrap_or_default()).into_owned()
}

/// What was consumed, by body: how often.
type Seen = Arc<Mutex<BTreeMap<String, u32>>>;

/// Fails one message once.
struct FailsOnce {
    seen: Seen,
    fails: &'static str,
}

impl MessageListenerConcurrently for FailsOnce {
    fn consume_message(
        &self,
        messages: &[&MessageExt],
        _context: &ConsumeConcurrentlyContext,
    ) -> ClientResult<ConsumeConcurrentlyStatus> {
        let mut seen = self.seen.lock().unwrap();
        for message in messages {
            let body = text(message);
            let count = seen.entry(body.clone()).or_default();
            *count += 1;
            if body == self.fails && *count == 1 {
                return Ok(ConsumeConcurrentlyStatus::ReconsumeLater);
            }
        }
        Ok(ConsumeConcurrentlyStatus::ConsumeSuccess)
    }
}

async fn concurrent(server: &str, runtime: &Arc<ClientRuntime>) -> Done {
    let mut producer = producer(server, runtime, "rust-senders");
    producer.start().await?;
    for number in 0..20 {
        let message = Message::builder()
            .topic("rust-normal")
            .tags(["a", "b", "c", "d"][number % 4])
            .keys(vec![format!("key-{number}")])
            .body(format!("message {number}").into_bytes())
            .build()?;
        let sent = producer.send(message).await?.ok_or("a send without a result")?;
        if sent.msg_id.is_none() {
            return Err("a message without an id".into());
        }
    }
    println!("sent");
    let seen = Seen::default();
    let mut consumer = consumer(server, runtime, "rust-group");
    consumer.subscribe("rust-normal", "a || c").await?;
    consumer.register_message_listener_concurrently(FailsOnce { seen: Arc::clone(&seen), fails: "message 4" });
    consumer.start().await?;
    let expected: HashSet<String> = (0..20).step_by(2).map(|number| format!("message {number}")).collect();
    until("all of the tags, one twice", || {
        let seen = seen.lock().unwrap();
        seen.len() >= expected.len() && seen.get("message 4").is_some_and(|count| *count == 2)
    })
    .await?;
    let seen = seen.lock().unwrap();
    if seen.keys().cloned().collect::<HashSet<_>>() != expected || seen.values().sum::<u32>() != 11 {
        return Err(format!("consumed {seen:?}").into());
    }
    println!("consumed by tags, one again");
    Ok(())
}

/// Bodies in the order in which they came, by order.
struct InOrder(Arc<Mutex<BTreeMap<String, Vec<u32>>>>);

impl MessageListenerOrderly for InOrder {
    fn consume_message(
        &self,
        messages: &[&MessageExt],
        _context: &mut ConsumeOrderlyContext,
    ) -> ClientResult<ConsumeOrderlyStatus> {
        let mut seen = self.0.lock().unwrap();
        for message in messages {
            let body = text(message);
            let (order, number) = body.split_once(' ').expect("an order and a number");
            seen.entry(order.to_owned()).or_default().push(number.parse().expect("a number"));
        }
        Ok(ConsumeOrderlyStatus::Success)
    }
}

async fn orderly(server: &str, runtime: &Arc<ClientRuntime>) -> Done {
    let mut producer = producer(server, runtime, "rust-orderly-senders");
    producer.start().await?;
    let selector = SelectMessageQueueByHash;
    for number in 0..10 {
        for order in 0..5 {
            let body = format!("{order} {number}").into_bytes();
            let message = Message::builder().topic("rust-orderly").body(body).build()?;
            let select = |queues: &_, message: &_, order: &_| selector.select(queues, message, order);
            producer.send_with_selector(message, select, &order).await?;
        }
    }
    let seen: Arc<Mutex<BTreeMap<String, Vec<u32>>>> = Arc::default();
    let mut consumer = consumer(server, runtime, "rust-orderly-group");
    consumer.subscribe("rust-orderly", "*").await?;
    consumer.register_message_listener_orderly(InOrder(Arc::clone(&seen)));
    consumer.start().await?;
    until("fifty messages", || seen.lock().unwrap().values().map(Vec::len).sum::<usize>() >= 50).await?;
    let seen = seen.lock().unwrap();
    if seen.len() != 5 || seen.values().any(|numbers| *numbers != (0..10).collect::<Vec<u32>>()) {
        return Err(format!("out of order: {seen:?}").into());
    }
    println!("consumed in order");
    Ok(())
}

/// Decides by the body; what is unknown at first is committed when asked.
struct Decides(Arc<Mutex<u32>>);

impl TransactionListener for Decides {
    fn execute_local_transaction(
        &self,
        message: &dyn MessageTrait,
        _argument: Option<&(dyn Any + Send + Sync)>,
    ) -> LocalTransactionState {
        let body = message.get_body().map(|body| String::from_utf8_lossy(body).into_owned()).unwrap_or_default();
        match body.as_str() {
            "committed" => LocalTransactionState::CommitMessage,
            "rolled back" => LocalTransactionState::RollbackMessage,
            _ => LocalTransactionState::Unknown,
        }
    }

    fn check_local_transaction(&self, _message: &MessageExt) -> LocalTransactionState {
        *self.0.lock().unwrap() += 1;
        LocalTransactionState::CommitMessage
    }
}

async fn transactions(server: &str, runtime: &Arc<ClientRuntime>) -> Done {
    let asked: Arc<Mutex<u32>> = Arc::default();
    let mut producer = TransactionMQProducer::builder(Arc::clone(runtime))
        .producer_group("rust-transactions".to_owned())
        .name_server_addr(server.to_owned())
        .topics(vec!["rust-orders"])
        .transaction_listener(Decides(Arc::clone(&asked)))
        .build();
    producer.start().await?;
    for body in ["committed", "rolled back", "asked about"] {
        let message = Message::builder().topic("rust-orders").body_slice(body.as_bytes()).build()?;
        producer.send_message_in_transaction::<(), _>(message, None).await?;
    }
    let seen = Seen::default();
    let mut consumer = consumer(server, runtime, "rust-orders-group");
    consumer.subscribe("rust-orders", "*").await?;
    consumer.register_message_listener_concurrently(FailsOnce { seen: Arc::clone(&seen), fails: "" });
    consumer.start().await?;
    until("what was committed", || seen.lock().unwrap().len() >= 2).await?;
    if *asked.lock().unwrap() == 0 {
        return Err("nobody was asked".into());
    }
    println!("asked");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = seen.lock().unwrap();
    if seen.keys().map(String::as_str).collect::<Vec<_>>() != ["asked about", "committed"] {
        return Err(format!("consumed {seen:?}").into());
    }
    println!("committed, and nothing else");
    Ok(())
}
