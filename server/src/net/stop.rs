//! The end of a server, as its doors hear of it.

use tokio::sync::watch;

/// Turns true once, when the server was told to stop: accept nothing new and end the streams under way. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// What tells it, and what hears it.
    pub(crate) fn new() -> (watch::Sender<bool>, Stop) {
        let (sender, receiver) = watch::channel(false);
        (sender, Stop(receiver))
    }

    /// Completes when the server was told to stop, or is gone.
    pub(crate) async fn stopped(&self) {
        // An error means that the server, which owns the sender, has gone.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }
}
