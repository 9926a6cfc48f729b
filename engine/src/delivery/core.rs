//! What stays the same about a member.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::assign::MemberNumber;
use super::group::{LiveGroup, MemberState, Membership};
use super::keys::key_of;
use super::replay::Replay;
use super::wake::Wake;
use crate::model::Principal;
use crate::model::{Assignment, ConsumerConfig, Error, Result};
use crate::state::GroupKey;

/// What does not change about a member, and what it sleeps on.
#[derive(Debug)]
pub(super) struct MemberCore {
    pub number: MemberNumber,
    pub id: String,
    pub group: Arc<LiveGroup>,
    /// Where its offsets are kept.
    pub key: GroupKey,
    pub config: ConsumerConfig,
    pub principal: Principal,
    pub joined_us: i64,
    pub wake: Wake,
    pub replay: Mutex<Replay>,
    /// When rows that the last fetch has left are due, by the monotonic clock.
    pub due: Mutex<Option<Duration>>,
    /// Partitions whose committed offset lies above the end, which was told of once.
    pub told: Mutex<BTreeSet<Assignment>>,
    /// Why it is a member no longer.
    ended: Mutex<Option<Error>>,
    /// Whether there is such a reason.
    pub gone: AtomicBool,
}

impl MemberCore {
    /// `epoch` is the log's, `joined_us` by the wall clock.
    pub(super) fn new(
        who: &Principal,
        (epoch, joined_us): (u64, i64),
        group: &Arc<LiveGroup>,
        config: ConsumerConfig,
        number: MemberNumber,
    ) -> MemberCore {
        let client = if config.client_id.is_empty() { "member" } else { &config.client_id };
        MemberCore {
            number,
            id: format!("{client}-{:x}-{number:x}", epoch),
            group: group.clone(),
            key: key_of(&group.name, group.mode, &config.client_id),
            principal: who.clone(),
            joined_us,
            wake: Wake::default(),
            replay: Mutex::new(Replay::new(config.replay)),
            due: Mutex::default(),
            told: Mutex::default(),
            ended: Mutex::new(None),
            gone: AtomicBool::new(false),
            config,
        }
    }

    pub(super) fn state<'a>(&self, inner: &'a mut Membership) -> Result<&'a mut MemberState> {
        inner.members.get_mut(&self.number).ok_or_else(|| self.gone())
    }

    /// The member has left the group; its calls say why from now on.
    pub(super) fn end(&self, reason: &str) {
        self.end_with(self.fenced(reason));
    }

    pub(super) fn end_with(&self, error: Error) {
        self.ended.lock().get_or_insert(error);
        self.gone.store(true, Ordering::Release);
        self.wake.notify();
    }

    pub(super) fn gone(&self) -> Error {
        self.ended.lock().clone().unwrap_or_else(|| self.fenced("it has gone"))
    }

    fn fenced(&self, reason: &str) -> Error {
        Error::Fenced(format!("{:?} is no longer a member of group {:?}: {reason}", self.id, self.key.group))
    }
}
