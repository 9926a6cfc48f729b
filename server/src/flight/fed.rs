//! A stream that a task feeds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Status;

/// What a task sends. The task ends with the stream, which the network drops when the call is over or its client has gone. The
/// stream's end is the task's: one that breaks off ends it with an error.
pub(super) struct Fed<T> {
    receiver: mpsc::Receiver<Result<T, Status>>,
    task: JoinSet<()>,
}

impl<T: Send + 'static> Fed<T> {
    /// At most `capacity` things wait to be taken.
    pub(super) fn by<F: Future<Output = ()> + Send + 'static>(
        capacity: usize,
        feeder: impl FnOnce(mpsc::Sender<Result<T, Status>>) -> F,
    ) -> Fed<T> {
        let (sender, receiver) = mpsc::channel(capacity);
        let mut task = JoinSet::new();
        task.spawn(feeder(sender));
        Fed { receiver, task }
    }
}

impl<T> Stream for Fed<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(item) = ready!(self.receiver.poll_recv(context)) {
            return Poll::Ready(Some(item));
        }
        let ended = ready!(self.task.poll_join_next(context));
        let broke_off = matches!(ended, Some(Err(_)));
        Poll::Ready(broke_off.then(|| Err(Status::internal("the call failed in the server; its log says why"))))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_feeder_that_breaks_off_is_no_end() {
        let items = |fed: Fed<u8>| fed.map(|item| item.ok()).collect::<Vec<_>>();
        let whole = Fed::by(4, |sender| async move { sender.send(Ok(1)).await.unwrap() });
        assert_eq!(items(whole).await, [Some(1)]);
        let broken = Fed::by(4, |sender| async move {
            sender.send(Ok(1)).await.unwrap();
            panic!("on purpose");
        });
        assert_eq!(items(broken).await, [Some(1), None]);
    }
}
