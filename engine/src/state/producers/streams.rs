//! Streams as entries of the state store.

use super::stream::{Stream, StreamId};
use super::window::Window;
use crate::model::{Result, TableId};
use crate::state::codec;
use crate::state::codec::{KeyBytes, KeyParts};
use crate::state::paged::PagedEntries;

/// Memory that a stream takes beside its window, about.
const OVERHEAD: usize = 160;

#[derive(Debug)]
pub(in crate::state) struct Streams;

impl PagedEntries for Streams {
    type Key = StreamId;
    type Value = Stream;
    const TAG: u8 = b'r';

    fn key((table, id): &StreamId) -> Vec<u8> {
        KeyBytes::new(Self::TAG).u64(table.0).u128(*id).done()
    }

    fn parse_key(bytes: &[u8]) -> Result<StreamId, String> {
        let mut parts = KeyParts::of(bytes);
        let stream = (TableId(parts.u64()?), parts.u128()?);
        parts.end()?;
        Ok(stream)
    }

    fn value(Stream { epoch, last_us, window }: &Stream) -> Result<Vec<u8>> {
        let mut bytes = codec::postcard(&(epoch, last_us, window.len()))?;
        bytes.extend_from_slice(window.bytes());
        Ok(bytes)
    }

    fn parse_value(bytes: &[u8]) -> Result<Stream, String> {
        let head = postcard::take_from_bytes(codec::from_bytes(bytes)?);
        let ((epoch, last_us, answers), rest) = head.map_err(|error| error.to_string())?;
        Ok(Stream { epoch, last_us, window: Window::parse(answers, rest)? })
    }

    fn owner((table, _): &StreamId) -> u64 {
        table.0
    }

    fn first_of(owner: u64) -> StreamId {
        (TableId(owner), 0)
    }

    fn bytes(_key: &StreamId, value: Option<&Stream>) -> usize {
        OVERHEAD + value.map_or(0, |stream| stream.window.capacity())
    }
}
