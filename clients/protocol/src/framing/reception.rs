//! What a server asks before it keeps what clients send.

use std::any::Any;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Status;

/// Held as long as the memory of a message is.
pub type Room = Arc<dyn Any + Send + Sync>;

/// Bounds what one call may send: how much of it is kept, and how long it may take to come.
pub trait Reception: Send {
    /// A message begins.
    fn begins(&mut self);

    /// Room for the message that begins, of `bytes`; polled with the same number until it is ready, while `kept` bytes of it
    /// wait. An error ends the call.
    fn poll_room(&mut self, bytes: usize, kept: usize, context: &mut Context<'_>) -> Poll<Result<Room, Status>>;

    /// Told as a message that has its room comes in: whether more of it is to come.
    fn arrives(&mut self, arriving: bool);

    /// Polled while nothing comes: within a message, of which so many bytes are here of so many, or between two. Then it is
    /// polled only while there are buffers to forget.
    fn poll_idle(&mut self, arriving: Option<(usize, usize)>, context: &mut Context<'_>) -> Poll<Idle>;
}

/// What is to be done about a call that sends nothing.
#[derive(Debug)]
pub enum Idle {
    /// Buffers that would be used again are given up.
    Forget,
    /// It ends, and is told this.
    End(Status),
}
