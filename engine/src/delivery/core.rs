//! What stays the same about a member, and how its calls begin.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::assign::MemberNumber;
use super::group::{Group, Inner, MemberState};
use super::join::key_of;
use super::replay::Replay;
use super::wake::Wake;
use crate::front::Shared;
use crate::model::Principal;
use crate::model::{Assignment, ConsumerConfig, Error, Result};
use crate::state::GroupKey;

/// What does not change about a member, and what it sleeps on.
#[derive(Debug)]
pub(super) struct Core {
    pub number: MemberNumber,
    pub id: String,
    pub group: Arc<Group>,
    /// Where its offsets are kept.
    pub key: GroupKey,
    pub config: ConsumerConfig,
    pub principal: String,
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

impl Core {
    pub(super) fn new(
        shared: &Shared,
        who: &Principal,
        group: &Arc<Group>,
        config: ConsumerConfig,
        number: MemberNumber,
    ) -> Core {
        let client = if config.client_id.is_empty() { "member" } else { &config.client_id };
        Core {
            number,
            id: format!("{client}-{:x}-{number:x}", shared.log.epoch()),
            group: group.clone(),
            key: key_of(&group.name, group.mode, &config.client_id),
            principal: who.name().to_owned(),
            joined_us: shared.options.clock.wall_us(),
            wake: Wake::default(),
            replay: Mutex::new(Replay::new(config.replay)),
            due: Mutex::default(),
            told: Mutex::default(),
            ended: Mutex::new(None),
            gone: AtomicBool::new(false),
            config,
        }
    }

    /// Begins a call of the application's: the member is heard of. `Fenced` once it is a member no longer.
    pub(super) fn enter(&self, shared: &Shared) -> Result<MutexGuard<'_, Inner>> {
        let mut inner = self.look(shared)?;
        self.state(&mut inner)?.last_seen = shared.options.clock.monotonic();
        Ok(inner)
    }

    /// Begins a call that says nothing of the application. `Fenced` once it is a member no longer.
    pub(super) fn look(&self, shared: &Shared) -> Result<MutexGuard<'_, Inner>> {
        shared.groups.check_open()?;
        shared.check_whole()?;
        shared.groups.tick(shared);
        let mut inner = self.group.inner.lock();
        self.state(&mut inner)?;
        Ok(inner)
    }

    /// From here on rows are read under the assignment as it now stands.
    pub(super) fn take_up(&self, shared: &Shared) -> Result<()> {
        let mut inner = self.look(shared)?;
        let generation = inner.generation;
        self.state(&mut inner)?.acknowledged = generation;
        Ok(())
    }

    pub(super) fn state<'a>(&self, inner: &'a mut Inner) -> Result<&'a mut MemberState> {
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

    /// Without a last commit.
    pub(super) fn leave(&self, shared: &Shared, reason: &str) {
        let mut inner = self.group.inner.lock();
        if inner.members.contains_key(&self.number) {
            self.group.remove(shared, &mut inner, &[self.number], reason);
        }
    }

    fn gone(&self) -> Error {
        self.ended.lock().clone().unwrap_or_else(|| self.fenced("it has gone"))
    }

    fn fenced(&self, reason: &str) -> Error {
        Error::Fenced(format!("{:?} is no longer a member of group {:?}: {reason}", self.id, self.key.group))
    }
}
