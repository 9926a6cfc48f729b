//! Bodies that are JSON: heartbeats, locks, routes.

use serde::{Deserialize, Serialize};

use super::loose;
use super::reader::Malformed;

/// What a client says of itself every 30 s.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Heartbeat {
    #[serde(rename = "clientID")]
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) consumer_data_set: Vec<ConsumerData>,
    #[serde(default)]
    pub(crate) producer_data_set: Vec<ProducerData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerData {
    pub(crate) group_name: String,
    #[serde(default, deserialize_with = "loose::consume_type")]
    pub(crate) consume_type: Option<String>,
    #[serde(default, deserialize_with = "loose::consume_from_where")]
    pub(crate) consume_from_where: Option<String>,
    #[serde(default, deserialize_with = "loose::message_model")]
    pub(crate) message_model: Option<String>,
    #[serde(default)]
    pub(crate) subscription_data_set: Vec<SubscriptionData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProducerData {
    pub(crate) group_name: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionData {
    pub(crate) topic: String,
    #[serde(default)]
    pub(crate) sub_string: Option<String>,
    #[serde(default, deserialize_with = "loose::number")]
    pub(crate) sub_version: i64,
    #[serde(default)]
    pub(crate) expression_type: Option<String>,
}

/// Of [`super::codes::CHECK_CLIENT_CONFIG`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientConfig {
    pub(crate) subscription_data: SubscriptionData,
}

/// Queues to lock or to unlock.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueLocks {
    pub(crate) consumer_group: String,
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) mq_set: Vec<QueueName>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueName {
    pub(crate) broker_name: String,
    pub(crate) queue_id: i32,
    pub(crate) topic: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct LockedQueues {
    #[serde(rename = "lockOKMQSet")]
    pub(crate) locked: Vec<QueueName>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerList {
    pub(crate) consumer_id_list: Vec<String>,
}

pub(crate) fn read<'a, T: Deserialize<'a>>(what: &str, body: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body)
        .map_err(|error| Malformed(format!("{what} is not the JSON that it should be: {error}")))
}

pub(crate) fn write(body: &impl Serialize) -> Result<Vec<u8>, Malformed> {
    serde_json::to_vec(body).map_err(|error| Malformed(error.to_string()))
}

/// Where a topic's messages are, and how many queues it has. Compact, and with each name where it stands here: the client in Go
/// splits `brokerAddrs` as text.
pub(crate) fn route(broker: &str, cluster: &str, address: &str, queues: u32, perm: u8) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let (broker, cluster, address) = (quoted(broker), quoted(cluster), quoted(address));
    let text = format!(
        "{{\"brokerDatas\":[{{\"brokerAddrs\":{{\"0\":{address}}},\"brokerName\":{broker},\"cluster\":{cluster},\
         \"enableActingMaster\":false}}],\"filterServerTable\":{{}},\"queueDatas\":[{{\"brokerName\":{broker},\"perm\":{perm},\
         \"readQueueNums\":{queues},\"topicSysFlag\":0,\"writeQueueNums\":{queues}}}]}}"
    );
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_of_both_releases_are_read() {
        let body = br#"{"clientID":"192.0.2.2@i_7","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":
            "CONSUME_PASSIVELY","groupName":"CG","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,
            "codeSet":[2653,2654],"expressionType":"TAG","subString":"T1 || T2","subVersion":1795889531769,"tagsSet":["T1","T2"],
            "topic":"t"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"CLIENT_INNER_PRODUCER"}],
            "withoutSub":false}"#;
        let heartbeat: Heartbeat = read("a heartbeat", body).unwrap();
        let [consumer] = &heartbeat.consumer_data_set[..] else { panic!("one consumer") };
        let [subscription] = &consumer.subscription_data_set[..] else { panic!("one subscription") };
        assert_eq!((heartbeat.client_id.as_str(), consumer.group_name.as_str()), ("192.0.2.2@i_7", "CG"));
        assert_eq!(
            (subscription.sub_string.as_deref(), subscription.sub_version),
            (Some("T1 || T2"), 1_795_889_531_769)
        );
        assert_eq!(heartbeat.producer_data_set[0].group_name, "CLIENT_INNER_PRODUCER");
        assert!(read::<Heartbeat>("a heartbeat", b"{}").is_err());
    }

    #[test]
    fn heartbeats_of_clients_in_cpp_are_read() {
        let body = br#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":4,"consumeType":1,"groupName":"g","messageModel":1,
            "subscriptionDataSet":[{"codeSet":["97"],"subString":"a","subVersion":"1795889531769","tagsSet":["a"],"topic":"t"}]}]}"#;
        let heartbeat: Heartbeat = read("a heartbeat", body).unwrap();
        let consumer = &heartbeat.consumer_data_set[0];
        let named =
            [&consumer.consume_type, &consumer.message_model, &consumer.consume_from_where].map(Option::as_deref);
        assert_eq!(named, [Some("CONSUME_PASSIVELY"), Some("CLUSTERING"), Some("CONSUME_FROM_FIRST_OFFSET")]);
        assert_eq!(consumer.subscription_data_set[0].sub_version, 1_795_889_531_769);
        for wrong in ["6", "-1", "1.5", "[]", "true"] {
            let body = format!(
                "{{\"clientID\":\"c\",\"consumerDataSet\":[{{\"groupName\":\"g\",\"consumeFromWhere\":{wrong}}}]}}"
            );
            assert!(read::<Heartbeat>("a heartbeat", body.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn routes_are_compact_and_in_order() {
        let route = String::from_utf8(route("b", "c", "127.0.0.1:9876", 8, 6)).unwrap();
        let expected = r#"{"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:9876"},"brokerName":"b","cluster":"c","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}"#;
        assert_eq!(route, expected);
    }
}
