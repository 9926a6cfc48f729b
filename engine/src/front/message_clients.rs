//! Clients of message queues: who is alive in a group, which queues they have locked, and offsets that they commit for queues
//! that they share out among themselves.

use std::sync::Arc;

use tokio::sync::watch;

use crate::access::{Action, Object};
use crate::front::Engine;
use crate::front::message_members::{may_be_client, subscribed};
use crate::log::Ticket;
use crate::messages::{ClientName, LiveSubscription, MessageClient, MessageClientRole, MessageSubscription};
use crate::model::{Assignment, Offset, PartitionId, Principal, Result, TableId, TopicId};

impl Engine {
    /// A client of a group is alive, and says this of itself; it counts as gone 120 s after the last time. The receiver changes
    /// whenever consumers of the group come or go. A producer needs the right on the group, or on any
    /// table of the namespace: he is asked only about messages of those that he may send to.
    pub fn message_client_alive(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        client: MessageClient,
    ) -> Result<watch::Receiver<u64>> {
        let session = self.session(who)?;
        may_be_client(&self.rooms.ledger, who, client.role, namespace, group)?;
        let subscriptions = subscribed(&session, namespace, client.subscriptions)?;
        let client = MessageClient { subscriptions, ..client };
        let (name, role, connection) = (client.client_id.clone(), client.role, client.connection);
        let heard = self.rooms.message_clients.heard((namespace, group), client, who, self.awake())?;
        // What has changed since it was asked for the first time has found nobody here.
        may_be_client(&self.rooms.ledger, who, role, namespace, group).inspect_err(|_| {
            self.recheck_message_clients(connection);
        })?;
        if let Some((other, topic)) = heard.differing {
            let message = format!(
                "consumers {name:?} and {other:?} of group {group:?} subscribe to {topic:?} with different expressions: each of \
                 them is handed messages by its own, and what one leaves out the other does not get; give them the same one, or \
                 groups of their own"
            );
            tracing::warn!(namespace, group, "{message}");
            self.rooms.ledger.events.push("subscriptions_differ", message);
        }
        Ok(heard.changes)
    }

    /// A client has left a group. What it has kept of messages that were popped is given back.
    pub fn message_client_left(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        role: MessageClientRole,
        client_id: &str,
    ) -> Result<()> {
        self.check_message_client(who, role, namespace, group)?;
        let (namespace, group, client_id) = (Arc::from(namespace), Arc::from(group), Arc::from(client_id));
        self.rooms.client_leaves(&ClientName { namespace, group, role, client_id });
        Ok(())
    }

    /// Clients that were heard of over a connection leave their groups whose logins have ended, or who may not be in them any more. A change of
    /// users and grants does so of all clients by itself, the time does not.
    pub fn recheck_message_clients(&self, connection: u64) {
        self.rooms.recheck_clients(Some(connection));
    }

    /// Refuses who may not be a client of the group.
    pub fn check_message_client(
        &self,
        who: &Principal,
        role: MessageClientRole,
        namespace: &str,
        group: &str,
    ) -> Result<()> {
        self.session(who)?;
        may_be_client(&self.rooms.ledger, who, role, namespace, group)
    }

    /// Refuses who may not consume the topic in the group.
    pub fn check_consumer_of(&self, who: &Principal, namespace: &str, group: &str, topic: TopicId) -> Result<()> {
        let session = self.session(who)?;
        session.group(Action::Consume, namespace, group)?;
        session.topic_by_id(Action::Consume, topic).map(drop)
    }

    /// Producers of a group that are alive and may send to a table, in the order of their names: those who can be asked about its half
    /// messages.
    pub fn transaction_producers(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        table: TableId,
    ) -> Result<Vec<MessageClient>> {
        self.session(who)?.server(Action::Operate)?;
        let (ledger, table) = (&self.rooms.ledger, self.rooms.ledger.table(table)?);
        let mut alive = self.rooms.message_clients.with_whose(namespace, group, self.awake());
        alive.retain(|(client, whose)| {
            let sends = || ledger.access.check(whose, Action::Produce, &Object::from(table.as_ref())).is_ok();
            client.role == MessageClientRole::Producer && sends()
        });
        Ok(alive.into_iter().map(|(client, _)| client).collect())
    }

    /// What was heard of over a connection is gone with it.
    pub fn message_clients_disconnected(&self, connection: u64) {
        self.rooms.message_clients.disconnected(connection);
    }

    /// Consumers of a group that are alive, in the order of their names, then producers.
    pub fn message_clients(&self, who: &Principal, namespace: &str, group: &str) -> Result<Vec<MessageClient>> {
        self.session(who)?.group(Action::See, namespace, group)?;
        Ok(self.rooms.message_clients.of_group(namespace, group, self.awake()))
    }

