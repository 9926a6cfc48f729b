//! 324 and 325: the answer to a message, handed with 326 to the producer that waits for it. Nothing of it is stored.

use std::sync::Arc;

use millstream_engine::MessageClientRole;

use super::answer::{Answer, Answered, Refusal};
use super::client::{Client, ClientConnection};
use super::fields::Fields;
use super::wire::codes;
use super::wire::command::Command;
use super::wire::properties::{self, PropertiesText};

/// The client that waits, and when it was handed the answer.
const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
const PUSH_REPLY_TIME: &str = "PUSH_REPLY_TIME";

pub(super) async fn answer(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let long = command.code == codes::SEND_REPLY_MESSAGE;
    let name = |long_name: &'static str, letter: &'static str| if long { long_name } else { letter };
    let given = |long_name, letter| fields.get(name(long_name, letter)).unwrap_or_default().to_owned();
    let text = fields.get(name("properties", "i")).unwrap_or_default();
    let pairs = properties::read(text);
    let waiting = pairs.iter().find(|(name, _)| name == REPLY_TO_CLIENT).map(|(_, id)| id.as_str());
    let waiting = waiting.filter(|id| !id.is_empty()).ok_or_else(|| {
        Refusal::new(codes::SYSTEM_ERROR, format!("the message answers nobody: it has no property {REPLY_TO_CLIENT}"))
    })?;
    let producer = producer(&client, waiting)?.ok_or_else(|| {
        Refusal::new(codes::SYSTEM_ERROR, format!("push reply message fail, client {waiting:?} is not connected"))
    })?;
    let now_ms = client.now_ms();
    let mut handed = PropertiesText::default();
    pairs.iter().for_each(|(name, value)| handed.put(name, value));
    handed.put(PUSH_REPLY_TIME, &now_ms.to_string());
    let or_zero = |text: String| if text.is_empty() { "0".to_owned() } else { text };
    let fields = vec![
        ("producerGroup", given("producerGroup", "a")),
        ("topic", given("topic", "b")),
        ("defaultTopic", given("defaultTopic", "c")),
        ("defaultTopicQueueNums", or_zero(given("defaultTopicQueueNums", "d"))),
        ("queueId", or_zero(given("queueId", "e"))),
        ("sysFlag", or_zero(given("sysFlag", "f"))),
        ("bornTimestamp", or_zero(given("bornTimestamp", "g"))),
        ("flag", or_zero(given("flag", "h"))),
        ("properties", handed.as_str().to_owned()),
        ("reconsumeTimes", or_zero(given("reconsumeTimes", "j"))),
        ("unitMode", "false".to_owned()),
        ("bornHost", client.address.map(|address| address.to_string()).unwrap_or_default()),
        ("storeHost", client.store_host.to_string()),
        ("storeTimestamp", now_ms.to_string()),
    ];
    let queue = or_zero(given("queueId", "e"));
    let (said, _room) = producer.ask(codes::PUSH_REPLY_MESSAGE, fields, &command.body).await?;
    if said.code != codes::SUCCESS {
        let why = said.remark.unwrap_or_default();
        return Err(Refusal::new(codes::SYSTEM_ERROR, format!("push reply message fail, the client answers: {why}")));
    }
    Ok(Answer::with(vec![("msgId", "0".to_owned()), ("queueId", queue), ("queueOffset", "0".to_owned())]))
}

/// A producer of this id, in whichever of the groups that the caller may see.
fn producer(client: &Client, id: &str) -> Result<Option<Arc<ClientConnection>>, Refusal> {
    let tables = &client.tables;
    let all = tables.engine.all_message_clients(&tables.who)?;
    let mut named =
        all.into_iter().filter(|(_, _, one)| one.role == MessageClientRole::Producer && one.client_id == id);
    Ok(named.find_map(|(_, _, one)| client.remoting.askable.get(one.connection)))
}
