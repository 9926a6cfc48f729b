//! The body of a batch: messages one after the other, each `i32 size, i32 magic, i32 CRC, i32 flag, i32 + body,
//! i16 + properties`. Magic and CRC are zero.

use bytes::Bytes;

use super::reader::{Malformed, Reader};

/// A batch has at most this many messages.
const MAX_MESSAGES: usize = 65_536;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchedMessage {
    pub(crate) flag: i32,
    pub(crate) body: Bytes,
    pub(crate) properties: String,
}

pub(crate) fn read(body: &Bytes) -> Result<Vec<BatchedMessage>, Malformed> {
    let mut all = Reader::new("a batch", body);
    let mut messages = Vec::new();
    while !all.is_empty() {
        if messages.len() == MAX_MESSAGES {
            return Err(Malformed(format!("a batch of more than {MAX_MESSAGES} messages")));
        }
        let size = i64::from(all.i32()?);
        let mut one = Reader::new("a message of a batch", all.take(all.length(size - 4)?)?);
        let (_magic, _crc, flag) = (one.i32()?, one.i32()?, one.i32()?);
        let content = body.slice_ref(one.long()?);
        let properties = one.short()?;
        let properties = one.text(properties)?.to_owned();
        messages.push(BatchedMessage { flag, body: content, properties });
    }
    Ok(messages)
}

#[cfg(test)]
pub(crate) fn write(messages: &[BatchedMessage]) -> Vec<u8> {
    let mut body = Vec::new();
    for message in messages {
        let size = 22 + message.body.len() + message.properties.len();
        body.extend(i32::try_from(size).unwrap().to_be_bytes());
        body.extend([0; 8]);
        body.extend(message.flag.to_be_bytes());
        body.extend(i32::try_from(message.body.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&message.body);
        body.extend(i16::try_from(message.properties.len()).unwrap().to_be_bytes());
        body.extend_from_slice(message.properties.as_bytes());
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_read_and_cut_ones_refused() {
        let message = |body: &'static [u8], properties: &str| BatchedMessage {
            flag: 1,
            body: Bytes::from_static(body),
            properties: properties.to_owned(),
        };
        let messages = [message(b"one", "TAGS\u{1}a\u{2}"), message(b"", ""), message(b"three", "k\u{1}v\u{2}")];
        let body = Bytes::from(write(&messages));
        assert_eq!(read(&body).unwrap(), messages);
        let ends = [32, 32 + 22];
        for cut in 1..body.len() {
            assert_eq!(read(&body.slice(..cut)).is_ok(), ends.contains(&cut), "cut at {cut}");
        }
        assert!(read(&Bytes::from_static(&[0, 0, 0, 0])).is_err(), "a size below its own");
        assert!(read(&Bytes::from_static(&[0xff; 8])).is_err());
    }
}
