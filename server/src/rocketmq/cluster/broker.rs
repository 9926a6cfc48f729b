//! One broker of a cluster.

use std::str::FromStr;

use serde::Deserialize;

use super::super::send::MAX_BODY_BYTES;
use super::super::signature::AccessKey;
use super::super::stored::ADDED;
use super::super::wire::command::Command;
use super::super::wire::found::{self, FoundMessage};
use super::super::wire::reader::Malformed;
use super::super::wire::{bodies, codes, loose};
use super::connection::{ClusterError, Connection};

/// A group that every broker knows, and that consumes nothing: its own tools pull as it.
const TOOLS: &str = "TOOLS_CONSUMER";
/// As many as brokers give at once.
const MESSAGES_OF_A_PULL: u32 = 32;
/// Of a pull: what is subscribed to comes with it.
const WITH_SUBSCRIPTION: u32 = 4;

/// A broker's master.
pub(crate) struct Broker {
    name: String,
    connection: Connection,
}

/// The offsets of a queue: its first message's, and one past that of its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueBounds {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// What one pull has given.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) messages: Vec<FoundMessage>,
    /// Where the next pull goes on.
    pub(crate) next: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TopicList {
    #[serde(default)]
    topic_list: Vec<String>,
}

impl Broker {
    /// Connects with the first request.
    pub(crate) fn at(name: String, address: &str, key: Option<&AccessKey>) -> Broker {
        Broker { name, connection: Connection::new(address, key) }
    }

    /// Over a connection of its own.
    pub(crate) fn another(&self) -> Broker {
        Broker { name: self.name.clone(), connection: self.connection.another() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The JSON of its topics and groups, as the tools write it into files.
    pub(crate) async fn definitions(&mut self) -> Result<[String; 2], ClusterError> {
        let topics = self.connection.ask(codes::GET_ALL_TOPIC_CONFIG, &[]).await?;
        let groups = self.connection.ask(codes::GET_ALL_GROUP_CONFIGS, &[]).await?;
        Ok([topics, groups].map(|answer| loose::quoted_names(&String::from_utf8_lossy(&answer.body))))
    }

    /// The topics that a group has offsets on.
    pub(crate) async fn topics_of(&mut self, group: &str) -> Result<Vec<String>, ClusterError> {
        let answer = self.connection.ask(codes::QUERY_TOPICS_OF_CONSUMER, &[("group", group.to_owned())]).await?;
        let topics = bodies::read::<TopicList>("a group's list of topics", &answer.body);
        topics.map(|topics| topics.topic_list).map_err(|why| self.connection.wrong(why))
    }

    /// A queue's bounds; those of one that is not there are 0.
    pub(crate) async fn bounds(&mut self, topic: &str, queue: u32) -> Result<QueueBounds, ClusterError> {
        let fields = [("topic", topic.to_owned()), ("queueId", queue.to_string())];
        let mut bounds = [0; 2];
        for (bound, code) in bounds.iter_mut().zip([codes::GET_MIN_OFFSET, codes::GET_MAX_OFFSET]) {
            let answer = self.connection.answer(code, &fields).await?;
            *bound = match answer.code {
                codes::SUCCESS => self.field::<i64>(&answer, "offset")?,
                // It is on other brokers only.
                codes::TOPIC_NOT_EXIST => 0,
                _ => return Err(self.connection.refused(code, answer)),
            };
        }
        let [start, end] = bounds.map(|bound| u64::try_from(bound).unwrap_or(0));
        Ok(QueueBounds { start: start.min(end), end })
    }

    /// Where a group goes on in a queue, if it has consumed of it.
    pub(crate) async fn committed(
        &mut self,
        group: &str,
        topic: &str,
        queue: u32,
    ) -> Result<Option<u64>, ClusterError> {
        let code = codes::QUERY_CONSUMER_OFFSET;
        let fields = [
            ("consumerGroup", group.to_owned()),
            ("topic", topic.to_owned()),
            ("queueId", queue.to_string()),
            ("setZeroIfNotFound", "false".to_owned()),
        ];
        let answer = self.connection.answer(code, &fields).await?;
        match answer.code {
            codes::SUCCESS => Ok(u64::try_from(self.field::<i64>(&answer, "offset")?).ok()),
            codes::QUERY_NOT_FOUND | codes::TOPIC_NOT_EXIST => Ok(None),
            _ => Err(self.connection.refused(code, answer)),
        }
    }

    /// Messages of a queue from an offset on; none at its end.
    pub(crate) async fn pull(&mut self, topic: &str, queue: u32, offset: u64) -> Result<Pulled, ClusterError> {
        let code = codes::PULL_MESSAGE;
        let fields = [
            ("consumerGroup", TOOLS.to_owned()),
            ("topic", topic.to_owned()),
            ("queueId", queue.to_string()),
            ("queueOffset", offset.to_string()),
            ("maxMsgNums", MESSAGES_OF_A_PULL.to_string()),
            ("sysFlag", WITH_SUBSCRIPTION.to_string()),
            ("commitOffset", "0".to_owned()),
            ("suspendTimeoutMillis", "0".to_owned()),
            ("subscription", "*".to_owned()),
            ("subVersion", "0".to_owned()),
            ("expressionType", "TAG".to_owned()),
        ];
        let answer = self.connection.answer(code, &fields).await?;
        let messages = match answer.code {
            codes::SUCCESS => found::read(&answer.body, MAX_BODY_BYTES).map_err(|why| self.connection.wrong(why))?,
            codes::PULL_NOT_FOUND | codes::PULL_RETRY_IMMEDIATELY | codes::PULL_OFFSET_MOVED => Vec::new(),
            _ => return Err(self.connection.refused(code, answer)),
        };
        let next = u64::try_from(self.field::<i64>(&answer, "nextBeginOffset")?).unwrap_or(offset);
        Ok(Pulled { messages: messages.into_iter().map(without_added).collect(), next })
    }

    fn field<T: FromStr>(&self, answer: &Command, name: &str) -> Result<T, ClusterError> {
        let value = answer.fields.get(name).and_then(|value| value.parse().ok());
        value.ok_or_else(|| self.connection.wrong(Malformed(format!("an answer without {name}"))))
    }
}

/// Without what brokers add to a message as they give it out.
fn without_added(mut message: FoundMessage) -> FoundMessage {
    message.properties.retain(|(name, _)| !ADDED.iter().any(|(added, _)| added == name));
    message
}
