//! Messages by pop: handed out for a while, acknowledged one by one. What is in flight is the engine's; here are requests, receipts and
//! answers.

mod acknowledge;
mod assignment;
mod choice;
mod handle;
mod notification;
mod request;
mod take;
mod taking;
mod waiting;

pub(super) use acknowledge::{acknowledge, acknowledge_all, change, settled};
pub(super) use assignment::{assignment, set_mode};
pub(super) use handle::Handle;
pub(super) use notification::notification;
pub(super) use request::{LONGEST_WAIT, PopHeader};
pub(super) use take::answer;
pub(super) use taking::Taking;
