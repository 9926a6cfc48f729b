//! What every front door is given.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::Engine;
use millstream_sql::SqlEngine;
use tokio::sync::SetOnce;

use crate::authenticator::Authenticator;
use crate::figures::Figures;
use crate::net::accept::Listener;
use crate::net::budgets::Net;
use crate::net::stop::Stop;
use crate::work::Work;

/// The rooms behind a door, where its heavy work runs, and when to end. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) engine: Engine,
    pub(crate) authenticator: Authenticator,
    pub(crate) sql: SqlEngine,
    /// Queries, topics and plugins run here: never on the network runtime, whose threads must stay free to move bytes.
    pub(crate) queries: tokio::runtime::Handle,
    /// Where engine calls are made that block.
    pub(crate) work: Work,
    pub(crate) stop: Stop,
    /// How long a statement may take; zero for as long as it likes.
    pub(crate) statement_timeout: Duration,
    pub(crate) figures: Arc<Figures>,
    /// What bounds all doors together.
    pub(crate) net: Arc<Net>,
}

impl Door {
    /// Completes when the server was told to stop.
    pub(crate) async fn stopped(&self) {
        self.stop.stopped().await;
    }
}

/// The rooms as a door has them that listens before the store is open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rooms(Arc<SetOnce<Door>>);

impl Rooms {
    /// Lets the doors through. Done once, by the server; a second call would change nothing.
    pub(crate) fn open(&self, door: Door) {
        drop(self.0.set(door));
    }

    /// The rooms, if they are open.
    pub(crate) fn get(&self) -> Option<&Door> {
        self.0.get()
    }

    /// The rooms, once they are open.
    pub(crate) async fn opened(&self) -> &Door {
        self.0.wait().await
    }
}

/// What a door begins with.
pub(crate) struct Opening {
    pub(crate) listener: Listener,
    pub(crate) rooms: Rooms,
    pub(crate) stop: Stop,
}
