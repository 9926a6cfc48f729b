//! What a stream of rows takes in, and the room for it: messages have theirs when they come; what is unpacked from them, and
//! dictionaries, which stay, have it from here.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use futures::StreamExt;
use tokio::time::Instant;

use super::decode::{Decoder, Needs};
use super::error::{DoorError, Result};
use super::forward::Messages;
use crate::net::budgets::Net;
use crate::net::ingress::NoRoom;
use crate::net::pool::Part;

/// A stream that holds dictionaries and sends nothing for this long ends where others need the room.
const DICTIONARIES_IDLE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(1);

/// Of one stream.
#[derive(Debug)]
pub(super) struct Intake {
    net: Arc<Net>,
    dictionaries: Part,
}

/// A message, and the room to decode it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) data: FlightData,
    /// Given back with it.
    pub(super) unpacked: Part,
}

impl Intake {
    pub(super) fn new(net: &Arc<Net>) -> Intake {
        Intake { net: Arc::clone(net), dictionaries: Part::default() }
    }

    /// The next message, as it comes.
    pub(super) async fn next(&mut self, incoming: &mut Messages) -> Option<Result<FlightData>> {
        let begun = Instant::now();
        loop {
            let idle = self.dictionaries.bytes() > 0;
            tokio::select! {
                biased;
                message = incoming.next() => return message.map(|message| message.map_err(DoorError::from)),
                () = tokio::time::sleep(TICK), if idle => {
                    if begun.elapsed() > DICTIONARIES_IDLE && self.net.ingress.dictionaries.is_wanted() {
                        let message = "the stream's dictionaries gave way to those of others, because it sent nothing for a while; \
                                       begin it anew";
                        return Some(Err(DoorError::new(NoRoom::KIND, message)));
                    }
                }
            }
        }
    }

    /// Waits for the room that a message needs to be decoded.
    pub(super) async fn room(&mut self, decoder: &Decoder, data: FlightData) -> Result<Taken> {
        let Needs { unpacked, dictionaries } = decoder.needs(&data);
        let no_room = |NoRoom| DoorError::new(NoRoom::KIND, NoRoom::MESSAGE);
        let ingress = &self.net.ingress;
        let more = dictionaries.saturating_sub(self.dictionaries.bytes());
        if more > 0 {
            self.dictionaries.merge(ingress.keep(more).await.map_err(no_room)?);
        }
        Ok(Taken { data, unpacked: ingress.unpack(unpacked).await.map_err(no_room)? })
    }
}
