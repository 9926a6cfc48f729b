//! Calls that go on for long end when their callers may no longer make them.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use millstream_engine::{Error, ErrorKind, Result};
use millstream_sql::Outcome;
use tokio::sync::SetOnce;

use super::budgets::Net;
use super::watch::Watching;

type Check = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// Asks whether a call may go on, twice a second as long as somebody holds this: the caller's login may end, and so may his rights,
/// while nothing else happens on the call.
pub(crate) struct Vigil {
    check: Check,
    refused: SetOnce<Error>,
}

impl Vigil {
    /// `check` must not block. What it refuses ends the call; whatever else it says is the call's own matter.
    pub(crate) fn begin(net: &Net, check: impl Fn() -> Result<()> + Send + Sync + 'static) -> Arc<Vigil> {
        let vigil = Arc::new(Vigil { check: Box::new(check), refused: SetOnce::new() });
        net.watched.add(&vigil);
        vigil
    }

    /// Completes when the call is to end, with the reason.
    pub(crate) async fn refused(&self) -> Error {
        self.refused.wait().await.clone()
    }

    /// Ends `work` when it is no longer allowed.
    pub(crate) async fn within<T, E: From<Error>>(
        &self,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        tokio::select! {
            done = work => done,
            refused = self.refused() => Err(refused.into()),
        }
    }

    /// The same for the rows of a statement.
    pub(crate) fn bound(self: Arc<Self>, outcome: Outcome) -> Outcome {
        let Outcome::Rows { schema, stream } = outcome else { return outcome };
        let rows = futures::stream::unfold(Some(stream), move |stream| {
            let vigil = Arc::clone(&self);
            async move {
                let mut stream = stream?;
                tokio::select! {
                    next = stream.next() => next.map(|batch| (batch, Some(stream))),
                    refused = vigil.refused() => Some((Err(refused.into()), None)),
                }
            }
        });
        Outcome::Rows { schema, stream: rows.fuse().boxed() }
    }
}

impl Watching for Vigil {
    fn look(&self, _: Instant) {
        if self.refused.initialized() {
            return;
        }
        if let Err(error) = (self.check)()
            && matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
        {
            // Nobody else sets it.
            drop(self.refused.set(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::net::limits::NetLimits;
    use crate::net::stop::Stop;

    #[tokio::test]
    async fn a_call_ends_within_a_second_of_being_refused() {
        let net = Net::new(NetLimits::default());
        let (_running, stop) = Stop::new();
        let (watched, says) = (Arc::clone(&net), Arc::new(AtomicU8::new(0)));
        let watching = async move { watched.watched.run(stop).await };
        let asked = Arc::clone(&says);
        let vigil = Vigil::begin(&net, move || match asked.load(Ordering::Relaxed) {
            0 => Ok(()),
            1 => Err(Error::Busy("for now".to_owned())),
            _ => Err(Error::Unauthenticated("gone".to_owned())),
        });
        let call = async {
            for said in [0, 1] {
                says.store(said, Ordering::Relaxed);
                let waited = tokio::time::timeout(Duration::from_millis(700), vigil.refused()).await;
                assert!(waited.is_err(), "{said}: {waited:?}");
            }
            says.store(2, Ordering::Relaxed);
            let work = vigil.within(std::future::pending::<Result<()>>());
            let ended = tokio::time::timeout(Duration::from_secs(1), work).await;
            assert_eq!(ended.expect("in time").expect_err("an end").kind(), ErrorKind::Unauthenticated);
            vigil.refused().await;
        };
        tokio::select! {
            () = watching => panic!("the server goes on"),
            () = call => {}
        }
    }
}
