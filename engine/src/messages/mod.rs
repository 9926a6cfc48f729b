//! Messages, as message queues have them: clients that are alive, and queues that they have locked. Knows no wire protocol.

mod locks;
mod presence;
mod subscription;

pub(crate) use locks::{QueueLocks, QueueName};
pub(crate) use presence::{ClientName, Presence};
pub use presence::{MessageClient, MessageClientRole};
pub use subscription::MessageSubscription;
