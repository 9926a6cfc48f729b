//! Where one partition stands for this member.

use millstream_protocol::PartitionState;

/// A partition in this member's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// The generation from which on it has been held.
    pub(super) since: u64,
    /// The next offset that a poll gives; `None` until the server has said or sent it.
    pub(super) position: Option<u64>,
    /// What the group has committed, as far as this client knows.
    pub(super) committed: Option<u64>,
    /// What the newest commit that was sent wants to commit.
    pub(super) asked: Option<u64>,
    /// Behind the rows that polls have given and no commit has taken.
    pub(super) uncommitted: Option<u64>,
    pub(super) paused: bool,
    /// Rows were thrown away while it was paused, so that the server stands ahead of `position`.
    pub(super) rewind: bool,
}

impl Held {
    pub(super) fn new(state: &PartitionState) -> Held {
        Held {
            since: state.since_generation,
            position: state.position,
            committed: state.committed,
            asked: None,
            uncommitted: None,
            paused: false,
            rewind: false,
        }
    }

    /// The same after the server has said anew where it stands.
    pub(super) fn kept(&self, state: &PartitionState) -> Held {
        Held { committed: state.committed, ..self.clone() }
    }

    /// Whether what was given out before a break still counts: nobody has moved the group's offset since.
    pub(super) fn goes_on(&self, now: &Held) -> bool {
        now.committed == self.committed || (now.committed.is_some() && now.committed == self.asked)
    }
}
