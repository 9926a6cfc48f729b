//! Joining, and joining again.

use std::collections::BTreeMap;

use millstream_protocol::{self as protocol, ErrorKind, GroupMode};
use tokio::time::Instant;

use super::Consumer;
use super::batch::{Partition, SeekTo};
use super::inbox::Ended;
use super::partition::Held;
use super::stream::TopicStream;
use crate::backoff;
use crate::error::{Error, Result};
use crate::options::ConsumerOptions;

/// What is left to do after the member lost its streams. It survives a poll that is given up in the middle.
#[derive(Debug, Default)]
pub(super) struct Mending {
    /// Why there are no streams.
    problem: Option<Error>,
    /// Attempts that have failed.
    attempts: u32,
    not_before: Option<Instant>,
    /// Where partitions stood before the break.
    before: BTreeMap<Partition, Held>,
}

impl Consumer {
    /// Whether all streams are there and stand where they should.
    pub(super) fn is_joined(&self) -> bool {
        self.mending.problem.is_none() && self.mending.before.is_empty()
    }

    pub(super) fn check_joined(&self) -> Result<()> {
        self.mending.problem.clone().map_or(Ok(()), Err)
    }

    /// A stream has ended and everything that came by it was taken. Gives the error that no joining mends.
    pub(super) async fn stream_ended(&mut self, place: usize) -> Result<()> {
        let Some(reason) = self.streams.get(place).and_then(TopicStream::ended) else { return Ok(()) };
        let (error, keep_positions) = match reason {
            // Rows may be with new owners, who begin at the committed offsets: so does this member.
            Ended::Failed(error) => (error.clone(), error.kind() != ErrorKind::Fenced),
            Ended::SchemaChanged => match self.reopen(place).await {
                Ok(()) => return Ok(()),
                Err(error) => (error, true),
            },
        };
        let rejoins = error.kind() == ErrorKind::Fenced && self.options.mode == GroupMode::Shared;
        if !error.is_retryable() && !rejoins && !self.may_log_in_anew(&error) {
            return Err(error);
        }
        self.lose_streams(error, keep_positions);
        Ok(())
    }

