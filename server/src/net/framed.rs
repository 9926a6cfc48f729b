//! Connections over which each message says how long it is: four bytes, big-endian, before it.
//!
//! A message has room before it is kept, and must go on arriving; an answer has room until the kernel has it. The bytes of a
//! connection are moved by one task, beside the door's work for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::accept::Listener;
use super::connection::Connection;
use super::message_room::MessageRoom;
use super::peer::Peer;
use super::progress::{Progress, TICK};
use super::sent::{Load, Sent};
use super::stop::Stop;
use super::tls::Speaking;

/// Messages of up to this are taken without room where there is none, one at a time of each connection: heartbeats get through
/// where much waits.
const SMALL_BYTES: usize = 4 << 10;
/// Answers that wait for the socket, of one connection. Each has its room, or is a small notice.
const ANSWERS: usize = 64;
/// What is taken from the socket at a time where messages are small. They have no room of their own until they are looked at, and count as
/// the connection's.
const READ_AHEAD_BYTES: usize = 16 << 10;
/// What is handed to the network at a time: a reader that takes this much is not stalled.
const PIECE_BYTES: usize = 128 << 10;
/// A buffer for small answers that leave together.
const GATHERED_BYTES: usize = 8 << 10;

/// What a door asks of such connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Framing {
    /// The longest message.
    pub(crate) limit: usize,
    /// A client that sends nothing for this long is gone.
    pub(crate) idle: Duration,
}

/// One message and its room.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) bytes: Bytes,
    pub(crate) _room: Option<MessageRoom>,
}

/// Why no further message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client or the server has ended it, between two messages.
    Closed,
    /// The client has broken off, or was silent for too long.
    Gone,
    /// What it sends is no message, or a longer one than is taken.
    Malformed,
    /// It sent half of a message and no more.
    Late,
    /// There was no room for it in time.
    NoRoom,
}

/// What comes in over one connection.
pub(crate) struct Incoming {
    half: BufReader<ReadHalf<Connection>>,
    sent: Arc<Sent>,
    framing: Framing,
    stop: Stop,
    /// A message has come.
    begun: bool,
}

/// What goes out over one connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outgoing {
    queue: mpsc::Sender<(Bytes, Option<Load>)>,
    sent: Arc<Sent>,
    /// Where the client has connected to.
    pub(crate) local: SocketAddr,
}

