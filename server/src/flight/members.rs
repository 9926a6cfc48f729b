//! The members whose streams this door serves. A member lives as long as one of its streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use millstream_engine::{ConsumerConfig, Engine, ErrorKind, Member, Principal, Subscription, TopicId};
use millstream_protocol::{EndReason, Hello};
use tokio::sync::watch;

use super::error::{DoorError, Result};

/// The live members by id.
#[derive(Debug, Default)]
pub(super) struct Members {
    live: Mutex<HashMap<String, Weak<LiveMember>>>,
}

/// A member with at least one stream. The engine's member is left when the last holder drops this.
#[derive(Debug)]
pub(super) struct LiveMember {
    pub(super) member: Arc<Member>,
    pub(super) config: ConsumerConfig,
    who: Principal,
    topics: HashMap<String, TopicId>,
    /// Tells each topic's stream to end. The sender's identity tells a stream from the one that took its place.
    streams: Mutex<HashMap<TopicId, watch::Sender<Option<EndReason>>>>,
}

/// One stream's place at its member.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) live: Arc<LiveMember>,
    pub(super) subscription: Subscription,
    /// Set when the stream is to end.
    pub(super) ended: watch::Receiver<Option<EndReason>>,
}

impl Members {
    /// Joins the group as a new member, or attaches a further stream to the member that the hello names. Blocks.
    pub(super) fn attach(
        &self,
        engine: &Engine,
        who: &Principal,
        hello: &Hello,
        config: ConsumerConfig,
    ) -> Result<Place> {
        let live = if hello.member_id.is_empty() {
            self.join(engine, who, hello, config)?
        } else {
            self.find(&hello.member_id, who, &config)?
        };
        let topic = live.topics.get(&hello.topic).copied().ok_or_else(|| {
            DoorError::invalid(format!("the member did not subscribe to topic {:?} when it joined", hello.topic))
        })?;
        let subscription = live.member.subscription(topic)?;
        let (sender, ended) = watch::channel(None);
        let before = live.lock_streams().insert(topic, sender);
        if let Some(before) = before {
            before.send_replace(Some(EndReason::Replaced));
        }
        Ok(Place { live, subscription, ended })
    }

    fn join(&self, engine: &Engine, who: &Principal, hello: &Hello, config: ConsumerConfig) -> Result<Arc<LiveMember>> {
        let mut topics = hello.topics.clone();
        if !topics.contains(&hello.topic) {
            topics.push(hello.topic.clone());
        }
        let member = Arc::new(engine.join(who, config.clone(), &topics)?);
        let topics = member.topics().iter().map(|topic| (topic.name.clone(), topic.id)).collect();
        let live = Arc::new(LiveMember { member, config, who: who.clone(), topics, streams: Mutex::default() });
        let mut known = self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Swept before it grows: the cost of a join stays the same however many members there are.
        if known.len() == known.capacity() {
            known.retain(|_, live| live.strong_count() > 0);
        }
        known.insert(live.member.id().to_owned(), Arc::downgrade(&live));
        Ok(live)
    }

    fn find(&self, member_id: &str, who: &Principal, config: &ConsumerConfig) -> Result<Arc<LiveMember>> {
        let known = self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let live = known.get(member_id).and_then(Weak::upgrade);
        let is_meant = |live: &Arc<LiveMember>| {
            let of = &live.config;
            live.who == *who && of.namespace == config.namespace && of.group_id == config.group_id
        };
        live.filter(is_meant).ok_or_else(|| {
            let message = format!("group {:?} has no live member {member_id:?}; join anew", config.group_id);
            DoorError::new(ErrorKind::Fenced, message)
        })
    }
}

impl LiveMember {
    /// Ends every stream of the member.
    pub(super) fn end_all(&self, reason: EndReason) {
        for stream in self.lock_streams().values() {
            stream.send_replace(Some(reason));
        }
    }

    fn lock_streams(&self) -> std::sync::MutexGuard<'_, HashMap<TopicId, watch::Sender<Option<EndReason>>>> {
        self.streams.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
