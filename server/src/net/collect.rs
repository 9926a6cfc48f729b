//! Bodies of requests, as a whole.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;
use tokio::time::Instant;

use super::ingress::NoRoom;
use super::message_room::MessageRoom;
use super::peer::Peer;
use super::progress::{Progress, TICK};

/// A request's body, and its room.
pub(crate) struct Collected {
    pub(crate) bytes: Vec<u8>,
    _room: MessageRoom,
}

/// Why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotCollected {
    TooLarge,
    Late,
    NoRoom,
    Broken(String),
}

/// All of a body of at most `limit` bytes. It has its room before it is kept: what it says that it has, or as much as it may
/// have.
pub(crate) async fn collect<B>(mut body: B, peer: &Arc<Peer>, limit: usize) -> Result<Collected, NotCollected>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let len = body.size_hint().exact().map_or(limit, |len| usize::try_from(len).unwrap_or(usize::MAX));
    if len > limit {
        return Err(NotCollected::TooLarge);
    }
    let room = match MessageRoom::try_take(peer, len) {
        Some(room) => room,
        None => MessageRoom::take(Arc::clone(peer), len).await.map_err(|NoRoom| NotCollected::NoRoom)?,
    };
    let (mut bytes, mut progress) = (Vec::new(), Progress::new(Instant::now()));
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let frame = match tokio::time::timeout(TICK, frame).await {
            Ok(None) => return Ok(Collected { bytes, _room: room }),
            Ok(Some(frame)) => frame.map_err(|error| NotCollected::Broken(error.to_string()))?,
            Err(_) => {
                let (wanted, timeout) = (peer.net.ingress.is_wanted(len), peer.net.limits.receive_timeout);
                if progress.is_late(Instant::now(), bytes.len(), wanted, timeout) {
                    peer.net.count_late();
                    return Err(NotCollected::Late);
                }
                continue;
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(NotCollected::TooLarge);
        }
        if bytes.is_empty() {
            bytes.reserve_exact(len);
        }
        bytes.extend_from_slice(&data);
    }
}
