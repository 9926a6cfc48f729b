//! Bodies about messages that were handed out by pop.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::bodies::QueueName;
use super::reader::Malformed;

/// Messages that were handed out together reach no further than this.
const MAX_SPAN: usize = 16_384;

/// Of 200151.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchAcks {
    #[serde(default)]
    pub(crate) acks: Vec<BatchAck>,
}

/// Messages that were handed out together; clients shorten the names.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchAck {
    #[serde(rename = "c", alias = "consumerGroup")]
    pub(crate) group: String,
    #[serde(rename = "t", alias = "topic")]
    pub(crate) topic: String,
    #[serde(rename = "so", alias = "startOffset")]
    pub(crate) first: u64,
    #[serde(rename = "q", alias = "queueId")]
    pub(crate) queue: u32,
    #[serde(rename = "rq", alias = "reviveQueueId")]
    pub(crate) number: u32,
    #[serde(rename = "pt", alias = "popTime")]
    pub(crate) handed_ms: i64,
    /// A bit for each offset from the first one on, those of a byte from the lowest one on, in base64.
    #[serde(rename = "b", alias = "bitSet")]
    bits: String,
}

impl BatchAck {
    pub(crate) fn offsets(&self) -> Result<Vec<u64>, Malformed> {
        let bytes = STANDARD.decode(&self.bits);
        let bytes =
            bytes.map_err(|error| Malformed(format!("the bits of an acknowledgement are no base64: {error}")))?;
        let most = MAX_SPAN / 8;
        if bytes.len() > most {
            let found = bytes.len();
            return Err(Malformed(format!("an acknowledgement has {found} bytes of bits, more than {most}")));
        }
        let bits = bytes.iter().enumerate().flat_map(|(at, byte)| {
            (0..8_u64).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| at as u64 * 8 + bit)
        });
        bits.map(|bit| self.first.checked_add(bit).ok_or_else(|| Malformed::new("an offset is too large"))).collect()
    }
}

/// Of 400.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssignmentQuery {
    pub(crate) topic: String,
    pub(crate) consumer_group: String,
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) message_model: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assignments {
    pub(crate) message_queue_assignments: Vec<Assigned>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assigned {
    pub(crate) message_queue: QueueName,
    pub(crate) mode: &'static str,
}

/// Of 401.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestMode {
    pub(crate) topic: String,
    pub(crate) consumer_group: String,
    pub(crate) mode: String,
}

#[cfg(test)]
mod tests {
    use super::super::bodies;
    use super::*;

    const ACKS: &str = r#"{"brokerName":"millstream","acks":[{"b":"BQE=","c":"g","it":60000,"pt":1795889930706,"q":3,"r":"0","rq":2,"so":100,"t":"t"}]}"#;

    #[test]
    fn bits_are_offsets() {
        let acks: BatchAcks = bodies::read("acks", ACKS.as_bytes()).unwrap();
        let [ack] = &acks.acks[..] else { panic!("one") };
        assert_eq!(ack.offsets().unwrap(), [100, 102, 108]);
        assert_eq!((ack.queue, ack.first, ack.number, ack.handed_ms), (3, 100, 2, 1_795_889_930_706));
        let wrong = |ack: &str| {
            let acks: BatchAcks = bodies::read("acks", ack.as_bytes()).unwrap();
            acks.acks[0].offsets().is_err()
        };
        assert!(wrong(&ACKS.replace("BQE=", "!")));
        assert!(wrong(&ACKS.replace("BQE=", &STANDARD.encode([1; 2_049]))));
        assert!(wrong(&ACKS.replace(":100", ":18446744073709551615")));
    }

    #[test]
    fn cut_bodies_are_refused() {
        for body in [
            ACKS,
            r#"{"topic":"t","consumerGroup":"g","clientId":"c"}"#,
            r#"{"topic":"t","consumerGroup":"g","mode":"POP"}"#,
        ] {
            for end in 0..body.len() {
                let cut = &body.as_bytes()[..end];
                assert!(bodies::read::<BatchAcks>("a", cut).is_err());
                assert!(bodies::read::<AssignmentQuery>("a", cut).is_err());
                assert!(bodies::read::<RequestMode>("a", cut).is_err());
            }
        }
    }
}
