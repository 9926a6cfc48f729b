//! Who may be a client of a group of message queues, and who may not any more.

use std::sync::Arc;

use crate::access::{Action, Object};
use crate::front::rooms::Rooms;
use crate::front::session::Session;
use crate::log::Ledger;
use crate::messages::{ClientName, MessageClientRole, MessageSubscription};
use crate::model::{Error, Principal, Result, TableInfo};

impl Rooms {
    pub(super) fn client_leaves(&self, client: &ClientName) {
        self.message_clients.left(client);
        self.pop.client_left(client);
    }

    /// Clients leave whose logins have ended, or who may not be in their groups any more: those of a connection, or all.
    pub(super) fn recheck_clients(&self, over: Option<u64>) {
        for (client, who) in self.message_clients.whose(over) {
            let ClientName { namespace, group, role, .. } = &client;
            if may_be_client(&self.ledger, &who, *role, namespace, group).is_err() {
                self.client_leaves(&client);
            }
        }
    }
}

pub(super) fn may_be_client(
    ledger: &Ledger,
    who: &Principal,
    role: MessageClientRole,
    namespace: &str,
    group: &str,
) -> Result<()> {
    let checked = ledger.access.check(who, acts(role), &Object::group(namespace, group));
    let sends = || {
        let owns = |table: &Arc<TableInfo>| table.namespace == namespace && table.owner == *who;
        ledger.access.is_granted_within(who, Action::Produce, namespace)
            || ledger.access.is_on() && ledger.state.read().catalog().tables().any(owns)
    };
    match checked {
        Err(Error::PermissionDenied(_)) if role == MessageClientRole::Producer && sends() => Ok(()),
        checked => checked,
    }
}

/// What a consumer may ask for. What he may not see is left out, as if it were not there, so that it is not held to be consumed.
pub(super) fn subscribed(
    session: &Session<'_>,
    namespace: &str,
    asked: Vec<MessageSubscription>,
) -> Result<Vec<MessageSubscription>> {
    let mut subscribed = Vec::with_capacity(asked.len());
    for one in asked {
        match session.topic(Action::Consume, namespace, &one.topic) {
            Ok(_) => subscribed.push(one),
            Err(Error::NotFound { .. }) if session.has_topic(namespace, &one.topic) => {}
            Err(Error::NotFound { .. }) => subscribed.push(one),
            Err(refused) => return Err(refused),
        }
    }
    Ok(subscribed)
}

fn acts(role: MessageClientRole) -> Action {
    match role {
        MessageClientRole::Consumer => Action::Consume,
        MessageClientRole::Producer => Action::Produce,
    }
}
