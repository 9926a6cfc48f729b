//! Joining, expiring and leaving.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Member;
use super::assign::MemberNumber;
use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::group::{LiveGroup, MemberState, Membership};
use super::keys::{key_of, name_of};
use crate::model::Principal;
use crate::model::{ConsumerConfig, Error, GroupMode, Result, TopicId, TopicInfo};

impl Coordinator {
    /// Makes a new member of the group, which is recorded if it is not known.
    pub(crate) fn join_as_member(
        self: &Arc<Self>,
        who: &Principal,
        config: ConsumerConfig,
        topics: Vec<Arc<TopicInfo>>,
    ) -> Result<Member> {
        let core = self.join(who, config, topics)?;
        Ok(Member::new(self.clone(), core))
    }

    pub(super) fn join(
        &self,
        who: &Principal,
        config: ConsumerConfig,
        topics: Vec<Arc<TopicInfo>>,
    ) -> Result<Arc<MemberCore>> {
        self.check_open()?;
        config.validate()?;
        if let Some(consumer) =
            self.ledger.state.read().catalog().consumer_of_group(&config.namespace, &config.group_id)
        {
            let by = format!("consumer {:?}, a plugin: it can't have other members", consumer.name);
            return Err(Error::InUse { what: "consumer group", name: config.group_id.clone(), by });
        }
        if topics.is_empty() {
            return Err(Error::InvalidInput("a consumer must subscribe to at least one topic".to_owned()));
        }
        let topics: BTreeMap<TopicId, _> = topics.into_iter().map(|topic| (topic.id, topic)).collect();
        let name = name_of(&config.namespace, &config.group_id);
        let key = key_of(&name, config.mode, &config.client_id);
        let wanted: Vec<Arc<TopicInfo>> = topics.values().cloned().collect();
        wanted.iter().try_for_each(|topic| self.refuse_popped(&name, topic))?;
        self.setups.prepare(self, &config, &key, &wanted)?;
        self.tick();
        loop {
            let group = self.live(&name, config.mode);
            let mut inner = group.lock();
            if inner.retired {
                // Whoever retired it takes it off the list before giving the lock back, so the next look finds a new one.
                continue;
            }
            if group.mode != config.mode {
                return Err(Error::FailedPrecondition(format!("group {:?} is a {:?} group", name.group, group.mode)));
            }
            let number = self.member_numbers.fetch_add(1, Ordering::Relaxed);
            let core = Arc::new(MemberCore::new(
                who,
                (self.ledger.log.epoch(), self.ledger.options.clock.wall_us()),
                &group,
                config,
                number,
            ));
            group.admit(self, &mut inner, core.clone(), topics);
            return Ok(core);
        }
    }

    /// Adds a topic to what a member subscribes to.
    pub(super) fn subscribe_too(&self, core: &MemberCore, topic: &Arc<TopicInfo>) -> Result<()> {
        let mut inner = core.enter(self)?;
        if core.state(&mut inner)?.topics.contains_key(&topic.id) {
            return Ok(());
        }
        drop(inner);
        self.refuse_popped(&core.group.name, topic)?;
        self.setups.prepare(self, &core.config, &core.key, std::slice::from_ref(topic))?;
        let mut inner = core.enter(self)?;
        let member = core.state(&mut inner)?;
        self.listeners.add(&member.core, topic);
        member.topics.entry(topic.id).or_insert_with(|| topic.clone());
        core.group.rebalance_soon(self, &mut inner);
        Ok(())
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }
}

impl LiveGroup {
    fn admit(
        self: &Arc<Self>,
        delivery: &Coordinator,
        inner: &mut Membership,
        core: Arc<MemberCore>,
        topics: BTreeMap<TopicId, Arc<TopicInfo>>,
    ) {
        let same_client = inner.members.values().filter(|other| other.core.key == core.key);
        let replaced: Vec<MemberNumber> = match self.mode {
            GroupMode::Broadcast => same_client.map(|other| other.core.number).collect(),
            GroupMode::Shared => Vec::new(),
        };
        for number in replaced {
            inner.part_with(delivery, number, "another member with its client id has joined");
        }
        for topic in topics.values() {
            delivery.listeners.add(&core, topic);
        }
        let member = MemberState::new(core, topics, delivery.ledger.options.clock.awake());
        let number = member.core.number;
        delivery.deadlines.insert(member.deadline, number, Arc::downgrade(self));
        inner.members.insert(number, member);
        self.rebalance_soon(delivery, inner);
    }

    /// A deadline has come: takes the member out if it is truly due, else puts it back. If it is the group's own, shares out
    /// anew.
    pub(super) fn look_at(self: &Arc<Self>, delivery: &Coordinator, number: MemberNumber, now: Duration) {
        let mut inner = self.lock();
        if number == self.number {
            if inner.due.is_some() && !inner.retired {
                self.rebalance(delivery, &mut inner);
            }
            return;
        }
        let Some(member) = inner.members.get_mut(&number) else { return };
        if member.busy > 0 {
            member.last_seen = now;
            member.last_polled = now;
        }
        member.deadline = member.due();
        if member.deadline > now {
            delivery.deadlines.insert(member.deadline, number, Arc::downgrade(self));
            return;
        }
        let config = &member.core.config;
        let reason = if now >= member.last_seen + config.session_timeout {
            format!("its session timed out: nothing was heard of it for {} ms", config.session_timeout.as_millis())
        } else {
            format!("it did not poll for {} ms (max.poll.interval.ms)", config.max_poll_interval.as_millis())
        };
        tracing::info!(group = %self.name.group, member = %member.core.id, "{reason}");
        self.remove(delivery, &mut inner, &[number], &reason);
    }
}
