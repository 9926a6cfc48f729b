//! Buffers for messages, which are used again.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::reception::Room;

/// Smaller messages get memory of their own, which is as cheap.
const REUSED_BYTES: usize = 32 << 10;
/// Sizes are rounded up to this, so that a buffer fits the messages after it too.
const STEP_BYTES: usize = 64 << 10;
/// What is remembered of buffers, at most, unless the caller says how many bytes of messages may wait.
const KEPT_BYTES: usize = 16 << 20;

/// A buffer whose message was given out.
struct Given {
    buffer: BytesMut,
    size: usize,
    room: Option<Room>,
}

/// An empty buffer, and the room that it has if it was used before.
pub(super) struct Empty {
    pub(super) buffer: BytesMut,
    pub(super) room: Option<Room>,
}

/// Buffers whose messages were given out, the longest ago first. One is free again when all of its message was dropped.
pub(super) struct Buffers {
    given: VecDeque<Given>,
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

    /// What a buffer for `len` bytes takes.
    pub(super) fn size(len: usize) -> usize {
        if len < REUSED_BYTES { len } else { len.next_multiple_of(STEP_BYTES) }
    }

    /// A buffer for `len` bytes that was used before.
    pub(super) fn free(&mut self, len: usize) -> Option<Empty> {
        let size = Buffers::size(len);
        if len < REUSED_BYTES {
            return None;
        }
        let free = self.given.iter_mut().take(4).position(|given| given.size == size && given.buffer.try_reclaim(size));
        let Given { buffer, size, room } = free.and_then(|place| self.given.remove(place))?;
        self.bytes -= size;
        Some(Empty { buffer, room })
    }

    /// A new one.
    pub(super) fn new_for(len: usize, room: Option<Room>) -> Empty {
        Empty { buffer: BytesMut::with_capacity(Buffers::size(len)), room }
    }

    /// The bytes of a buffer that is full. The buffer is remembered until they are gone, and so is its room.
    pub(super) fn filled(&mut self, mut buffer: BytesMut, room: Option<Room>) -> Bytes {
        let len = buffer.len();
        if len < REUSED_BYTES {
            return held(buffer.freeze(), room);
        }
        let size = Buffers::size(len);
        let bytes = held(buffer.split().freeze(), room.clone());
        // What is left of the buffer holds on to it. It is less than `size`, so that only the whole of it is taken again.
        self.bytes += size;
        self.given.push_back(Given { buffer, size, room });
        while self.bytes > self.limit
            && let Some(given) = self.given.pop_front()
        {
            self.bytes -= given.size;
        }
        bytes
    }

    /// Remembers none of them any more. True if there were any.
    pub(super) fn forget(&mut self) -> bool {
        self.bytes = 0;
        !std::mem::take(&mut self.given).is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }
}

/// Bytes whose room is given back with the last of them.
fn held(bytes: Bytes, room: Option<Room>) -> Bytes {
    struct Held(Bytes, #[expect(dead_code, reason = "it is held, and dropped")] Room);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    match room {
        Some(room) => Bytes::from_owner(Held(bytes, room)),
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn filled(buffers: &mut Buffers, len: usize) -> Bytes {
        let Empty { mut buffer, room } = buffers.free(len).unwrap_or_else(|| Buffers::new_for(len, None));
        assert!(buffer.is_empty() && buffer.capacity() >= len);
        buffer.resize(len, 1);
        buffers.filled(buffer, room)
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
        assert_eq!(buffers.bytes, buffers.given.iter().map(|given| given.size).sum::<usize>());
        drop(held);
    }

    #[test]
    fn a_buffer_keeps_its_room_and_gives_it_back() {
        let (mut buffers, room) = (Buffers::default(), Arc::new(()) as Room);
        let message = |buffers: &mut Buffers, room: Option<Room>| {
            let Empty { mut buffer, room } = buffers.free(100_000).unwrap_or_else(|| Buffers::new_for(100_000, room));
            buffer.resize(100_000, 1);
            buffers.filled(buffer, room)
        };
        let first = message(&mut buffers, Some(Arc::clone(&room)));
        let part = first.slice(10..20);
        drop(first);
        assert_eq!(Arc::strong_count(&room), 3, "the message and the buffer");
        drop(part);
        assert_eq!(Arc::strong_count(&room), 2, "the buffer, which is free");
        let again = message(&mut buffers, None);
        assert_eq!(Arc::strong_count(&room), 3, "it is used again in its old room");
        assert!(buffers.forget());
        assert_eq!(Arc::strong_count(&room), 2);
        drop(again);
        assert_eq!(Arc::strong_count(&room), 1);
        let small = buffers.filled(BytesMut::from(&b"small"[..]), Some(Arc::clone(&room)));
        assert_eq!(Arc::strong_count(&room), 2);
        drop(small);
        assert_eq!(Arc::strong_count(&room), 1);
    }
}