    /// Clients of all groups that are alive, each with its namespace and group, in the order of these.
    pub fn all_message_clients(&self, who: &Principal) -> Result<Vec<(String, String, MessageClient)>> {
        let session = self.session(who)?;
        let all = self.rooms.message_clients.all(self.awake());
        Ok(session.allowed_of(Action::See, all, |(namespace, group, _)| Object::group(namespace, group)))
    }

    /// What consumers of a group ask for on a topic: the one behind the connection, or else the newest. `None` where none of them
    /// subscribes to it, `NotFound` where the group has no consumers.
    pub fn message_subscription(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        topic: &str,
        connection: u64,
    ) -> Result<Option<MessageSubscription>> {
        self.session(who)?.group(Action::Consume, namespace, group)?;
        self.rooms.message_clients.subscription(namespace, group, topic, connection)
    }

    /// What consumers ask for, those that are alive, by group, client and topic.
    pub fn message_subscriptions(&self, who: &Principal) -> Result<Vec<LiveSubscription>> {
        let session = self.session(who)?;
        let all = self.rooms.message_clients.subscriptions(self.awake());
        Ok(session.allowed_of(Action::See, all, |one| Object::group(&one.namespace, &one.group)))
    }

    /// A group's filter has failed on a message, which therefore does not pass. Told of once for each topic, and again after the
    /// group's consumers have changed.
    pub fn message_filter_failed(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        (at, offset): (Assignment, Offset),
        why: &str,
    ) -> Result<()> {
        let session = self.session(who)?;
        session.group(Action::Consume, namespace, group)?;
        let topic = session.topic_by_id(Action::Consume, at.topic)?;
        if self.rooms.message_clients.filter_failed(namespace, group, at.topic) {
            let message = format!(
                "the filter of consumer group {group:?} fails on messages of {:?}, and it is not given them; the first one is at \
                 partition {}, offset {offset}: {why}",
                topic.name, at.partition
            );
            self.rooms.ledger.events.push("filter_failed", message);
        }
        Ok(())
    }

    /// Has a client lock partitions, for 60 s, that no other client of its group has; gives those that it now has.
    pub fn lock_queues(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        client_id: &str,
        queues: &[(TopicId, PartitionId)],
    ) -> Result<Vec<(TopicId, PartitionId)>> {
        self.session(who)?.group(Action::Consume, namespace, group)?;
        self.rooms.queue_locks.lock((namespace, group), client_id, queues, self.awake())
    }

    /// Gives back what the client has locked of these.
    pub fn unlock_queues(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        client_id: &str,
        queues: &[(TopicId, PartitionId)],
    ) -> Result<()> {
        self.session(who)?.group(Action::Consume, namespace, group)?;
        self.rooms.queue_locks.unlock((namespace, group), client_id, queues);
        Ok(())
    }

    /// Commits the next offset for a group without members of ours, which begins with its first commit; refused (`InUse`) while it
    /// has some. Passed over while a reset of the offset is there that its clients were not told of. A group's first commit waits
    /// for the log.
    pub fn commit_unowned(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        topic: &str,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Ticket> {
        let session = self.session(who)?;
        session.group(Action::Consume, namespace, group)?;
        let topic = session.topic(Action::Consume, namespace, topic)?;
        self.with_room_for_group(namespace, group, || {
            self.rooms.delivery.commit_unowned(namespace, group, &topic, partition, offset)
        })
    }

    /// What a group has committed, commits that were queued before this call included. Waits for those.
    pub fn committed_offset(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        topic: &str,
        partition: PartitionId,
    ) -> Result<Option<Offset>> {
        let session = self.session(who)?;
        session.group(Action::See, namespace, group)?;
        let topic = session.topic(Action::Follow, namespace, topic)?;
        self.rooms.delivery.committed_unowned(namespace, group, &topic, partition)
    }

    /// The offset that was set for a group without members of ours since this was last asked: its clients are to go on there.
    pub fn take_offset_reset(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        topic: TopicId,
        partition: PartitionId,
    ) -> Result<Option<Offset>> {
        self.check_consumer_of(who, namespace, group, topic)?;
        Ok(self.rooms.delivery.take_untold_reset(namespace, group, topic, partition))
    }

    /// The log's time, µs since the Unix epoch: what appends are stamped with, and what messages are delivered by.
    pub fn now_us(&self) -> i64 {
        self.rooms.ledger.log.time().now_us()
    }

    fn awake(&self) -> std::time::Duration {
        self.rooms.ledger.options.clock.awake()
    }
}