    /// Tries to join again until the deadline; false if it came first. Gives the error once the attempts are used up.
    pub(super) async fn mend(&mut self, deadline: Instant) -> Result<bool> {
        while let Some(problem) = self.mending.problem.clone() {
            if self.mending.attempts >= self.options.reconnect_count {
                self.mending.attempts = 0;
                return Err(problem);
            }
            if let Some(not_before) = self.mending.not_before
                && not_before > Instant::now()
            {
                tokio::time::sleep_until(not_before.min(deadline)).await;
                if not_before > deadline {
                    return Ok(false);
                }
            }
            self.mending.attempts += 1;
            let ConsumerOptions { reconnect_interval, reconnect_max_interval, .. } = self.options;
            let wait = backoff::wait(reconnect_interval, reconnect_max_interval, self.mending.attempts);
            self.mending.not_before = Some(Instant::now() + wait);
            match self.open_streams().await {
                Ok(()) => {}
                Err(error) if self.is_passing(&error) => {
                    self.mending.problem = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match self.go_on().await {
            Ok(()) => self.mending.attempts = 0,
            Err(error) if self.is_passing(&error) => {
                self.lose_streams(error.clone(), error.kind() != ErrorKind::Fenced);
            }
            Err(error) => return Err(error),
        }
        // Streams that broke meanwhile are found by the poll.
        Ok(true)
    }

    fn is_passing(&self, error: &Error) -> bool {
        error.is_retryable() || error.kind() == ErrorKind::Fenced || self.may_log_in_anew(error)
    }

    /// Whether the login has ended and there is another one to go on with.
    fn may_log_in_anew(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Unauthenticated && self.connection.has_other_than(self.shown.as_ref())
    }

    /// Joins as a new member.
    pub(super) async fn open_streams(&mut self) -> Result<()> {
        self.streams.clear();
        let shown = self.connection.authorization();
        self.shown = shown.map_err(|status| Error::from_status(self.connection.url(), &status))?;
        let mut streams = Vec::with_capacity(self.topics.len());
        let mut member_id = String::new();
        for topic in &self.topics {
            let hello = hello(&self.options, &self.topics, topic, &member_id);
            let stream = TopicStream::open(&self.connection, hello, self.waiting.clone(), BTreeMap::new()).await?;
            member_id = stream.member_id.clone();
            streams.push(stream);
        }
        self.streams = streams;
        self.mending.problem = None;
        Ok(())
    }

    /// A new stream of the same member for the same topic, after its schema has changed.
    async fn reopen(&mut self, place: usize) -> Result<()> {
        let Some(old) = self.streams.get(place) else { return Ok(()) };
        let hello = hello(&self.options, &self.topics, &old.topic, &old.member_id);
        let held = old.inbox.partitions();
        let stream = TopicStream::open(&self.connection, hello, self.waiting.clone(), held).await?;
        self.streams[place] = stream;
        Ok(())
    }

    fn lose_streams(&mut self, problem: Error, keep_positions: bool) {
        if keep_positions {
            for stream in &self.streams {
                let held = stream.inbox.partitions().into_iter();
                // What an earlier break has left to be restored still stands there.
                let held = held.map(|(partition, held)| ((stream.topic.clone(), partition), held));
                let fresh: Vec<_> = held.filter(|(key, _)| !self.mending.before.contains_key(key)).collect();
                self.mending.before.extend(fresh);
            }
        } else {
            self.mending.before.clear();
        }
        self.streams.clear();
        self.mending.problem = Some(problem);
    }

    /// After joining again: partitions that are still this member's go on where the last poll ended.
    async fn go_on(&mut self) -> Result<()> {
        while let Some((key, before)) = self.mending.before.first_key_value() {
            let (topic, partition) = (key.0.clone(), key.1);
            let before = before.clone();
            let stream = self.stream_of(&topic)?;
            if let Some(now) = stream.inbox.held(partition)
                && before.goes_on(&now)
            {
                restore(stream, partition, &before, now.position).await?;
            }
            self.mending.before.pop_first();
        }
        Ok(())
    }
}

async fn restore(stream: &TopicStream, partition: u32, before: &Held, now: Option<u64>) -> Result<()> {
    if before.paused {
        stream.pause(&[partition])?;
    }
    let Some(position) = before.position.filter(|position| now != Some(*position)) else { return Ok(()) };
    match stream.seek(partition, SeekTo::Offset(position)).await {
        Ok(_) => {}
        // Retention has passed it: the server follows auto.offset.reset.
        Err(error) if error.kind() == ErrorKind::OutOfRange => return Ok(()),
        Err(error) => return Err(error),
    }
    stream.inbox.update(partition, |held| held.uncommitted = before.uncommitted);
    Ok(())
}

fn hello(options: &ConsumerOptions, topics: &[String], topic: &str, member_id: &str) -> protocol::Hello {
    let millis = |duration: std::time::Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    protocol::Hello {
        version: protocol::VERSION,
        namespace: options.namespace.clone(),
        group_id: options.group_id.clone(),
        client_id: options.client_id.clone(),
        member_id: member_id.to_owned(),
        topic: topic.to_owned(),
        topics: topics.to_vec(),
        auto_offset_reset: options.auto_offset_reset.into(),
        session_timeout_ms: millis(options.session_timeout),
        max_poll_interval_ms: millis(options.max_poll_interval),
        min_poll_rows: options.min_poll_rows,
        max_poll_rows: options.max_poll_rows,
        mode: options.mode.into(),
        replay: options.replay,
        credit_bytes: options.fetch_max_bytes,
        max_message_bytes: 64 << 20,
        row_offsets: true,
        compression: options.compression.into(),
    }
}
