//! What a client asks for on its stream.

use futures::FutureExt;
use millstream_engine::{Assignment, Offset, SeekTo, Subscription, Ticket};
use millstream_protocol::{
    Commit, CommitAck, End, EndReason, Heartbeat, HeartbeatAck, OffsetsReply, OffsetsRequest, PartitionOffset, Seek,
    SeekAck, consumer_reply::Reply, consumer_request::Request, seek::To,
};

use super::messages::ended;
use super::session::{Session, states};
use crate::flight::blocking::blocking;
use crate::flight::error::{DoorError, Result};
use crate::work::Waits;

impl Session {
    /// Does what a request asks; gives the end if it asks for that. Errors end the stream, but those of commits, seeks and
    /// questions for offsets are answered where they were asked.
    pub(super) async fn on_request(&mut self, request: Option<Request>) -> Result<Option<End>> {
        match request {
            // The client has closed its side.
            None => return Ok(Some(ended(EndReason::Left))),
            Some(Request::Leave(_)) => {
                self.live.end_all(EndReason::Left);
                return Ok(Some(ended(EndReason::Left)));
            }
            Some(Request::Hello(_)) => return Err(DoorError::invalid("hello is sent once, as the first message")),
            Some(Request::Credit(credit)) => self.credit = self.credit.saturating_add_unsigned(credit.bytes),
            Some(Request::Commit(commit)) => self.on_commit(commit).await,
            Some(Request::Seek(seek)) => self.on_seek(seek).await,
            Some(Request::Pause(pause)) => self.set_paused(pause.partitions, true).await?,
            Some(Request::Resume(resume)) => self.set_paused(resume.partitions, false).await?,
            Some(Request::Heartbeat(heartbeat)) => self.on_heartbeat(heartbeat).await?,
            Some(Request::Offsets(request)) => self.on_offsets(request).await,
        }
        Ok(None)
    }

    /// Whether a request is served while a fetch is under way. The others concern what is being fetched, and wait for it.
    pub(super) fn goes_beside_a_fetch(request: Option<&Request>) -> bool {
        matches!(request, Some(Request::Heartbeat(_) | Request::Credit(_) | Request::Commit(_)))
    }

    async fn on_commit(&mut self, Commit { request_id, entries, generation }: Commit) {
        let reply = move |result: Result<()>| {
            Reply::CommitAck(CommitAck { request_id, error: result.err().map(|error| error.to_wire()) })
        };
        match self.begin_commit(entries, generation).await {
            Ok(ticket) => {
                let committed = async move { Ok::<_, DoorError>(ticket.await?.await.map(drop)?) };
                self.commits.push_back(async move { reply(committed.await) }.boxed());
            }
            // In its turn: answers keep the order of the commits.
            Err(error) => self.commits.push_back(std::future::ready(reply(Err(error))).boxed()),
        }
    }

    async fn begin_commit(&mut self, entries: Vec<PartitionOffset>, generation: u64) -> Result<Ticket> {
        let (live, topic) = (self.live.clone(), self.topic);
        blocking(&self.door, Waits::Never, move || {
            let entries: Vec<(Assignment, Offset)> = entries
                .iter()
                .map(|entry| (Assignment { topic, partition: entry.partition }, entry.next_offset))
                .collect();
            let generation = if generation == 0 { live.member.generation() } else { generation };
            Ok(live.member.enqueue_commit(generation, &entries)?)
        })
        .await
    }

    async fn on_seek(&mut self, Seek { request_id, partition, to }: Seek) {
        // A time is looked up in the log and the segments.
        let waits = if matches!(to, Some(To::AppendTimeUs(_))) { Waits::ForRows } else { Waits::Never };
        let sought = self.with_subscription(waits, move |subscription| {
            let to = match to {
                Some(To::Offset(offset)) => SeekTo::Offset(offset),
                Some(To::Start(_)) => SeekTo::Start,
                Some(To::End(_)) => SeekTo::End,
                Some(To::AppendTimeUs(time)) => SeekTo::AppendTime(time),
                None => return Err(DoorError::invalid("the seek does not say where to")),
            };
            Ok(subscription.seek(partition, to)?)
        });
        let (offset, error) = match sought.await {
            Ok(offset) => (offset, None),
            Err(error) => (0, Some(error.to_wire())),
        };
        self.dirty = true;
        self.reply(Reply::SeekAck(SeekAck { request_id, partition, offset, error }));
    }

    /// Partitions that are not, or no longer, assigned are passed over: the client learns of that by the assignment.
    async fn set_paused(&mut self, partitions: Vec<u32>, paused: bool) -> Result<()> {
        let set = self.with_subscription(Waits::Never, move |subscription| {
            subscription.set_paused(&partitions, paused);
            Ok(())
        });
        set.await?;
        self.dirty = true;
        Ok(())
    }

    /// On a thread that may block. No fetch is under way: the subscription is here.
    async fn with_subscription<T: Send + 'static>(
        &mut self,
        waits: Waits,
        call: impl FnOnce(&mut Subscription) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut reading = self.reading.take().ok_or_else(|| DoorError::internal("the stream has no subscription"))?;
        let called = blocking(&self.door, waits, move || {
            let answer = call(&mut reading.subscription);
            Ok((reading, answer))
        });
        let (reading, answer) = called.await?;
        self.reading = Some(reading);
        answer
    }

    async fn on_heartbeat(&mut self, Heartbeat { request_id, polled }: Heartbeat) -> Result<()> {
        let live = self.live.clone();
        let generation = blocking(&self.door, Waits::Never, move || {
            live.member.heartbeat()?;
            if polled {
                live.member.polled()?;
            }
            Ok(live.member.generation())
        })
        .await?;
        if generation != self.generation {
            self.dirty = true;
        }
        self.reply(Reply::HeartbeatAck(HeartbeatAck { request_id, generation }));
        Ok(())
    }

    async fn on_offsets(&mut self, OffsetsRequest { request_id }: OffsetsRequest) {
        let offsets = self.with_subscription(Waits::Never, |subscription| Ok(subscription.offsets()?)).await;
        let (partitions, error) = match offsets {
            Ok(offsets) => (states(offsets), None),
            Err(error) => (Vec::new(), Some(error.to_wire())),
        };
        self.reply(Reply::Offsets(OffsetsReply { request_id, partitions, error }));
    }
}
