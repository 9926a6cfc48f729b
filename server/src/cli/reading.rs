//! Input is read ahead of the connection, on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use millstream_engine::panic_text;
use tokio::sync::mpsc;

use super::exit::Failure;

/// What is read, and how that failed.
pub(super) type Items<T> = mpsc::Receiver<Result<T, Failure>>;

/// Has `read` send items, at most `ahead` of whoever takes them. The thread may be blocked in a read to the end of the process.
/// A panic is the last item: a part of the input must not look like all of it.
#[expect(clippy::disallowed_methods, reason = "this is the place that the command line starts threads at")]
pub(super) fn read_ahead<T: Send + 'static>(
    ahead: usize,
    read: impl FnOnce(&mpsc::Sender<Result<T, Failure>>) + Send + 'static,
) -> Items<T> {
    let (send, receive) = mpsc::channel(ahead);
    std::thread::spawn(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| read(&send))) {
            let failure = Failure::failed(format!("reading the input panicked: {}", panic_text(panic.as_ref())));
            // Whoever has gone needs no reason.
            let _ = send.blocking_send(Err(failure));
        }
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_panics_does_not_look_like_the_end_of_the_input() {
        let mut items = read_ahead(1, |send| {
            send.blocking_send(Ok(1)).unwrap();
            panic!("on purpose");
        });
        assert_eq!(items.blocking_recv().unwrap().unwrap(), 1);
        let failure = items.blocking_recv().unwrap().unwrap_err();
        assert!(format!("{failure:?}").contains("reading the input panicked: on purpose"), "{failure:?}");
        assert!(items.blocking_recv().is_none());
    }
}
