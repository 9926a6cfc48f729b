//! Buffers for messages, which are used again.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Smaller messages get memory of their own, which is as cheap.
const REUSED_BYTES: usize = 32 << 10;
/// Sizes are rounded up to this, so that a buffer fits the messages after it too.
const STEP_BYTES: usize = 64 << 10;
/// What is remembered of buffers, at most, unless the caller says how many bytes of messages may wait.
const KEPT_BYTES: usize = 16 << 20;

/// Buffers whose messages were given out, the longest ago first. One is free again when all of its message was dropped.
#[derive(Debug)]
pub(super) struct Buffers {
    given: VecDeque<(BytesMut, usize)>,
    bytes: usize,
    limit: usize,
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers::new(KEPT_BYTES)
    }
}

impl Buffers {
    /// Remembers buffers of `limit` bytes: where more bytes wait, those of the messages that wait longest are forgotten, and their
    /// memory is new to the next message again.
    pub(super) fn new(limit: usize) -> Buffers {
        Buffers { given: VecDeque::new(), bytes: 0, limit }
    }

    /// An empty buffer with room for `len` bytes.
    pub(super) fn empty(&mut self, len: usize) -> BytesMut {
        if len < REUSED_BYTES {
            return BytesMut::with_capacity(len);
        }
        let size = len.next_multiple_of(STEP_BYTES);
        let free = self.given.iter_mut().take(4).position(|(buffer, of)| *of == size && buffer.try_reclaim(size));
        let free = free.and_then(|place| self.given.remove(place));
        match free {
            Some((buffer, of)) => {
                self.bytes -= of;
                buffer
            }
            None => BytesMut::with_capacity(size),
        }
    }

    /// The bytes of a buffer that is full. The buffer is remembered until they are gone.
    pub(super) fn filled(&mut self, mut buffer: BytesMut) -> Bytes {
        let len = buffer.len();
        if len < REUSED_BYTES {
            return buffer.freeze();
        }
        let size = len.next_multiple_of(STEP_BYTES);
        let bytes = buffer.split().freeze();
        // What is left of the buffer holds on to it. It is less than `size`, so that only the whole of it is taken again.
        self.bytes += size;
        self.given.push_back((buffer, size));
        while self.bytes > self.limit
            && let Some((_, of)) = self.given.pop_front()
        {
            self.bytes -= of;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffers: &mut Buffers, len: usize) -> Bytes {
        let mut buffer = buffers.empty(len);
        assert!(buffer.is_empty() && buffer.capacity() >= len);
        buffer.resize(len, 1);
        buffers.filled(buffer)
    }

    #[test]
    fn a_buffer_is_used_again_when_its_message_is_gone() {
        let mut buffers = Buffers::default();
        let first = filled(&mut buffers, 100_000);
        let place = first.as_ptr();
        let second = filled(&mut buffers, 100_000);
        assert_ne!(second.as_ptr(), place);
        let part = first.slice(50_000..);
        drop(first);
        assert_ne!(filled(&mut buffers, 100_000).as_ptr(), place);
        drop(part);
        assert_eq!(filled(&mut buffers, 90_000).as_ptr(), place);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut buffers = Buffers::default();
        let held: Vec<Bytes> = (1..200).map(|size| filled(&mut buffers, size * 10_000)).collect();
        assert!(buffers.bytes <= KEPT_BYTES);
        assert_eq!(buffers.bytes, buffers.given.iter().map(|(_, size)| size).sum::<usize>());
        drop(held);
    }
}
