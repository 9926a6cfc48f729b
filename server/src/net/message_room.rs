//! The room of messages and bodies, taken before their first byte is kept.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use super::ingress::{NoRoom, ROOM_TIMEOUT};
use super::peer::Peer;
use super::pool::{Part, Room};

/// The room of one message. It is given back when the last of the message's bytes is dropped.
#[derive(Debug)]
pub(crate) struct MessageRoom {
    _room: Room,
    _large: Option<(Part, OwnedSemaphorePermit)>,
}

impl MessageRoom {
    /// Room for a message or body of `bytes`, in order, within [`ROOM_TIMEOUT`].
    pub(crate) fn take(peer: Arc<Peer>, bytes: usize) -> BoxFuture<'static, Result<MessageRoom, NoRoom>> {
        Box::pin(async move {
            let taken = tokio::time::timeout(ROOM_TIMEOUT, take(&peer, bytes)).await;
            taken.map_err(|_| {
                peer.net.count_late();
                NoRoom
            })
        })
    }

    /// The same if it is there now.
    pub(crate) fn try_take(peer: &Peer, bytes: usize) -> Option<MessageRoom> {
        let ingress = &peer.net.ingress;
        if bytes > ingress.large_from() {
            let turn = Arc::clone(&peer.large).try_acquire_many_owned(ingress.turns(bytes)).ok()?;
            let part = ingress.large.try_take(bytes)?;
            return Some(MessageRoom { _room: Room::default(), _large: Some((part, turn)) });
        }
        let room = Room::try_take(&ingress.ordinary, &peer.ingress, bytes)?;
        Some(MessageRoom { _room: room, _large: None })
    }
}

async fn take(peer: &Peer, bytes: usize) -> MessageRoom {
    let ingress = &peer.net.ingress;
    if bytes <= ingress.large_from() {
        let room = Room::take(&ingress.ordinary, &peer.ingress, bytes).await;
        return MessageRoom { _room: room, _large: None };
    }
    // Never closed.
    let turn = Arc::clone(&peer.large).acquire_many_owned(ingress.turns(bytes)).await.ok();
    let part = ingress.large.take(bytes).await;
    MessageRoom { _room: Room::default(), _large: turn.map(|turn| (part, turn)) }
}
