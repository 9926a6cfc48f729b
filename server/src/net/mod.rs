//! The one policy of all doors towards the network: where they may listen, who may connect, by TLS or without ([`tls`]), how much of what
//! clients have sent or are being sent lies in memory, and how long a peer that does nothing may hold any of it.
//!
//! Limits on each thing do not bound their sum, so there are budgets over all connections of all doors:
//!
//! - [`ingress`]: bytes that clients have sent and the log, or a statement, has not taken. Room is there before memory is.
//! - [`egress`]: bytes on their way to clients, until the kernel has them.
//!
//! Room is waited for in order and without a thread. Whoever holds room makes progress without getting more, or is late
//! ([`progress`]) or stalled ([`watch`]) and is ended: sooner where others wait for what it holds.
//! `docs/operations.md` has the sum of it all.

pub(crate) mod accept;
mod arrivals;
pub(crate) mod arriving;
pub(crate) mod budgets;
pub(crate) mod call;
pub(crate) mod collect;
mod connection;
mod egress;
pub(crate) mod exposure;
pub(crate) mod framed;
mod frames;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod ingress;
pub(crate) mod leaving;
pub(crate) mod limits;
mod message_room;
pub(crate) mod peer;
pub(crate) mod places;
pub(crate) mod pool;
mod progress;
pub(crate) mod receiving;
pub(crate) mod sent;
pub(crate) mod stop;
pub(crate) mod tls;
pub(crate) mod turns;
pub(crate) mod vigil;
mod watch;
pub(crate) mod whole;
