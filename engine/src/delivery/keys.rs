//! Names that groups and members are kept under.

use std::sync::Arc;

use crate::model::GroupMode;
use crate::state::GroupKey;

/// The group's name, without a client.
pub(super) fn name_of(namespace: &str, group: &str) -> GroupKey {
    GroupKey { namespace: Arc::from(namespace), group: Arc::from(group), client: None }
}

/// Where a member's offsets are kept.
pub(super) fn key_of(group: &GroupKey, mode: GroupMode, client_id: &str) -> GroupKey {
    let client = (mode == GroupMode::Broadcast).then(|| Arc::from(client_id));
    GroupKey { client, ..group.clone() }
}

/// A client of a group, whatever its mode.
pub(super) fn client_of(namespace: &str, group: &str, client_id: &str) -> GroupKey {
    GroupKey { client: Some(Arc::from(client_id)), ..name_of(namespace, group) }
}
