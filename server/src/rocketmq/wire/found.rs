//! Stored messages read back, as another broker gives them to a pull ([`super::message`] draws them).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use super::message::{BORN_HOST_V6, MAGIC, MAGIC_LONG_TOPIC, STORE_HOST_V6};
use super::properties;
use super::reader::{Malformed, Reader};
use super::unpack;

/// Of the system flag: the body holds several messages that share one offset.
const INNER_BATCH: i32 = 0x80;

/// A message that lies in a queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundMessage {
    pub(crate) queue_offset: u64,
    pub(crate) flag: i32,
    pub(crate) born_ms: i64,
    pub(crate) born_host: SocketAddr,
    pub(crate) stored_ms: i64,
    pub(crate) reconsume_times: i32,
    /// As it was before a client compressed it.
    pub(crate) body: Bytes,
    pub(crate) properties: Vec<(String, String)>,
}

/// The messages of a pull's answer, with bodies of at most `limit` bytes each.
pub(crate) fn read(bytes: &Bytes, limit: usize) -> Result<Vec<FoundMessage>, Malformed> {
    let mut messages = Vec::new();
    let mut rest = Reader::new("a list of messages", bytes);
    while !rest.is_empty() {
        let size = rest.i32()?;
        // The size counts its own four bytes.
        let message = rest.take(rest.length(i64::from(size) - 4)?)?;
        messages.push(one(message, limit)?);
    }
    Ok(messages)
}

fn one(message: &[u8], limit: usize) -> Result<FoundMessage, Malformed> {
    let mut reader = Reader::new("a stored message", message);
    let magic = reader.i32()?;
    if ![MAGIC, MAGIC_LONG_TOPIC].contains(&magic) {
        return Err(Malformed(format!("a stored message begins with {magic:#x}, which none does")));
    }
    let (_crc, _queue) = (reader.i32()?, reader.i32()?);
    let flag = reader.i32()?;
    let queue_offset = reader.i64()?;
    let queue_offset = u64::try_from(queue_offset)
        .map_err(|_| Malformed(format!("a stored message is at the offset {queue_offset}")))?;
    let _physical = reader.i64()?;
    let system_flag = reader.i32()?;
    if system_flag & INNER_BATCH != 0 {
        return Err(Malformed::new("messages lie in batches that share an offset, which can't be read"));
    }
    let born_ms = reader.i64()?;
    let born_host = host(&mut reader, system_flag & BORN_HOST_V6 != 0)?;
    let stored_ms = reader.i64()?;
    host(&mut reader, system_flag & STORE_HOST_V6 != 0)?;
    let reconsume_times = reader.i32()?;
    let _half = reader.i64()?;
    let body = Bytes::copy_from_slice(reader.long()?);
    let topic = if magic == MAGIC { reader.u8()?.into() } else { reader.i16()? };
    reader.take(reader.length(topic.into())?)?;
    let properties = reader.short()?;
    let properties = properties::read(reader.text(properties)?);
    let body = match unpack::is_packed(system_flag) {
        true => unpack::unpack(&body, system_flag, limit)?,
        false if body.len() > limit => {
            return Err(Malformed(format!("a body of {} bytes; at most {limit} are taken", body.len())));
        }
        false => body,
    };
    Ok(FoundMessage { queue_offset, flag, born_ms, born_host, stored_ms, reconsume_times, body, properties })
}

fn host(reader: &mut Reader<'_>, is_v6: bool) -> Result<SocketAddr, Malformed> {
    let address: IpAddr = match is_v6 {
        true => Ipv6Addr::from(reader.array::<16>()?).into(),
        false => Ipv4Addr::from(reader.array::<4>()?).into(),
    };
    let port = reader.i32()?;
    let port = u16::try_from(port).map_err(|_| Malformed(format!("a stored message names port {port}")))?;
    Ok(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::rocketmq::wire::message::StoredMessage;

    fn written(topic: &str, born_host: &str) -> Bytes {
        let mut out = BytesMut::new();
        for queue_offset in [5, 6] {
            let message = StoredMessage {
                topic,
                queue: 3,
                queue_offset,
                physical_offset: 77,
                flag: 9,
                born_ms: 1_700_000_000_000,
                born_host: born_host.parse().unwrap(),
                stored_ms: 1_700_000_000_001,
                store_host: "127.0.0.1:9876".parse().unwrap(),
                reconsume_times: 2,
                body: b"hello",
                properties: "TAGS\u{1}a\u{2}",
            };
            message.write(&mut out).unwrap();
        }
        out.freeze()
    }

    #[test]
    fn what_is_written_is_read() {
        for (topic, born_host) in [("t", "10.0.0.7:4321"), (&*"x".repeat(128), "[::1]:4321")] {
            let bytes = written(topic, born_host);
            let read_back = read(&bytes, 5).unwrap();
            assert_eq!(read_back.iter().map(|message| message.queue_offset).collect::<Vec<_>>(), [5, 6]);
            let expected = FoundMessage {
                queue_offset: 5,
                flag: 9,
                born_ms: 1_700_000_000_000,
                born_host: born_host.parse().unwrap(),
                stored_ms: 1_700_000_000_001,
                reconsume_times: 2,
                body: Bytes::from_static(b"hello"),
                properties: vec![("TAGS".to_owned(), "a".to_owned())],
            };
            assert_eq!(read_back[0], expected);
            assert!(read(&bytes, 4).unwrap_err().to_string().contains("at most 4"));
            for end in (1..bytes.len()).filter(|end| *end != bytes.len() / 2) {
                assert!(read(&bytes.slice(..end), 5).is_err(), "cut at {end}");
            }
        }
        assert_eq!(read(&Bytes::new(), 5).unwrap(), []);
    }

    #[test]
    fn bodies_are_unpacked_and_batches_that_share_an_offset_are_refused() {
        let plain = b"hello, hello, hello".repeat(10);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut zlib, &plain).unwrap();
        let packed = zlib.finish().unwrap();
        let message = StoredMessage {
            topic: "t",
            queue: 0,
            queue_offset: 0,
            physical_offset: 0,
            flag: 0,
            born_ms: 0,
            born_host: "10.0.0.7:4321".parse().unwrap(),
            stored_ms: 0,
            store_host: "127.0.0.1:9876".parse().unwrap(),
            reconsume_times: 0,
            body: &packed,
            properties: "",
        };
        let mut out = BytesMut::new();
        message.write(&mut out).unwrap();
        // The system flag follows on size, magic, checksum, queue, flag and both offsets.
        out[36..40].copy_from_slice(&1_i32.to_be_bytes());
        assert_eq!(read(&out.clone().freeze(), 1 << 10).unwrap()[0].body, plain);
        out[36..40].copy_from_slice(&INNER_BATCH.to_be_bytes());
        assert!(read(&out.freeze(), 1 << 10).unwrap_err().to_string().contains("share an offset"));
    }

    #[test]
    fn mutated_stored_messages_are_read_or_refused() {
        let pieces = &["\u{0}\u{0}\u{0}\u{0}", "\u{7f}\u{7f}\u{7f}\u{7f}", "\u{1}", "\u{2}", "é"];
        crate::fuzz::fuzz(&written("t", "10.0.0.7:4321"), pieces, |bytes| {
            read(&Bytes::copy_from_slice(bytes), 1 << 20).is_ok()
        });
    }
}
