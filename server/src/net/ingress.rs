//! Memory for what clients send, before it is there.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::ErrorKind;

use super::pool::{Part, Pool};

/// Of sixteen parts of the whole: messages above [`Ingress::large_from`], the others, what is unpacked from compressed ones,
/// dictionaries of open streams, and what has come in over a socket and was not looked at yet.
const LARGE_PARTS: usize = 8;
const ORDINARY_PARTS: usize = 3;
const UNPACKED_PARTS: usize = 2;
const DICTIONARY_PARTS: usize = 1;
const ARRIVED_PARTS: usize = 2;
const PARTS: usize = LARGE_PARTS + ORDINARY_PARTS + UNPACKED_PARTS + DICTIONARY_PARTS + ARRIVED_PARTS;
/// Messages above this part of the room for ordinary ones are large.
const LARGE_PART: usize = 16;
/// Large messages that a connection may have at once.
pub(super) const LARGE_TURNS: u32 = 4;
/// Those above this part of the room for large ones are very large.
const VERY_LARGE_PART: usize = 8;

/// How long whoever has sent something waits for room.
pub(crate) const ROOM_TIMEOUT: Duration = Duration::from_secs(30);

/// The room for what clients have sent and nobody has taken. Each kind has its own, so that who holds one and waits for
/// another never waits for himself; a message has all of its room before its first byte is kept.
#[derive(Debug)]
pub(crate) struct Ingress {
    pub(crate) ordinary: Pool,
    pub(crate) large: Pool,
    pub(crate) unpacked: Pool,
    pub(crate) dictionaries: Pool,
    pub(crate) arrived: Arc<Pool>,
}

/// There was no room in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl NoRoom {
    pub(crate) const KIND: ErrorKind = ErrorKind::Retry;
    pub(crate) const MESSAGE: &str = "the server has no room for more at the moment (ingress_bytes is taken by what others have sent); send again later";
}

impl Ingress {
    pub(crate) fn new(bytes: usize) -> Ingress {
        let part = |parts| Pool::new(bytes / PARTS * parts);
        Ingress {
            ordinary: part(ORDINARY_PARTS),
            large: part(LARGE_PARTS),
            unpacked: part(UNPACKED_PARTS),
            dictionaries: part(DICTIONARY_PARTS),
            arrived: Arc::new(part(ARRIVED_PARTS)),
        }
    }

    /// The largest message for which there can be room.
    pub(crate) fn largest_message(&self) -> usize {
        self.large.bytes()
    }

    /// What is taken of all room.
    pub(crate) fn used(&self) -> usize {
        let pools = [&self.ordinary, &self.large, &self.unpacked, &self.dictionaries, &self.arrived];
        pools.into_iter().map(Pool::used).sum()
    }

    pub(super) fn large_from(&self) -> usize {
        self.ordinary.bytes() / LARGE_PART
    }

    /// How many of its connection's turns a large message takes.
    pub(super) fn turns(&self, bytes: usize) -> u32 {
        if bytes > self.large.bytes() / VERY_LARGE_PART { LARGE_TURNS } else { 1 }
    }

    /// Whether somebody waits for the kind of room that a message of `bytes` has.
    pub(crate) fn is_wanted(&self, bytes: usize) -> bool {
        if bytes > self.large_from() { self.large.is_wanted() } else { self.ordinary.is_wanted() }
    }

    /// Whether somebody waits for room for what he sends.
    pub(crate) fn is_scarce(&self) -> bool {
        [&self.ordinary, &self.large, &*self.arrived].into_iter().any(Pool::is_wanted)
    }

    /// Room for what is unpacked from messages that are here, within [`ROOM_TIMEOUT`].
    pub(crate) async fn unpack(&self, bytes: usize) -> Result<Part, NoRoom> {
        within(&self.unpacked, bytes).await
    }

    /// Room for dictionaries, which stay as long as their stream, within [`ROOM_TIMEOUT`].
    pub(crate) async fn keep(&self, bytes: usize) -> Result<Part, NoRoom> {
        within(&self.dictionaries, bytes).await
    }
}

async fn within(pool: &Pool, bytes: usize) -> Result<Part, NoRoom> {
    if bytes == 0 {
        return Ok(Part::default());
    }
    tokio::time::timeout(ROOM_TIMEOUT, pool.take(bytes)).await.map_err(|_| NoRoom)
}
