//! A stream that a task feeds.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a task sends. The task ends with the stream, which the network drops when the call is over or its client has gone.
pub(super) struct Fed<T> {
    receiver: mpsc::Receiver<T>,
    _task: JoinSet<()>,
}

impl<T: Send + 'static> Fed<T> {
    /// At most `capacity` things wait to be taken.
    pub(super) fn by<F: Future<Output = ()> + Send + 'static>(
        capacity: usize,
        feeder: impl FnOnce(mpsc::Sender<T>) -> F,
    ) -> Fed<T> {
        let (sender, receiver) = mpsc::channel(capacity);
        let mut task = JoinSet::new();
        task.spawn(feeder(sender));
        Fed { receiver, _task: task }
    }
}

impl<T> Stream for Fed<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_recv(context)
    }
}
