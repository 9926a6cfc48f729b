//! Messages as a pull gives them, one after the other:
//!
//! ```text
//! i32 size, i32 magic, i32 CRC of the body, i32 queue, i32 flag, i64 queue offset, i64 physical offset, i32 system flag,
//! i64 born, 4|16 + i32 born host, i64 stored, 4|16 + i32 store host, i32 times consumed again, i64 prepared offset,
//! i32 + body, u8|i16 + topic, i16 + properties
//! ```
//!
//! The second magic says that the topic's length has two bytes.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, BytesMut};
use flate2::Crc;

use super::properties::MAX_PROPERTIES_BYTES;
use super::reader::Malformed;

pub(super) const MAGIC: i32 = 0xdaa3_20a7_u32 as i32;
pub(super) const MAGIC_LONG_TOPIC: i32 = 0xdaa3_20ab_u32 as i32;
const LONGEST_SHORT_TOPIC: usize = 127;

/// Of the system flag: what the body is packed with is not among them, since bodies are stored as they are.
pub(super) const BORN_HOST_V6: i32 = 0x10;
pub(super) const STORE_HOST_V6: i32 = 0x20;

/// One message as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredMessage<'a> {
    pub(crate) topic: &'a str,
    pub(crate) queue: i32,
    pub(crate) queue_offset: i64,
    pub(crate) physical_offset: i64,
    pub(crate) flag: i32,
    pub(crate) born_ms: i64,
    pub(crate) born_host: SocketAddr,
    pub(crate) stored_ms: i64,
    pub(crate) store_host: SocketAddr,
    pub(crate) reconsume_times: i32,
    pub(crate) body: &'a [u8],
    pub(crate) properties: &'a str,
}

impl StoredMessage<'_> {
    /// How many bytes [`Self::write`] adds.
    pub(crate) fn bytes(&self) -> usize {
        let hosts = host_bytes(self.born_host) + host_bytes(self.store_host);
        let topic = self.topic.len() + if self.is_long() { 2 } else { 1 };
        // Numbers before the hosts, between and after them, the lengths of body and properties.
        40 + 8 + 8 + hosts + 4 + 8 + 4 + self.body.len() + topic + 2 + self.properties.len()
    }

    fn is_long(&self) -> bool {
        self.topic.len() > LONGEST_SHORT_TOPIC
    }

    pub(crate) fn write(&self, out: &mut BytesMut) -> Result<(), Malformed> {
        let number = |len: usize| i32::try_from(len).map_err(|_| Malformed::new("the message is too long"));
        out.put_i32(number(self.bytes())?);
        out.put_i32(if self.is_long() { MAGIC_LONG_TOPIC } else { MAGIC });
        let mut crc = Crc::new();
        crc.update(self.body);
        // Java reads it as a number without sign.
        out.put_u32(crc.sum() & 0x7fff_ffff);
        out.put_i32(self.queue);
        out.put_i32(self.flag);
        out.put_i64(self.queue_offset);
        out.put_i64(self.physical_offset);
        let v6 = |host: SocketAddr, bit: i32| if host.is_ipv6() { bit } else { 0 };
        out.put_i32(v6(self.born_host, BORN_HOST_V6) | v6(self.store_host, STORE_HOST_V6));
        out.put_i64(self.born_ms);
        put_host(out, self.born_host);
        out.put_i64(self.stored_ms);
        put_host(out, self.store_host);
        out.put_i32(self.reconsume_times);
        // Of the half message that this was: none.
        out.put_i64(0);
        out.put_i32(number(self.body.len())?);
        out.put_slice(self.body);
        let topic = u16::try_from(self.topic.len()).map_err(|_| Malformed::new("the topic's name is too long"))?;
        match u8::try_from(topic) {
            Ok(topic) if !self.is_long() => out.put_u8(topic),
            _ => out.put_u16(topic),
        }
        out.put_slice(self.topic.as_bytes());
        if self.properties.len() > MAX_PROPERTIES_BYTES {
            let bytes = self.properties.len();
            return Err(Malformed(format!(
                "{bytes} bytes of properties; RocketMQ's messages have at most {MAX_PROPERTIES_BYTES}"
            )));
        }
        out.put_u16(u16::try_from(self.properties.len()).unwrap_or_default());
        out.put_slice(self.properties.as_bytes());
        Ok(())
    }
}

fn host_bytes(host: SocketAddr) -> usize {
    4 + if host.is_ipv6() { 16 } else { 4 }
}

fn put_host(out: &mut BytesMut, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(address) => out.put_slice(&address.octets()),
        IpAddr::V6(address) => out.put_slice(&address.octets()),
    }
    out.put_u32(host.port().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(topic: &str) -> StoredMessage<'_> {
        StoredMessage {
            topic,
            queue: 3,
            queue_offset: 5,
            physical_offset: 0x0102_0304,
            flag: 9,
            born_ms: 1_700_000_000_000,
            born_host: "10.0.0.7:4321".parse().unwrap(),
            stored_ms: 1_700_000_000_001,
            store_host: "127.0.0.1:9876".parse().unwrap(),
            reconsume_times: 2,
            body: b"hello",
            properties: "TAGS\u{1}a\u{2}",
        }
    }

    /// Byte by byte, as a broker of Apache's has it on disk.
    #[test]
    fn a_message_is_laid_out_as_clients_read_it() {
        let message = sample("t");
        let mut out = BytesMut::new();
        message.write(&mut out).unwrap();
        let expected = "00000068daa320a73610a686000000030000000900000000000000050000000001020304000000000000018bcfe568000a000007\
                        000010e10000018bcfe568017f0000010000269400000002000000000000000000000005\
                        68656c6c6f01740007544147530161\
                        02";
        assert_eq!(crate::hex::write(&out), expected);
        assert_eq!(out.len(), message.bytes());
    }

    #[test]
    fn long_topics_and_hosts_of_ipv6_say_so() {
        let topic = "x".repeat(128);
        let message = StoredMessage { store_host: "[::1]:9876".parse().unwrap(), ..sample(&topic) };
        let mut out = BytesMut::new();
        message.write(&mut out).unwrap();
        assert_eq!((out.len(), out[7], out[39]), (message.bytes(), 0xab, 0x20));
        let properties = "p".repeat(MAX_PROPERTIES_BYTES + 1);
        let message = StoredMessage { properties: &properties, ..sample("t") };
        assert!(message.write(&mut BytesMut::new()).is_err());
    }
}
