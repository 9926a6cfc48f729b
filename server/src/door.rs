//! What every front door is given.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::Engine;
use millstream_sql::SqlEngine;
use tokio::sync::watch;

use crate::Figures;
use crate::net::Net;
use crate::work::Work;

/// The rooms behind a door, where its heavy work runs, and when to end. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Door {
    pub engine: Engine,
    pub sql: SqlEngine,
    /// Queries, topics and plugins run here: never on the network runtime, whose threads must stay free to move bytes.
    pub queries: tokio::runtime::Handle,
    /// Where engine calls are made that block.
    pub work: Work,
    /// Turns true once, when the server was told to stop: accept nothing new and end the streams under way.
    pub stop: watch::Receiver<bool>,
    /// A connection that has not sent a whole request header by then is closed.
    pub header_timeout: Duration,
    /// How long a statement may take; zero for as long as it likes.
    pub statement_timeout: Duration,
    pub figures: Arc<Figures>,
    /// What bounds all doors together.
    pub net: Arc<Net>,
}

impl Door {
    /// Completes when the server was told to stop.
    pub async fn stopped(&self) {
        stopped(self.stop.clone()).await;
    }
}

/// Completes when `stop` is true, or its sender is gone.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the server, which owns the sender, has gone.
    let _ = stop.wait_for(|stop| *stop).await;
}
