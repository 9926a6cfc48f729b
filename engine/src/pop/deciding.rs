//! Whether the log takes a submission, for whoever waits for that, now or later.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::log::Ticket;
use crate::model::{Receipt, Result};

/// Resolves when the log has decided. It may be waited for by one after another.
pub(super) struct Deciding(BoxFuture<'static, Result<Receipt>>);

impl Deciding {
    pub(super) fn new(ticket: Ticket) -> Deciding {
        Deciding(async { ticket.await?.await }.boxed())
    }
}

impl Future for Deciding {
    type Output = Result<Receipt>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Receipt>> {
        self.0.poll_unpin(context)
    }
}

impl fmt::Debug for Deciding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deciding")
    }
}
