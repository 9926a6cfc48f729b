//! What clients say of themselves, and what they are told for it.

use std::time::Duration;

use millstream_engine::{GroupRetries, MessageKind, MessageSubscription};

use super::caller::Caller;
use super::proto::retry_policy::Strategy;
use super::proto::settings::PubSub;
use super::proto::{
    ClientType, Code, CustomizedBackoff, ExponentialBackoff, FilterExpression, FilterType, Language, Metric,
    RetryPolicy, Settings, Subscription,
};
use super::resources;
use super::sessions::Part;
use super::status::{Done, Failed};
use crate::rocketmq::delay::LEVELS_MS;
use crate::rocketmq::filter::SQL92;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::send::MAX_BODY_BYTES;

/// How long a consumer waits for messages, and how many it takes at once.
pub(super) const LONG_POLLING: Duration = Duration::from_secs(20);
const RECEIVED_AT_ONCE: i32 = 32;
/// How a producer tries again, if it says nothing of it.
const PRODUCER_ATTEMPTS: i32 = 3;
const PRODUCER_BACKOFF_MS: (u64, u64) = (10, 1_000);

/// What a client is, by its settings.
pub(super) fn part(caller: &Caller, settings: &Settings) -> Done<Part> {
    let kind = settings.client_type();
    match (kind, &settings.pub_sub) {
        (ClientType::Producer, Some(PubSub::Publishing(publishing))) => {
            let groups = publishing.topics.iter().map(|topic| resources::topic(caller, Some(topic)));
            Ok(Part { groups: groups.collect::<Done<_>>()?, consumes: None })
        }
        (ClientType::PushConsumer | ClientType::SimpleConsumer, Some(PubSub::Subscription(subscription))) => {
            let group = resources::group(caller, subscription.group.as_ref())?;
            let version = caller.now_ms();
            let subscriptions = subscription.subscriptions.iter().map(|entry| {
                let topic = resources::topic(caller, entry.topic.as_ref())?;
                let (kind, expression) = expression(entry.expression.as_ref())?;
                Ok(MessageSubscription { topic: topic.name, kind: kind.to_owned(), expression, version })
            });
            Ok(Part { consumes: Some(subscriptions.collect::<Done<_>>()?), groups: vec![group] })
        }
        (ClientType::Producer | ClientType::PushConsumer | ClientType::SimpleConsumer, _) => {
            let message =
                format!("the settings of a {} say neither what it sends nor what it takes", kind.as_str_name());
            Err(Failed::new(Code::BadRequest, message))
        }
        (ClientType::Unspecified, _) => {
            Err(Failed::new(Code::UnrecognizedClientType, "the settings name no type of client"))
        }
        (other, _) => {
            let message = format!("clients of type {} are not served", other.as_str_name());
            Err(Failed::new(Code::Unsupported, message))
        }
    }
}

/// How an expression is meant, and its text.
pub(super) fn expression(said: Option<&FilterExpression>) -> Done<(&'static str, String)> {
    let Some(said) = said else { return Ok(("TAG", "*".to_owned())) };
    match FilterType::try_from(said.r#type) {
        Ok(FilterType::Sql) => Ok((SQL92, said.expression.clone())),
        Ok(FilterType::Tag | FilterType::Unspecified) => Ok(("TAG", said.expression.clone())),
        Err(_) => {
            Err(Failed::new(Code::IllegalFilterExpression, format!("there is no type {} of filters", said.r#type)))
        }
    }
}

/// The settings that a client goes by from now on.
pub(super) fn answer(caller: &Caller, mut settings: Settings) -> Done<Settings> {
    settings.metric = Some(Metric { on: false, endpoints: None });
    match &mut settings.pub_sub {
        Some(PubSub::Publishing(publishing)) => {
            publishing.max_body_size = i32::try_from(MAX_BODY_BYTES).unwrap_or(i32::MAX);
            publishing.validate_message_type = true;
            settings.backoff_policy.get_or_insert_with(producer_backoff);
        }
        Some(PubSub::Subscription(subscription)) => {
            subscription.fifo = Some(is_in_order(caller, subscription)?);
            subscription.receive_batch_size = Some(RECEIVED_AT_ONCE);
            subscription.long_polling_timeout = prost_types::Duration::try_from(LONG_POLLING).ok();
            let reads_lists = settings.user_agent.as_ref().is_none_or(|agent| agent.language() != Language::NodeJs);
            settings.backoff_policy = Some(consumer_backoff(caller, subscription, reads_lists)?);
        }
        None => {}
    }
    Ok(settings)
}

/// Whether a consumer takes messages in order: it does of topics of kind `'ordered'`.
fn is_in_order(caller: &Caller, subscription: &Subscription) -> Done<bool> {
    for entry in &subscription.subscriptions {
        if takes_in_order(caller, &resources::topic(caller, entry.topic.as_ref())?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn takes_in_order(caller: &Caller, topic: &ScopedName) -> Done<bool> {
    let readable = caller.tables.readable(topic)?;
    let table = readable.as_ref().and_then(|readable| readable.messages().ok());
    Ok(table.is_some_and(|table| table.options.messages == Some(MessageKind::Ordered)))
}

fn milliseconds(ms: u64) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(Duration::from_millis(ms)).ok()
}

fn producer_backoff() -> RetryPolicy {
    let (first, most) = PRODUCER_BACKOFF_MS;
    let backoff = ExponentialBackoff { initial: milliseconds(first), max: milliseconds(most), multiplier: 2.0 };
    RetryPolicy { max_attempts: PRODUCER_ATTEMPTS, strategy: Some(Strategy::ExponentialBackoff(backoff)) }
}

/// As the group is set; else as the server is, and the times of the levels of delay, from the first one on. Node's client does not read
/// lists of times, and gives a message of an ordered topic up at its first failure if it is given one: it is told times that double.
fn consumer_backoff(caller: &Caller, subscription: &Subscription, reads_lists: bool) -> Done<RetryPolicy> {
    let (group, tables) = (resources::group(caller, subscription.group.as_ref())?, &caller.tables);
    let GroupRetries { max_attempts, steps_ms } =
        tables.engine.group_retries(&tables.who, &group.namespace, &group.name)?;
    let next: Vec<_> = match steps_ms.is_empty() {
        true => LEVELS_MS.iter().filter_map(|ms| milliseconds(u64::try_from(*ms).unwrap_or(0))).collect(),
        false => steps_ms.into_iter().filter_map(milliseconds).collect(),
    };
    let strategy = if reads_lists {
        Strategy::CustomizedBackoff(CustomizedBackoff { next })
    } else {
        let (initial, max) = (next.first().copied(), next.last().copied());
        Strategy::ExponentialBackoff(ExponentialBackoff { initial, max, multiplier: 2.0 })
    };
    Ok(RetryPolicy {
        max_attempts: i32::try_from(max_attempts.unwrap_or(tables.settings.max_attempts)).unwrap_or(i32::MAX),
        strategy: Some(strategy),
    })
}