/// Serves connections until the server stops; completes when `door` has ended for each of them.
pub(crate) async fn serve<D>(
    listener: Listener,
    framing: Framing,
    stop: Stop,
    door: impl Fn(Incoming, Outgoing) -> D,
) -> io::Result<()>
where
    D: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.stopped() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept(Speaking::Frames) => accepted,
        };
        let local = accepted.local_address();
        let sent = Sent::new(Arc::clone(accepted.peer()));
        let (read, write) = tokio::io::split(accepted);
        let (queue, answers) = mpsc::channel(ANSWERS);
        let read = BufReader::with_capacity(READ_AHEAD_BYTES, read);
        let incoming = Incoming { half: read, sent: Arc::clone(&sent), framing, stop: stop.clone(), begun: false };
        let working = door(incoming, Outgoing { queue, sent: Arc::clone(&sent), local });
        connections.spawn(async move {
            let moved = write_all(write, answers, &sent);
            let (mut working, mut moved) = (std::pin::pin!(working), std::pin::pin!(moved));
            // What was answered before the door's end still leaves: its senders have gone then.
            tokio::select! {
                () = &mut working => drop(moved.await),
                broken = &mut moved => {
                    if let Err(error) = broken {
                        tracing::debug!(%error, peer = ?sent.peer.address, "a connection broke off");
                    }
                }
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

impl Incoming {
    /// The next message, without the four bytes before it.
    pub(crate) async fn next(&mut self) -> Result<Arrived, Ended> {
        let idle = if self.begun { self.framing.idle } else { self.sent.peer.net.limits.header_timeout };
        let mut len = [0; 4];
        let first = tokio::select! {
            () = self.stop.stopped() => return Err(Ended::Closed),
            first = tokio::time::timeout(idle, self.half.read(&mut len[..1])) => first,
        };
        match first {
            Ok(Ok(0)) => return Err(Ended::Closed),
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(Ended::Gone),
        }
        self.fill(&mut len[1..], 4).await?;
        let len = usize::try_from(i32::from_be_bytes(len)).map_err(|_| Ended::Malformed)?;
        if len > self.framing.limit {
            return Err(Ended::Malformed);
        }
        let room = room_of(&self.sent.peer, len).await?;
        let mut bytes = vec![0; len];
        self.fill(&mut bytes, len).await?;
        self.begun = true;
        self.sent.received();
        Ok(Arrived { bytes: Bytes::from(bytes), _room: room })
    }

    /// Reads all of `bytes`, which belong to a message of `len`.
    async fn fill(&mut self, bytes: &mut [u8], len: usize) -> Result<(), Ended> {
        let net = Arc::clone(&self.sent.peer.net);
        let (mut received, mut progress) = (0, Progress::new(Instant::now()));
        while let Some(missing) = bytes.get_mut(received..).filter(|missing| !missing.is_empty()) {
            match tokio::time::timeout(TICK, self.half.read(missing)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(Ended::Gone),
                Ok(Ok(read)) => received += read,
                Err(_) => {
                    let (wanted, timeout) = (net.ingress.is_wanted(len), net.limits.receive_timeout);
                    if progress.is_late(Instant::now(), received, wanted, timeout) {
                        net.count_late();
                        return Err(Ended::Late);
                    }
                }
            }
        }
        Ok(())
    }
}

async fn room_of(peer: &Arc<Peer>, len: usize) -> Result<Option<MessageRoom>, Ended> {
    match MessageRoom::try_take(peer, len) {
        Some(room) => Ok(Some(room)),
        None if len <= SMALL_BYTES => Ok(None),
        None => MessageRoom::take(Arc::clone(peer), len).await.map(Some).map_err(|_| Ended::NoRoom),
    }
}

impl Outgoing {
    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.sent.peer
    }

    /// What is being sent, for those who take room for it.
    pub(crate) fn sent(&self) -> &Arc<Sent> {
        &self.sent
    }

    /// Room for `bytes` of answers, as soon as there is some.
    pub(crate) async fn room(&self, bytes: usize) -> Load {
        self.sent.take(bytes).await
    }

    /// The same if it is there now.
    pub(crate) fn try_room(&self, bytes: usize) -> Option<Load> {
        self.sent.try_take(bytes)
    }

    /// Sends a message, its four bytes included, within its room. False once the connection has ended.
    pub(crate) async fn send(&self, message: Bytes, room: Load) -> bool {
        self.queue.send((message, Some(room))).await.is_ok()
    }

    /// As [`Self::send`], if what was sent before it is taken; else it is lost.
    pub(crate) fn try_send(&self, message: Bytes, room: Load) {
        drop(self.queue.try_send((message, Some(room))));
    }

    /// Sends a small message that may get lost: not to a client that does not take what was sent before it.
    pub(crate) fn notify(&self, message: Bytes) {
        drop(self.queue.try_send((message, None)));
    }
}

/// Moves answers to the socket until nobody can send any more.
async fn write_all(
    mut half: WriteHalf<Connection>,
    mut answers: mpsc::Receiver<(Bytes, Option<Load>)>,
    sent: &Arc<Sent>,
) -> io::Result<()> {
    let mut gathered = Vec::new();
    while let Some((mut message, mut load)) = answers.recv().await {
        let mut loads = Vec::new();
        loop {
            if gathered.len() + message.len() > GATHERED_BYTES {
                write(&mut half, &gathered, sent).await?;
                gathered.clear();
            }
            if message.len() > GATHERED_BYTES {
                write(&mut half, &message, sent).await?;
            } else {
                gathered.extend_from_slice(&message);
            }
            loads.push(load);
            match answers.try_recv() {
                Ok(next) => (message, load) = next,
                Err(_) => break,
            }
        }
        write(&mut half, &gathered, sent).await?;
        gathered.clear();
        drop(loads);
    }
    half.shutdown().await
}

async fn write(half: &mut WriteHalf<Connection>, bytes: &[u8], sent: &Arc<Sent>) -> io::Result<()> {
    for piece in bytes.chunks(PIECE_BYTES) {
        half.write_all(piece).await?;
        // TLS keeps what does not go at once.
        half.flush().await?;
        sent.progressed();
    }
    Ok(())
}
